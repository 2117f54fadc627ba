"""The coordinator's store on PostgreSQL. The contract is :class:`~exchange.stores.contract.CoordinatorStore`.

What is written in a turn is in :mod:`exchange.stores.turn_postgres`. What is read is told only when it is
durable: after a barrier (:mod:`exchange.stores.postgres_settling`), unless nothing was found.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from exchange.clock import Clock
from exchange.stores import mailbox_postgres
from exchange.stores.bounds import bounded, item_size
from exchange.stores.content_postgres import ContentDays, day_of
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
from exchange.stores.ledger_postgres import PostgresLedgerStore
from exchange.stores.migrate_postgres import bring_up_to_date
from exchange.stores.postgres import Connection, Postgres, Use
from exchange.stores.postgres_place import PostgresPlace
from exchange.stores.postgres_settling import Settling
from exchange.stores.sharing_postgres import PostgresSharing
from exchange.stores.ticker_postgres import Ticker
from exchange.stores.turn_postgres import TAKE, PostgresTurn, find_chain, find_known
from protocol.errors import StoreFailed

T = TypeVar("T")
JUST_CHANGED_S = 10.0
OWNER_BYTES = 8
DAYS_AHEAD = 8
"""A notice lives for seven days at most, and clocks may differ a little."""


class PostgresCoordinatorStore:
    """The store of one of the processes that share a database. Open it with :meth:`open`.

    Args:
        database: The open database, at the newest migration; the store closes it.
    """

    def __init__(self, database: Postgres) -> None:
        self._database = database
        self._days = ContentDays(database)
        self._owner = secrets.token_hex(OWNER_BYTES)
        self._settling = Settling(self._mark)
        database.committing = self._settling.begin
        database.committed = self._settling.end
        self._ticker = Ticker(database)
        self.sharing = PostgresSharing(database, self._ticker)
        """Sessions and leases, by the database's clock."""
        self.ledger = PostgresLedgerStore(database, self._settling, self._ticker)
        """The two logs."""

    @classmethod
    async def open(cls, place: PostgresPlace, clock: Clock) -> PostgresCoordinatorStore:
        """Connect, and bring the database to the newest shape.

        Raises:
            SetupError: it is another program's, or a newer one's, or is not to be trusted with commits.
            StoreFailed: it cannot be reached.
            KeyfileError: the password's file cannot be used.
        """
        database = await Postgres.open(place)
        try:
            await bring_up_to_date(database, clock.now_ms())
            self = cls(database)
            await self.prove_writable(clock.now_ms())
            await self._make_days(clock.now_ms())
            self._ticker.start()
            return self
        except BaseException:
            await database.close()
            raise

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[PostgresTurn]:
        """Wait for the turn, and have it."""
        async with self._database.transaction() as transaction:
            row = await transaction.connection.fetchrow(TAKE)
            yield PostgresTurn(transaction, self._days, row["statements"], row["documents"])
            if transaction.is_committed:
                self._ticker.tick()

    async def commit(self, entries: Sequence[Entry], chain: ChainHead | None) -> tuple[int, ...]:
        """Record envelopes and statements in a turn of their own."""
        async with self.turn() as turn:
            return await turn.commit(entries, chain)

    async def _make_days(self, now_ms: int) -> None:
        """Make the partitions for everything that may be accepted from now on."""
        today = day_of(now_ms)
        await self._days.make(set(range(today - 1, today + DAYS_AHEAD + 1)))

    async def known(self, envelopes: Collection[bytes], statements: Collection[bytes]) -> Known:
        """Return which of these ids are stored."""
        async with self._database.using(Use.ACCEPT) as connection:
            known = await find_known(connection, envelopes, statements)
            server = self._database.server_of(connection)
        if known.envelopes or known.statements:
            await self._settling.settled(server)
        return known

    async def chain(self, key_id: bytes) -> ChainHead:
        """Return the last statement of a key."""
        return await self._settled_read(Use.ACCEPT, lambda connection: find_chain(connection, key_id))

    async def statements(self, first: int, limit: int) -> tuple[bytes, ...]:
        """Return signed statements in order."""
        query = "SELECT data FROM statement WHERE idx >= $1 ORDER BY idx LIMIT $2"

        async def work(connection: Connection) -> tuple[bytes, ...]:
            return tuple(row["data"] for row in await connection.fetch(query, first, limit))

        return await self._settled_read(Use.READ, work)

    async def cursor(self, recipient: str) -> Cursor:
        """Return a mailbox's cursor."""
        query = """SELECT h.head, coalesce(c.collected, 0)
            FROM mailbox_head AS h LEFT JOIN cursor AS c ON c.recipient = h.recipient
            WHERE h.recipient = $1"""

        async def work(connection: Connection) -> Cursor:
            return Cursor(*(await connection.fetchrow(query, recipient) or (0, 0)))

        return await self._settled_read(Use.PUSH, work)

    async def mail(self, recipient: str, after: int, *, limit: int, max_bytes: int) -> tuple[MailItem, ...]:
        """Return the items that follow ``after``."""

        async def work(connection: Connection) -> tuple[MailItem, ...]:
            found = await mailbox_postgres.items(connection, recipient, after, limit, max_bytes)
            return bounded(found, item_size, limit, max_bytes)

        return await self._settled_read(Use.PUSH, work)

    async def collect(
        self,
        cursors: Mapping[str, int],
        reports: Sequence[Reported],
        epochs: Mapping[str, int] = UNFENCED,
    ) -> frozenset[str]:
        """Advance cursors and record reports."""
        return await self._database.write(
            lambda connection: mailbox_postgres.collect(connection, cursors, reports, epochs), Use.PUSH
        )

    async def expired(self, now_ms: int, *, limit: int) -> tuple[Uncollected, ...]:
        """Return places of expired envelopes that nobody collected."""
        async with self._database.using(Use.READ) as connection:
            return await mailbox_postgres.expired(connection, now_ms, limit)

    async def discard_content(self, now_ms: int) -> int:
        """Let go of the content of one day, and make the days to come."""
        await self._make_days(now_ms)
        return await self._days.drop_one(day_of(now_ms - CONTENT_GRACE_MS), now_ms)

    async def append_documents(self, documents: Sequence[bytes], now_ms: int) -> tuple[int, ...]:
        """Append signed documents in a turn of their own."""
        async with self.turn() as turn:
            return await turn.append_documents(documents, now_ms)

    async def documents(self, first: int, *, limit: int, max_bytes: int) -> tuple[bytes, ...]:
        """Return documents in order."""
        query = "SELECT data FROM document WHERE idx >= $1 ORDER BY idx LIMIT $2"

        async def work(connection: Connection) -> tuple[bytes, ...]:
            rows = await connection.fetch(query, first, limit)
            return bounded((row["data"] for row in rows), len, limit, max_bytes)

        return await self._settled_read(Use.READ, work)

    async def document_index(self, document: bytes) -> int | None:
        """Return the index of the document with this hash."""
        query = "SELECT idx FROM document WHERE id = $1"

        async def work(connection: Connection) -> int | None:
            index: int | None = await connection.fetchval(query, document)
            return index

        return await self._settled_read(Use.ACCEPT, work)

    async def document_count(self) -> int:
        """Return how many documents there are."""

        async def work(connection: Connection) -> int:
            return int(await connection.fetchval("SELECT documents FROM turn"))

        return await self._settled_read(Use.READ, work)

    async def settled(self) -> None:
        """Return once everything that was read before is on the standby too."""
        if asyncio.get_running_loop().time() - self._database.changed_at < JUST_CHANGED_S:
            # It may have been read from the server before: a marker on this one says nothing about that.
            raise StoreFailed("the primary has just changed", hint="Nothing is wrong: ask again.")
        await self._settling.settled(self._database.server)

    async def prove_writable(self, now_ms: int) -> None:
        """Write a marker."""
        await self._mark()

    async def close(self) -> None:
        """Finish what was begun, then close."""
        await self._ticker.close()
        await self._settling.close()
        await self._database.close()

    async def _settled_read(self, use: Use, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Read, and return what was found once it is durable. Nothing found is nothing told."""
        async with self._database.using(use) as connection:
            found = await work(connection)
            server = self._database.server_of(connection)
        if found:
            await self._settling.settled(server)
        return found

    async def _mark(self) -> None:
        query = """INSERT INTO marker AS m VALUES ($1, 1, now())
            ON CONFLICT (owner) DO UPDATE SET count = m.count + 1, at = now()"""
        await self._database.write(lambda connection: connection.execute(query, self._owner))
