"""The ledger's store on SQLite. The contract is :class:`~exchange.stores.ledger_contract.LedgerStore`.

Leaves are made from the rows of statements and documents when they are read, in the reader's
thread; what a reader may see of them is in :mod:`exchange.stores.ledger_reading`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TypeVar

import apsw

from exchange.stores import ledger_reading
from exchange.stores.alone import Alone
from exchange.stores.engine import Engine
from exchange.stores.leaves import leaf_of
from exchange.stores.ledger_contract import (
    EMPTY,
    Extent,
    LeafHashes,
    ReadTile,
    SignedExtent,
    Spot,
    Witnessing,
    halted,
)
from exchange.stores.ledger_tiles import append_hashes, read_tile
from exchange.stores.sharing_contract import Lease
from protocol.errors import LeaseLost, StoreFailed
from protocol.ledger.origins import Log
from protocol.ledger.tiles import Tile
from protocol.tree import leaf_hash

T = TypeVar("T")

LAST_ROW = {
    Log.ACK: "SELECT id FROM statement WHERE idx = ?",
    Log.DIRECTORY: "SELECT id FROM document WHERE idx = ?",
}


ROWS = {
    Log.ACK: "SELECT id, kind, received_ms, data FROM statement WHERE idx >= ? ORDER BY idx LIMIT ?",
    Log.DIRECTORY: "SELECT id, 0, added_ms, data FROM document WHERE idx >= ? ORDER BY idx LIMIT ?",
}


class SqliteLedgerStore:
    """Both logs of one coordinator, in its one database file.

    Args:
        engine: The open engine, which the coordinator's store closes.
        sharing: Knows who has which lease.
    """

    def __init__(self, engine: Engine, sharing: Alone) -> None:
        self._engine = engine
        self._sharing = sharing

    # Leaves.

    async def leaf_hashes(self, log: Log, first: int, *, limit: int) -> LeafHashes:
        """Return the leaf hashes of rows in order."""

        def work(db: apsw.Connection) -> LeafHashes:
            hashes: list[bytes] = []
            last = b""
            for row, leaf in leaves(db, log, first, limit):
                hashes.append(leaf_hash(leaf))
                last = row
            return LeafHashes(tuple(hashes), last)

        return await self._engine.read(work)

    async def entries(self, log: Log, first: int, count: int) -> tuple[bytes, ...]:
        """Return leaves in order."""
        return await self._engine.read(lambda db: tuple(leaf for _, leaf in leaves(db, log, first, count)))

    # Checkpoints.

    async def signed(self, log: Log) -> SignedExtent | None:
        """Return the newest checkpoint that was signed."""
        # Through the writer: after a failed commit it empties the WAL first, so that what this
        # transaction sees is on the disk when it returns.
        return await self._engine.write(lambda db: read_signed(db, log))

    async def swap(
        self, log: Log, old: Extent, new: SignedExtent, last: bytes, lease: Lease | None = None
    ) -> bool:
        """Replace the newest signed checkpoint, if it is still the one expected."""
        if lease is not None and not self._sharing.holds(lease):
            raise LeaseLost(f"the lease {lease.name} is held by another")
        if self._sharing.is_halted(log):
            raise halted(log)

        def work(db: apsw.Connection) -> bool:
            held = read_signed(db, log)
            if (EMPTY if held is None else held.extent) != old:
                return False
            # What this transaction sees is durable with it: no checkpoint stands over rows that a
            # power cut could still take back.
            if db.execute(LAST_ROW[log], (new.extent.size - 1,)).fetchone() != (last,):
                raise StoreFailed("the last row that a checkpoint covers is not there any more")
            values = (log, new.extent.size, new.extent.root, new.checkpoint)
            db.execute("INSERT OR REPLACE INTO ledger_signed VALUES (?, ?, ?, ?)", values)
            return True

        return await self._engine.write(work)

    async def published(self, log: Log) -> Extent:
        """Return what is published."""
        return await self._engine.write(lambda db: read_published(db, log))

    async def lay_out(self, log: Log, first: int, hashes: Sequence[bytes], new: Extent) -> None:
        """Write tiles and publish, in one transaction."""

        def work(db: apsw.Connection) -> None:
            held = read_published(db, log).size
            if held >= new.size:
                return
            if held != first:
                raise StoreFailed(f"the log {log} is published up to {held}, not {first}")
            append_hashes(db, log, first, hashes)
            row = (log, new.size, new.root)
            db.execute("INSERT OR REPLACE INTO ledger_published VALUES (?, ?, ?)", row)

        await self._engine.write(work)

    async def is_published(self, log: Log, low: int, high: int) -> bool:
        """Return whether a size in a range was ever published."""
        query = "SELECT 1 FROM ledger_published WHERE log = ? AND size >= ? AND size < ? LIMIT 1"
        return await self._engine.read(lambda db: db.execute(query, (log, low, high)).fetchone() is not None)

    async def on_tiles(self, log: Log, work: Callable[[ReadTile], T]) -> T:
        """Run a calculation on tiles in a reader's thread."""

        def within(db: apsw.Connection) -> T:
            def read(tile: Tile) -> bytes:
                return read_tile(db, log, tile)

            return work(read)

        return await self._engine.read(within)

    # What stands behind the leaves.

    async def statements_for(
        self, reader: str | None, first: int, count: int
    ) -> tuple[tuple[int, bytes], ...]:
        """Return statements that a reader may see."""
        return await self._engine.read(lambda db: ledger_reading.statements(db, reader, first, count))

    async def headers_for(self, reader: str | None, first: int, count: int) -> tuple[tuple[int, bytes], ...]:
        """Return signed manifests that a reader may see."""
        return await self._engine.read(lambda db: ledger_reading.headers(db, reader, first, count))

    async def document(self, index: int) -> bytes | None:
        """Return one signed document."""
        return await self._one("SELECT data FROM document WHERE idx = ?", (index,))

    async def announced(self) -> bytes | None:
        """Return the newest DIRECTORY statement."""
        return await self._one("SELECT data FROM statement WHERE kind = 48 ORDER BY idx DESC LIMIT 1", ())

    async def spots(self, statements: Collection[bytes]) -> Mapping[bytes, Spot]:
        """Return where statements stand."""
        query = "SELECT idx, received_ms FROM statement WHERE id = ?"

        def work(db: apsw.Connection) -> dict[bytes, Spot]:
            rows = {name: db.execute(query, (name,)).fetchone() for name in statements}
            return {name: Spot(*row) for name, row in rows.items() if row is not None}

        return await self._engine.read(work)

    # Witnessed checkpoints.

    async def save_witnessed(self, log: Log, witnessed: Witnessing, *, apart_ms: int) -> None:
        """Keep a witnessed checkpoint, and now and then for ever."""
        newest = "SELECT at_ms FROM ledger_milestone WHERE log = ? ORDER BY size DESC LIMIT 1"
        row = (log, witnessed.size, witnessed.at_ms, witnessed.checkpoint)

        def work(db: apsw.Connection) -> None:
            held = db.execute("SELECT size FROM ledger_witnessed WHERE log = ?", (log,)).get
            if held is not None and held > witnessed.size:
                return
            db.execute("INSERT OR REPLACE INTO ledger_witnessed VALUES (?, ?, ?, ?)", row)
            last = db.execute(newest, (log,)).get
            if last is None or abs(witnessed.at_ms - last) >= apart_ms:
                # Of one size the first stands: it says most about when its leaves were there.
                db.execute("INSERT INTO ledger_milestone VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", row)

        await self._engine.write(work)
        self._sharing.forget_cosignatures(log, witnessed.size)

    async def witnessed(self, log: Log) -> Witnessing | None:
        """Return the newest witnessed checkpoint."""
        query = "SELECT size, at_ms, checkpoint FROM ledger_witnessed WHERE log = ?"

        def work(db: apsw.Connection) -> Witnessing | None:
            row = db.execute(query, (log,)).fetchone()
            return None if row is None else Witnessing(*row)

        return await self._engine.read(work)

    async def milestones(self, log: Log) -> tuple[int, ...]:
        """Return the sizes of the milestones."""
        query = "SELECT size FROM ledger_milestone WHERE log = ? ORDER BY size"
        return await self._engine.read(lambda db: tuple(size for (size,) in db.execute(query, (log,))))

    async def milestone(self, log: Log, size: int) -> bytes | None:
        """Return one milestone."""
        return await self._one(
            "SELECT checkpoint FROM ledger_milestone WHERE log = ? AND size = ?", (log, size)
        )

    async def _one(self, query: str, bindings: tuple[str | int, ...]) -> bytes | None:
        """Return the one value of a query, or None."""

        def work(db: apsw.Connection) -> bytes | None:
            row = db.execute(query, bindings).fetchone()
            return None if row is None else bytes(row[0])

        return await self._engine.read(work)


def read_signed(db: apsw.Connection, log: Log) -> SignedExtent | None:
    """Return the newest checkpoint that was signed, or None."""
    query = "SELECT size, root, checkpoint FROM ledger_signed WHERE log = ?"
    row = db.execute(query, (log,)).fetchone()
    return None if row is None else SignedExtent(Extent(row[0], row[1]), row[2])


def read_published(db: apsw.Connection, log: Log) -> Extent:
    """Return what is published."""
    query = "SELECT size, root FROM ledger_published WHERE log = ? ORDER BY size DESC LIMIT 1"
    row = db.execute(query, (log,)).fetchone()
    return EMPTY if row is None else Extent(*row)


def leaves(db: apsw.Connection, log: Log, first: int, count: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield each row's id with its leaf.

    Raises:
        FormatError: a stored row is no statement or document.
    """
    for name, kind, at_ms, data in db.execute(ROWS[log], (first, count)):
        yield name, leaf_of(log, kind, at_ms, data)
