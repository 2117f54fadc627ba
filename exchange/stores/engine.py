"""The embedded database: durable when ``write`` returns, and fast because commits are shared.

One thread writes and takes every call that waits, up to :data:`BATCH`, into one commit: one flush
of the disk pays for all of them. Other threads read, each call from one snapshot, without waiting
for the writer; a few rows found by key are looked up on the loop itself, which costs a seventh of
waking a thread. See :mod:`exchange.stores.writer` for the three outcomes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar, cast

import apsw
import msgspec

from exchange.clock import Clock
from exchange.stores.connection import Place, empty_log, require_safe_sqlite
from exchange.stores.migrate import migrate, packaged
from exchange.stores.reader import ReaderCore
from exchange.stores.worker import Job, Jobs, Worker
from exchange.stores.writer import WriterCore
from protocol.errors import StoreFailed

BATCH = 256
READ_BATCH = 8

T = TypeVar("T")


class EngineStats(msgspec.Struct, frozen=True):
    """What the engine did since it was opened; ``writes / commits`` says how well commits are shared."""

    writes: int
    commits: int
    largest_batch: int
    reopened: int
    reads: int


class Engine:
    """One database file, served to one event loop. Open it with :meth:`open`."""

    def __init__(self, writer: WriterCore, readers: Sequence[ReaderCore], lookup: ReaderCore) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._writer = writer
        self._readers = readers
        self._lookup = lookup
        self._writes: Jobs = Jobs()
        self._reads: Jobs = Jobs()
        self._writing = Worker("almenara-writer", self._writes, writer.run, BATCH, loop)
        self._reading = [
            Worker(f"almenara-reader-{number}", self._reads, reader.run, READ_BATCH, loop)
            for number, reader in enumerate(readers)
        ]
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, path: Path, migrations_package: str, clock: Clock, *, readers: int = 2) -> Engine:
        """Open a database, make it if it is not there, and bring it to the newest shape.

        Args:
            path: The database file; its folder must exist and be locked for this process.
            migrations_package: Such as ``exchange.stores.sql.node``.
            clock: Its time is recorded with each migration.
            readers: How many reads may run at once.

        Raises:
            SetupError: SQLite is unsafe, the folder cannot hold a WAL, or the history differs.
            StoreFailed: The disk refuses.
        """
        require_safe_sqlite(apsw.sqlite_lib_version())
        writer, cores = await asyncio.to_thread(prepare, Place(path), migrations_package, clock, readers + 1)
        return cls(writer, cores[1:], cores[0])

    async def write(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run ``work`` in a transaction and return its result; durable when this returns.

        The work holds statements without BEGIN or COMMIT, may run twice (the first time undone), and
        must have no effect but through its connection. It runs in the writer's thread. A caller that
        is cancelled does not know whether the work was done.

        Raises:
            OutcomeUnknown: The commit failed half-way: it may be there or not.
            StoreFailed: The disk refused, or the file was replaced: nothing was written.
            Exception: Whatever the work raised: nothing of it was written.
        """
        return await self._call(self._writes, work)

    async def read(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run ``work`` on a snapshot that holds every write that had returned, and return its result.

        Rows must be fetched inside the work, not carried out as a cursor.

        Raises:
            StoreFailed: The disk refused.
            Exception: Whatever the work raised.
        """
        return await self._call(self._reads, work)

    def look_up(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run a short ``work`` at once, on a snapshot as :meth:`read` has it, and return its result.

        Only for single rows found by key: the event loop stands still meanwhile.

        Raises:
            StoreFailed: The disk refused, or the store is closed.
            Exception: Whatever the work raised.
        """
        self._require_open()
        outcome = self._lookup.run([work])[0]
        if outcome.error is not None:
            raise outcome.error
        return cast(T, outcome.value)

    @property
    def path(self) -> Path:
        """Where the database lies."""
        return self._writer.place.path

    def stats(self) -> EngineStats:
        """Return the counters of this moment."""
        counters = self._writer.counters
        return EngineStats(
            writes=counters.works,
            commits=counters.commits,
            largest_batch=counters.largest_batch,
            reopened=counters.reopened,
            reads=self._lookup.reads + sum(reader.reads for reader in self._readers),
        )

    async def settled(self) -> None:
        """Return once everything that could be read before is durable: at once, but after a failed commit.

        A commit that failed half-way may have left rows that readers see and a power cut takes back. The
        next write empties the write-ahead log first, so that they stay.

        Raises:
            StoreFailed, OutcomeUnknown: the disk still refuses.
        """
        if self._writer.in_doubt:
            await self.write(lambda _: None)

    async def empty_log(self) -> None:
        """Fold the write-ahead log into the database and cut it to nothing.

        Pages of rows that were deleted before are then in neither file.

        Raises:
            StoreFailed: A reader was in the way for too long, or the disk refused; try again later.
        """
        if self._closing is not None:
            raise StoreFailed("the store is closed", hint="Start the service again.")
        await asyncio.to_thread(empty_log, self._writer.place)

    async def close(self) -> None:
        """Finish every call made before, then close; calls made after are refused. May be repeated."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._drain())
        await asyncio.shield(self._closing)

    async def _call(self, jobs: Jobs, work: Callable[[apsw.Connection], T]) -> T:
        self._require_open()
        waiting: asyncio.Future[T] = self._loop.create_future()
        jobs.put(Job(work, waiting))
        return await waiting

    def _require_open(self) -> None:
        if self._closing is not None:
            raise StoreFailed("the store is closed", hint="Start the service again.")

    async def _drain(self) -> None:
        self._writes.put(None)
        for _ in self._reading:
            self._reads.put(None)
        for worker in (*self._reading, self._writing):
            await asyncio.to_thread(worker.join)
        await asyncio.to_thread(self._close_connections)

    def _close_connections(self) -> None:
        """Close the writer last: as the only connection left, it folds the WAL into the database."""
        for reader in (*self._readers, self._lookup):
            reader.close()
        self._writer.close()


def prepare(
    place: Place, migrations_package: str, clock: Clock, readers: int
) -> tuple[WriterCore, list[ReaderCore]]:
    """Open the connections of an engine, with the migrations applied.

    Raises:
        SetupError: The folder cannot hold a WAL, or the history differs.
        StoreFailed: The disk refuses.
    """
    migrations = packaged(migrations_package)
    place.create()
    writer = WriterCore(place)
    try:
        migrate(writer.db, migrations, clock.now_ms())
        return writer, [ReaderCore(place) for _ in range(readers)]
    except BaseException:
        writer.close()
        raise
