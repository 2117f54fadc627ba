"""The coordinator's store on SQLite. The contract is :class:`~exchange.stores.contract.CoordinatorStore`.

Reads that cut deliveries are in :mod:`exchange.stores.mailbox_sqlite`, what is written in a turn in
:mod:`exchange.stores.turn_sqlite`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import apsw

from exchange.clock import Clock
from exchange.stores import mailbox_sqlite
from exchange.stores.alone import Alone
from exchange.stores.bounds import bounded, item_size
from exchange.stores.contract import (
    CONTENT_GRACE_MS,
    UNFENCED,
    ChainHead,
    Cursor,
    Entry,
    Known,
    MailItem,
    Reported,
    Uncollected,
)
from exchange.stores.engine import Engine, EngineStats
from exchange.stores.ledger_sqlite import SqliteLedgerStore
from exchange.stores.turn_sqlite import (
    Counts,
    SqliteTurn,
    count_rows,
    find_chain,
    find_document,
    find_known,
    next_index,
)

MIGRATIONS = "exchange.stores.sql.coordinator"

T = TypeVar("T")


class SqliteCoordinatorStore:
    """One database file of one coordinator. Open it with :meth:`open`.

    Args:
        engine: The open engine; the store closes it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._taking_turns = asyncio.Lock()
        self._counts: Counts | None = None
        self.sharing = Alone(engine)
        """Sessions and leases, which end with the one process that has the file."""
        self.ledger = SqliteLedgerStore(engine, self.sharing)
        """The two logs, in the same file."""

    @classmethod
    async def open(cls, path: Path, clock: Clock) -> SqliteCoordinatorStore:
        """Open or make the database; its folder must exist and be locked for this process.

        Raises:
            SetupError, StoreFailed: as :meth:`exchange.stores.engine.Engine.open`.
        """
        return cls(await Engine.open(path, MIGRATIONS, clock))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[SqliteTurn]:
        """Wait for the turn, and have it."""
        async with self._taking_turns:
            if self._counts is None:
                # Through the writer: after a failed commit it empties the WAL first, so that what this
                # turn sees is on the disk.
                self._counts = await self._engine.write(count_rows)
            turn = self._begun(self._counts)
            self._counts = None
            yield turn
            # Not after an error: it is not known then what was written.
            self._counts = turn.counts

    def _begun(self, counts: Counts) -> SqliteTurn:
        """Return a turn that begins with so many rows."""
        return SqliteTurn(self._engine, counts)

    async def commit(self, entries: Sequence[Entry], chain: ChainHead | None) -> tuple[int, ...]:
        """Record envelopes and statements in a turn of their own."""
        async with self.turn() as turn:
            return await turn.commit(entries, chain)

    async def known(self, envelopes: Collection[bytes], statements: Collection[bytes]) -> Known:
        """Return which of these ids are stored."""
        await self._engine.settled()
        return self._engine.look_up(lambda db: find_known(db, envelopes, statements))

    async def chain(self, key_id: bytes) -> ChainHead:
        """Return the last statement of a key."""
        # Through the writer: what this transaction sees is on the disk when it returns.
        return await self._engine.write(lambda db: find_chain(db, key_id))

    async def statements(self, first: int, limit: int) -> tuple[bytes, ...]:
        """Return signed statements in order."""
        query = "SELECT data FROM statement WHERE idx >= ? ORDER BY idx LIMIT ?"
        return await self._read(lambda db: tuple(data for (data,) in db.execute(query, (first, limit))))

    async def cursor(self, recipient: str) -> Cursor:
        """Return a mailbox's cursor."""
        query = "SELECT head, collected FROM cursor WHERE recipient = ?"
        return await self._read(lambda db: Cursor(*(db.execute(query, (recipient,)).fetchone() or (0, 0))))

    async def mail(self, recipient: str, after: int, *, limit: int, max_bytes: int) -> tuple[MailItem, ...]:
        """Return the items that follow ``after``."""
        return await self._read(
            lambda db: bounded(mailbox_sqlite.items(db, recipient, after), item_size, limit, max_bytes)
        )

    async def collect(
        self,
        cursors: Mapping[str, int],
        reports: Sequence[Reported],
        epochs: Mapping[str, int] = UNFENCED,
    ) -> frozenset[str]:
        """Advance cursors and record reports."""
        stale = self.sharing.stale(epochs)

        def work(db: apsw.Connection) -> None:
            for recipient, sequence in cursors.items():
                if recipient not in stale:
                    mailbox_sqlite.advance(db, recipient, sequence)
            for report in reports:
                if report.place.recipient not in stale:
                    row = (report.place.recipient, report.place.sequence, report.code.value, report.at_ms)
                    db.execute("INSERT INTO unusable VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", row)

        await self._engine.write(work)
        return stale

    async def expired(self, now_ms: int, *, limit: int) -> tuple[Uncollected, ...]:
        """Return places of expired envelopes that nobody collected."""
        return await self._read(lambda db: mailbox_sqlite.expired(db, now_ms, limit))

    async def discard_content(self, now_ms: int) -> int:
        """Let go of the content of a few envelopes."""
        before = now_ms - CONTENT_GRACE_MS
        return await self._engine.write(lambda db: mailbox_sqlite.discard_content(db, before))

    async def append_documents(self, documents: Sequence[bytes], now_ms: int) -> tuple[int, ...]:
        """Append signed documents in a turn of their own."""
        async with self.turn() as turn:
            return await turn.append_documents(documents, now_ms)

    async def documents(self, first: int, *, limit: int, max_bytes: int) -> tuple[bytes, ...]:
        """Return documents in order."""
        query = "SELECT data FROM document WHERE idx >= ? ORDER BY idx"

        def work(db: apsw.Connection) -> tuple[bytes, ...]:
            return bounded((data for (data,) in db.execute(query, (first,))), len, limit, max_bytes)

        return await self._read(work)

    async def document_index(self, document: bytes) -> int | None:
        """Return the index of the document with this hash."""
        return await self._read(lambda db: find_document(db, document))

    async def document_count(self) -> int:
        """Return how many documents there are."""
        return await self._read(lambda db: next_index(db, "document"))

    async def settled(self) -> None:
        """Return once what could be read before is durable: at once, unless a commit has failed."""
        await self._engine.settled()

    async def prove_writable(self, now_ms: int) -> None:
        """Write one small row."""
        query = "INSERT OR REPLACE INTO readiness VALUES (1, ?)"

        def work(db: apsw.Connection) -> None:
            db.execute(query, (now_ms,))

        await self._engine.write(work)

    async def _read(self, work: Callable[[apsw.Connection], T]) -> T:
        """Read what is durable."""
        await self._engine.settled()
        return await self._engine.read(work)

    def stats(self) -> EngineStats:
        """Return what the engine did since it was opened."""
        return self._engine.stats()

    async def close(self) -> None:
        """Finish what was begun, then close."""
        await self._engine.close()
