"""The ledger's store on PostgreSQL. The contract is :class:`~exchange.stores.ledger_contract.LedgerStore`.

Checkpoints are returned when they are durable. Rows, tiles and documents that a durable checkpoint covers
were written before it, so they are durable too, and are read without waiting for anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

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
from exchange.stores.ledger_reading import encoded
from exchange.stores.ledger_tiles import growing, grown, missing
from exchange.stores.postgres import Connection, Postgres, Use
from exchange.stores.postgres_settling import Settling
from exchange.stores.sharing_contract import Lease
from exchange.stores.sharing_postgres import lock_log, require_lease
from exchange.stores.ticker_postgres import Ticker
from exchange.stores.tiles_postgres import Tiles
from protocol.errors import StoreFailed
from protocol.ledger.origins import Log
from protocol.ledger.tiles import HASH_BYTES, Tile
from protocol.statement import StatementKind
from protocol.tree import leaf_hash

T = TypeVar("T")

ROWS = {
    Log.ACK: "SELECT id, kind, received_ms AS at, data FROM statement WHERE idx >= $1 ORDER BY idx LIMIT $2",
    Log.DIRECTORY: "SELECT id, 0 AS kind, added_ms AS at, data FROM document"
    " WHERE idx >= $1 ORDER BY idx LIMIT $2",
}
LAST_ROW = {
    Log.ACK: "SELECT id FROM statement WHERE idx = $1",
    Log.DIRECTORY: "SELECT id FROM document WHERE idx = $1",
}
NEWEST = "SELECT size, root FROM ledger_published WHERE log = $1 ORDER BY size DESC LIMIT 1"

# As exchange/stores/ledger_reading.py says it for SQLite.
CONCERNS = f"""
    $1::text IS NULL OR s.party = $1 OR e.sender = $1 OR s.kind = {StatementKind.DIRECTORY.value}
    OR ($1 = ANY(e.recipients) AND (
        s.party = e.sender OR s.kind = {StatementKind.RELAYED.value}
        OR EXISTS (SELECT 1 FROM undelivered AS u WHERE u.statement = s.idx AND u.recipient = $1)))
"""  # noqa: S608  (all parts are constants of this module)

STATEMENTS = f"""
    SELECT s.idx, s.data FROM statement AS s LEFT JOIN envelope AS e ON e.id = s.envelope
    WHERE s.idx >= $2 AND s.idx < $2 + $3 AND ({CONCERNS})
    ORDER BY s.idx
"""  # noqa: S608  (all parts are constants of this module)

HEADERS = """
    SELECT number, manifest, proof FROM envelope
    WHERE number >= $2 AND number < $2 + $3 AND ($1::text IS NULL OR sender = $1 OR $1 = ANY(recipients))
    ORDER BY number
