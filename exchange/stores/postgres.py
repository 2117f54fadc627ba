"""A PostgreSQL database as a coordinator needs it: pools, transactions, and commits that tell the truth.

Three pools, so that what is pushed cannot keep out what is accepted, nor what auditors read either of
them. Every connection is to the server that takes writes: a standby is never asked, it may be behind.

A commit has no time limit and is never cancelled. It waits for the synchronous standby; a wait that is
cancelled leaves a row that everybody sees and a failover takes back. If its outcome is in doubt, the
connection is ended, and the outcome is unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

import asyncpg
import structlog

from exchange.stores.postgres_errors import (
    PASSING,
    READ_ONLY,
    REFUSALS,
    is_lost,
    is_mistake,
    refusal,
    state_of,
)
from exchange.stores.postgres_place import PostgresPlace
from protocol.errors import OutcomeUnknown, SetupError, StoreFailed

T = TypeVar("T")
Connection: TypeAlias = Any
"""A connection of asyncpg, which ships no types."""

CONNECT_SECONDS = 3.0
ACQUIRE_SECONDS = 5.0
"""How long a call waits for a connection before it is refused: what waits is bounded."""

LOCK_MS = 5_000
IDLE_MS = 5_000
"""A process that stands still inside a transaction for so long loses it, and with it the turn."""

READ_MS = 10_000
TRIES = 3
KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 10_000}

log = structlog.get_logger()


class Use(StrEnum):
    """What a connection is for."""

    ACCEPT = "accept"
    PUSH = "push"
    READ = "read"


POOL_SIZES = {Use.ACCEPT: 4, Use.PUSH: 4, Use.READ: 4}


class Postgres:
    """Connections to one database. Open it with :meth:`open`.

    Args:
        place: Where it is.
    """

    def __init__(self, place: PostgresPlace) -> None:
        self.place = place
        self._pools: dict[Use, Any] = {}
        self._open: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._committing: set[Connection] = set()
        self._servers: weakref.WeakKeyDictionary[Connection, str] = weakref.WeakKeyDictionary()
        self._first = 0
        self.server = ""
        """The server of the newest connection."""
        self.changed_at = float("-inf")
        """When it last became another one, by the event loop's time."""
        self.committing: Callable[[], int] = lambda: 0
        """Called before a commit is sent."""
        self.committed: Callable[[int, str], None] = lambda number, server: None
        """Called after a commit, with what :attr:`committing` returned for it, and the server."""

    @classmethod
    async def open(cls, place: PostgresPlace, sizes: dict[Use, int] | None = None) -> Postgres:
        """Connect to the server that takes writes.

        Raises:
            StoreFailed: there is none that can be reached.
            SetupError: it does not flush what it commits.
            KeyfileError: the password's file cannot be used.
        """
        self = cls(place)
        try:
            for use, size in (sizes or POOL_SIZES).items():
                self._pools[use] = await asyncpg.create_pool(
                    min_size=0,
                    max_size=size,
                    connect=self._connector(use),
                    init=self._prepare,
                    reset=_leave_as_it_is,
                    max_inactive_connection_lifetime=300.0,
                )
        except REFUSALS as error:
            await self.close()
            raise refusal(error, place.shown) from error
        except BaseException:
            await self.close()
            raise
        return self

    async def connect(self, use: Use) -> Connection:
        """Return a connection outside of any pool, to the server that takes writes.

        Raises:
            StoreFailed: there is none.
        """
        try:
            connection = await self._connector(use)()
            try:
                await self._prepare(connection)
            except BaseException:
                _end(connection)
                raise
            return connection
        except REFUSALS as error:
            raise refusal(error, self.place.shown) from error

    @asynccontextmanager
    async def using(self, use: Use) -> AsyncIterator[Connection]:
        """Lend a connection for reading, or for a transaction.

        Raises:
            StoreFailed: the server refused, or is not there; nothing was written.
        """
        connection = None
        try:
            async with self._pools[use].acquire(timeout=ACQUIRE_SECONDS) as connection:
                yield connection
        except REFUSALS as error:
            await self._look_at(error, connection)
            if is_mistake(error):
                raise
            raise refusal(error, self.place.shown) from error

    @asynccontextmanager
    async def transaction(self, use: Use = Use.ACCEPT) -> AsyncIterator[Transaction]:
        """Lend a transaction; without a :meth:`Transaction.commit` nothing happened.

        Raises:
            StoreFailed: the server refused; nothing was written.
        """
        async with self.using(use) as connection:
            transaction = Transaction(self, connection)
            try:
                await connection.execute("BEGIN")
                yield transaction
            except asyncio.CancelledError:
                # asyncpg has asked the server to cancel the statement; that could come late, and hit the
                # commit of whoever has this connection next.
                _end(connection)
                raise
            finally:
                await transaction.roll_back()

    async def write(self, work: Callable[[Connection], Awaitable[T]], use: Use = Use.ACCEPT) -> T:
        """Run ``work`` in a transaction and return its result; durable when this returns.

        The work may run again, after it was undone. A caller that is cancelled does not know whether it
        was done; it goes on to its end.

        Raises:
            StoreFailed: nothing was written.
            OutcomeUnknown: all of it is there, or nothing.
        """
        running = asyncio.ensure_future(self._write(work, use))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            running.add_done_callback(_forget)
            raise

    async def _write(self, work: Callable[[Connection], Awaitable[T]], use: Use) -> T:
        for tried in range(1, TRIES + 1):
            try:
                async with self.transaction(use) as transaction:
                    result = await work(transaction.connection)
                    await transaction.commit()
                    return result
            except StoreFailed as error:
                if tried == TRIES or state_of(error.__cause__ or error) not in PASSING:
                    raise
        raise AssertionError

    async def close(self) -> None:
        """End all connections; what was begun is finished by whoever began it."""
        for pool in self._pools.values():
            with contextlib.suppress(*REFUSALS):
                async with asyncio.timeout(ACQUIRE_SECONDS):
                    await pool.close()
            pool.terminate()

    # Connections.

    def _connector(self, use: Use) -> Callable[..., Awaitable[Connection]]:
        settings = {
            "application_name": f"almenara {use.value}",
            "lock_timeout": str(LOCK_MS),
            "idle_in_transaction_session_timeout": str(IDLE_MS),
            "statement_timeout": str(READ_MS if use is Use.READ else 0),
            "default_transaction_isolation": "read committed",
        }

        async def connect(*_args: Any, **more: Any) -> Connection:
            hosts = self.place.hosts
            last: BaseException = OSError("no server")
            for step in range(len(hosts)):
                at = (self._first + step) % len(hosts)
                try:
                    # Each in its own time: one that stands still must not use up that of the others.
                    connection = await asyncpg.connect(
                        **self.place.arguments(*hosts[at]),
                        timeout=CONNECT_SECONDS,
                        target_session_attrs="read-write",
                        server_settings=settings,
                        **more,
                    )
                except REFUSALS as error:
                    last = error
                    continue
                self._first = at
                return connection
            raise last

        return connect

    async def _prepare(self, connection: Connection) -> None:
        """Make sure of a new connection: it flushes what it commits, and notices when nobody is there."""
        self._open.add(connection)
        _keep_alive(connection)
        row = await connection.fetchrow(
            """SELECT pg_is_in_recovery() AS standby, current_setting('fsync') AS fsync,
                current_setting('synchronous_commit') AS waits,
                concat_ws(' ', inet_server_addr(), inet_server_port(), pg_postmaster_start_time())
                    AS server"""
        )
        if row["standby"]:
            raise asyncpg.ReadOnlySQLTransactionError("the server is a standby")
        if row["fsync"] != "on":
            raise SetupError(
                "the database server does not flush what it commits (fsync is off)",
                hint="Set fsync = on in postgresql.conf, and start the server again.",
            )
        if row["waits"] not in ("on", "remote_apply"):
            await connection.execute("SET synchronous_commit = on")
        self._servers[connection] = row["server"]
        if self.server not in ("", row["server"]):
            self.changed_at = asyncio.get_running_loop().time()
        self.server = row["server"]

    def server_of(self, connection: Connection) -> str:
        """Return which server a connection leads to, and since when that runs: no other is the same."""
        return self._servers[getattr(connection, "_con", connection)]

    async def _look_at(self, error: BaseException, connection: Connection | None) -> None:
        """Part with connections that lead nowhere any more."""
        if connection is None or is_mistake(error) or not is_lost(error):
            return
        _end(connection)
        if state_of(error) == READ_ONLY:
            log.error("store.primary_lost", code=READ_ONLY)
            self.part()
            return
        for pool in self._pools.values():
            await pool.expire_connections()

    def part(self) -> None:
        """End every connection that is not committing: their server is not the one to write to any more."""
        for connection in list(self._open):
            if connection not in self._committing:
                _end(connection)