"""


class PostgresLedgerStore:
    """Both logs of one coordinator, in the database that its processes share.

    Args:
        database: The open database, which the coordinator's store closes.
        settling: Makes sure of what was read.
        ticker: Wakes the other processes.
    """

    def __init__(self, database: Postgres, settling: Settling, ticker: Ticker) -> None:
        self._database = database
        self._settling = settling
        self._ticker = ticker
        self._tiles = Tiles()

    # Leaves.

    async def leaf_hashes(self, log: Log, first: int, *, limit: int) -> LeafHashes:
        """Return the leaf hashes of rows in order."""
        rows = await self._rows(log, first, limit)
        hashes = await asyncio.to_thread(lambda: tuple(leaf_hash(leaf) for leaf in leaves(log, rows)))
        return LeafHashes(hashes, rows[-1]["id"] if rows else b"")

    async def entries(self, log: Log, first: int, count: int) -> tuple[bytes, ...]:
        """Return leaves in order."""
        rows = await self._rows(log, first, count)
        return await asyncio.to_thread(lambda: tuple(leaves(log, rows)))

    async def _rows(self, log: Log, first: int, limit: int) -> Sequence[Any]:
        async with self._database.using(Use.READ) as connection:
            rows: Sequence[Any] = await connection.fetch(ROWS[log], first, limit)
        return rows

    # Checkpoints.

    async def signed(self, log: Log) -> SignedExtent | None:
        """Return the newest checkpoint that was signed."""
        async with self._database.using(Use.ACCEPT) as connection:
            held = await read_signed(connection, log)
            server = self._database.server_of(connection)
        await self._settling.settled(server)
        return held

    async def swap(
        self, log: Log, old: Extent, new: SignedExtent, last: bytes, lease: Lease | None = None
    ) -> bool:
        """Replace the newest signed checkpoint, if it is still the one expected."""

        async def work(connection: Connection) -> bool:
            await require_lease(connection, lease)
            await lock_log(connection, log)
            if await connection.fetchval("SELECT 1 FROM halt WHERE log = $1", log.value):
                raise halted(log)
            held = await read_signed(connection, log)
            if (EMPTY if held is None else held.extent) != old:
                return False
            if await connection.fetchval(LAST_ROW[log], new.extent.size - 1) != last:
                raise StoreFailed("the last row that a checkpoint covers is not there any more")
            await connection.execute(
                """INSERT INTO ledger_signed VALUES ($1, $2, $3, $4) ON CONFLICT (log) DO UPDATE
                    SET size = excluded.size, root = excluded.root, checkpoint = excluded.checkpoint""",
                log.value,
                new.extent.size,
                new.extent.root,
                new.checkpoint,
            )
            return True

        # The commit that makes it durable makes every row durable that was read before it was signed.
        return await self._database.write(work)

    async def published(self, log: Log) -> Extent:
        """Return what is published."""
        async with self._database.using(Use.ACCEPT) as connection:
            row = await connection.fetchrow(NEWEST, log.value)
            server = self._database.server_of(connection)
        await self._settling.settled(server)
        return EMPTY if row is None else Extent(*row)

    async def lay_out(self, log: Log, first: int, hashes: Sequence[bytes], new: Extent) -> None:
        """Write tiles and publish, in one transaction."""

        async def work(connection: Connection) -> str:
            server = self._database.server_of(connection)
            await lock_log(connection, log)
            row = await connection.fetchrow(NEWEST, log.value)
            held = 0 if row is None else int(row["size"])
            if held >= new.size:
                return server
            if held != first:
                raise StoreFailed(f"the log {log} is published up to {held}, not {first}")
            await append_hashes(connection, log, first, hashes)
            await connection.execute(
                "INSERT INTO ledger_published VALUES ($1, $2, $3)", log.value, new.size, new.root
            )
            return server

        # If there was nothing left to write, the commit waited for nobody.
        await self._settling.settled(await self._database.write(work))
        self._ticker.tick()

    async def is_published(self, log: Log, low: int, high: int) -> bool:
        """Return whether a size in a range was ever published."""
        query = "SELECT 1 FROM ledger_published WHERE log = $1 AND size >= $2 AND size < $3 LIMIT 1"
        async with self._database.using(Use.READ) as connection:
            return await connection.fetchval(query, log.value, low, high) is not None

    async def on_tiles(self, log: Log, work: Callable[[ReadTile], T]) -> T:
        """Run a calculation on tiles in a thread; each that it reads is fetched by the event loop."""
        loop = asyncio.get_running_loop()

        def read(tile: Tile) -> bytes:
            held = self._tiles.get(log, tile)
            if held is None:
                held = asyncio.run_coroutine_threadsafe(self._read_tile(log, tile), loop).result()
            return held

        return await asyncio.to_thread(work, read)

    async def _read_tile(self, log: Log, tile: Tile) -> bytes:
        async with self._database.using(Use.READ) as connection:
            hashes = await read_tile(connection, log, tile)
        self._tiles.keep(log, tile, hashes)
        return hashes

    # What stands behind the leaves.

    async def statements_for(
        self, reader: str | None, first: int, count: int
    ) -> tuple[tuple[int, bytes], ...]:
        """Return statements that a reader may see."""
        async with self._database.using(Use.READ) as connection:
            rows = await connection.fetch(STATEMENTS, reader, first, count)
        return tuple((index, data) for index, data in rows)

    async def headers_for(self, reader: str | None, first: int, count: int) -> tuple[tuple[int, bytes], ...]:
        """Return signed manifests that a reader may see."""
        async with self._database.using(Use.READ) as connection:
            rows = await connection.fetch(HEADERS, reader, first, count)
        return tuple((index, encoded(manifest, proof)) for index, manifest, proof in rows)

    async def document(self, index: int) -> bytes | None:
        """Return one signed document."""
        return await self._one("SELECT data FROM document WHERE idx = $1", index)

    async def announced(self) -> bytes | None:
        """Return the newest DIRECTORY statement."""
        query = "SELECT data FROM statement WHERE kind = 48 ORDER BY idx DESC LIMIT 1"
        return await self._one(query, use=Use.ACCEPT)

    async def spots(self, statements: Collection[bytes]) -> Mapping[bytes, Spot]:
        """Return where statements stand."""
        query = "SELECT id, idx, received_ms FROM statement WHERE id = ANY($1::bytea[])"
        async with self._database.using(Use.READ) as connection:
            rows = await connection.fetch(query, list(statements))
        return {name: Spot(index, at_ms) for name, index, at_ms in rows}

    # Witnessed checkpoints.

    async def save_witnessed(self, log: Log, witnessed: Witnessing, *, apart_ms: int) -> None:
        """Keep a witnessed checkpoint, and now and then for ever."""
        row = (log.value, witnessed.size, witnessed.at_ms, witnessed.checkpoint)

        async def work(connection: Connection) -> None:
            kept = await connection.fetchval(
                """INSERT INTO ledger_witnessed AS w VALUES ($1, $2, $3, $4) ON CONFLICT (log) DO UPDATE
                    SET size = excluded.size, at_ms = excluded.at_ms, checkpoint = excluded.checkpoint
                    WHERE w.size <= excluded.size RETURNING size""",
                *row,
            )
            if kept is None:
                return
            last = await connection.fetchval(
                "SELECT at_ms FROM ledger_milestone WHERE log = $1 ORDER BY size DESC LIMIT 1", log.value
            )
            if last is None or abs(witnessed.at_ms - last) >= apart_ms:
                # Of one size the first stands: it says most about when its leaves were there.
                await connection.execute(
                    "INSERT INTO ledger_milestone VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", *row
                )
            await connection.execute("DELETE FROM cosignature WHERE log = $1 AND size < $2", *row[:2])

        await self._database.write(work)
        self._ticker.tick()

    async def witnessed(self, log: Log) -> Witnessing | None:
        """Return the newest witnessed checkpoint."""
        query = "SELECT size, at_ms, checkpoint FROM ledger_witnessed WHERE log = $1"
        async with self._database.using(Use.READ) as connection:
            row = await connection.fetchrow(query, log.value)
            server = self._database.server_of(connection)
        if row is None:
            return None
        await self._settling.settled(server)
        return Witnessing(*row)

    async def milestones(self, log: Log) -> tuple[int, ...]:
        """Return the sizes of the milestones."""
        query = "SELECT size FROM ledger_milestone WHERE log = $1 ORDER BY size"
        async with self._database.using(Use.READ) as connection:
            return tuple(row["size"] for row in await connection.fetch(query, log.value))

    async def milestone(self, log: Log, size: int) -> bytes | None:
        """Return one milestone."""
        query = "SELECT checkpoint FROM ledger_milestone WHERE log = $1 AND size = $2"
        return await self._one(query, log.value, size)

    async def _one(self, query: str, *values: object, use: Use = Use.READ) -> bytes | None:
        """Return the one value of a query, or None."""
        async with self._database.using(use) as connection:
            found: bytes | None = await connection.fetchval(query, *values)
        return found


def leaves(log: Log, rows: Sequence[Any]) -> list[bytes]:
    """Return the leaves that rows are."""
    return [leaf_of(log, row["kind"], row["at"], row["data"]) for row in rows]


async def read_signed(connection: Connection, log: Log) -> SignedExtent | None:
    """Return the newest checkpoint that was signed, or None."""
    query = "SELECT size, root, checkpoint FROM ledger_signed WHERE log = $1"
    row = await connection.fetchrow(query, log.value)
    return None if row is None else SignedExtent(Extent(row["size"], row["root"]), row["checkpoint"])


async def append_hashes(connection: Connection, log: Log, first: int, hashes: Sequence[bytes]) -> None:
    """Append consecutive leaf hashes to the tiles of a log.

    Raises:
        StoreFailed: what lies before ``first`` is not there.
    """
    partial = {tile: await read_tile(connection, log, tile) for tile in growing(first, len(hashes))}
    tiles = list(grown(partial.__getitem__, first, hashes))
    await connection.execute(
        """INSERT INTO ledger_tile SELECT $1, * FROM unnest($2::integer[], $3::bigint[], $4::bytea[])
            ON CONFLICT (log, level, number) DO UPDATE SET hashes = excluded.hashes""",
        log.value,
        [tile.level for tile in tiles],
        [tile.number for tile in tiles],
        [tile.hashes for tile in tiles],
    )


async def read_tile(connection: Connection, log: Log, tile: Tile) -> bytes:
    """Return the hashes of a tile.

    Raises:
        StoreFailed: it is not there, or not so wide.
    """
    query = """SELECT substr(hashes, 1, $4::integer) FROM ledger_tile
        WHERE log = $1 AND level = $2 AND number = $3"""
    size = tile.width * HASH_BYTES
    found: bytes | None = await connection.fetchval(query, log.value, tile.level, tile.number, size)
    if found is None or len(found) != size:
        raise missing(log, tile)
    return found