class Transaction:
    """A transaction that has begun.

    Args:
        owner: The database.
        connection: The connection it runs on.
    """

    def __init__(self, owner: Postgres, connection: Connection) -> None:
        self._owner = owner
        self.connection = connection
        self.is_over = False
        self.is_committed = False

    async def commit(self) -> None:
        """Commit; durable on this server and its synchronous standby when this returns.

        Raises:
            StoreFailed: nothing was written.
            OutcomeUnknown: all of it is there, or nothing.
        """
        self.is_over = True
        connection, warnings = self.connection, []
        if connection.is_closed():
            raise StoreFailed(
                "the transaction was ended by the server before its commit",
                hint="Nothing was written. If it happens often, look for a machine that stands still.",
            )
        server = self._owner.server_of(connection)

        def listen(_: object, message: Any) -> None:
            if getattr(message, "severity_en", "") == "WARNING":
                warnings.append(message)

        connection.add_log_listener(listen)
        raw = connection._con if hasattr(connection, "_con") else connection
        self._owner._committing.add(raw)
        began = self._owner.committing()
        sending = asyncio.ensure_future(connection.execute("COMMIT"))
        try:
            status = await asyncio.shield(sending)
        except asyncio.CancelledError:
            # Never cancelled on the server: a wait that is cancelled leaves a row that a failover takes back.
            _end(connection)
            sending.add_done_callback(_forget)
            raise
        except REFUSALS as error:
            if is_lost(error) and state_of(error) != READ_ONLY:
                raise OutcomeUnknown("the database was lost while the work was being committed") from error
            raise
        finally:
            self._owner._committing.discard(raw)
            with contextlib.suppress(asyncpg.InterfaceError):
                connection.remove_log_listener(listen)
        if status != "COMMIT":
            raise StoreFailed("the database undid the work instead of committing it")
        if warnings:
            # "canceling wait for synchronous replication": committed here, and perhaps nowhere else.
            _end(connection)
            log.error("store.not_replicated")
            raise OutcomeUnknown("the work was committed, but perhaps not on the standby")
        self.is_committed = True
        self._owner.committed(began, server)

    async def roll_back(self) -> None:
        """Undo what was not committed; ends the connection if even that fails."""
        if self.is_over or self.connection.is_closed():
            return
        self.is_over = True
        try:
            await self.connection.execute("ROLLBACK")
        except REFUSALS:
            _end(self.connection)
        except asyncio.CancelledError:
            _end(self.connection)
            raise


async def _leave_as_it_is(_: Connection) -> None:
    """Reset nothing between two uses: every use of ours leaves a connection as it found it."""


def _end(connection: Connection) -> None:
    """End a connection without asking the server."""
    with contextlib.suppress(*REFUSALS):
        connection.terminate()


def _forget(done: asyncio.Future[Any]) -> None:
    """Take note of the outcome of what nobody waits for any more."""
    if not done.cancelled():
        done.exception()


def _keep_alive(connection: Connection) -> None:
    """Let the kernel notice a server that is not there any more: 11 seconds without a sign are the end."""
    transport = getattr(connection, "_transport", None)
    plug = None if transport is None else transport.get_extra_info("socket")
    if plug is None or plug.family not in (socket.AF_INET, socket.AF_INET6):
        return
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            plug.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
