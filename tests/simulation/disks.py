"""A member's disk, and its store: the product's writer on a file system that forgets what was not synced.

Reads and writes take virtual time, and works that wait share one commit, as in
:class:`~exchange.stores.engine.Engine`; between the commit and the answer the process may end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import apsw

from exchange.stores.connection import REFUSALS, Place
from exchange.stores.engine import BATCH, Engine, EngineStats
from exchange.stores.worker import Job, settle
from exchange.stores.writer import Outcome, WriterCore
from protocol.errors import StoreFailed
from tests.faults.lossy_vfs import LossyDisk, LossyVFS, Platter
from tests.simulation.loop import Life, SimLoop

T = TypeVar("T")
DATABASE = "store.db"


class Machine:
    """What outlives a member's process: its disk.

    Args:
        code: The member's code.
        seed: Decides what survives a power cut.
    """

    def __init__(self, code: str, seed: int) -> None:
        self._vfs = LossyVFS(f"sim-{code}-{seed}")
        self._vfs.disk = self.disk = LossyDisk(seed)
        self.place = Place(Path(DATABASE), vfs=f"sim-{code}-{seed}", exclusive=True)

    def copy_from(self, other: Machine) -> None:
        """Lay the files of another disk on this one, durably."""
        for path, platter in other.disk.files.items():
            self.disk.files[path] = Platter(bytearray(platter.visible), bytearray(platter.visible))

    def scrap(self) -> None:
        """Give the file system back."""
        self._vfs.unregister()


class SimEngine(Engine):
    """The store of one process on its machine's disk.

    Args:
        loop: Virtual time.
        life: The process; what happens to it happens to this.
        machine: Where the database lies.
        powerless: Called once if the power goes in the middle of a commit.
    """

    def __init__(self, loop: SimLoop, life: Life, machine: Machine, powerless: Callable[[], None]) -> None:
        self._loop: SimLoop = loop
        self._life = life
        self._disk = machine.disk
        self._writer = WriterCore(machine.place)
        self._powerless = powerless
        self._jobs: list[Job] = []
        self._busy = False
        self._closed = False
        self._reads_done = 0

    @property
    def core(self) -> WriterCore:
        """The writer, for migrations and for whoever examines the store from outside."""
        return self._writer

    async def write(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run ``work`` in a transaction that others may share; durable when this returns."""
        self._require_open()
        waiting: asyncio.Future[T] = self._loop.create_future()
        self._jobs.append(Job(work, waiting))
        if not self._busy:
            self._busy = True
            self._loop.call_later(self._loop.chance.uniform(0.0005, 0.006), self._commit)
        return await waiting

    async def read(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run ``work`` on a snapshot."""
        self._require_open()
        await asyncio.sleep(0)
        return self.look_up(work)

    def look_up(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run ``work`` on a snapshot, at once."""
        self._require_open()
        self._reads_done += 1
        try:
            db = self._writer.db
            db.execute("BEGIN")
            try:
                return work(db)
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")
        except REFUSALS as error:
            if not self._disk.powered:
                self._powerless()
            raise StoreFailed(f"the database cannot be read ({type(error).__name__})") from error

    def stats(self) -> EngineStats:
        """Return the counters of this moment."""
        counters = self._writer.counters
        return EngineStats(
            counters.works, counters.commits, counters.largest_batch, counters.reopened, self._reads_done
        )

    async def empty_log(self) -> None:
        """Fold the write-ahead log into the database."""
        self._require_open()
        await asyncio.sleep(0)
        try:
            self._writer.db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except REFUSALS as error:
            raise StoreFailed(f"the log cannot be emptied ({type(error).__name__})") from error

    async def close(self) -> None:
        """Finish what waits, then close."""
        while self._jobs or self._busy:  # noqa: ASYNC110 - in virtual time a look costs nothing
            await asyncio.sleep(0.001)
        self.shut()

    def shut(self) -> None:
        """Let go of the files at once, as the end of a process does."""
        if not self._closed:
            self._closed = True
            self._writer.close()

    def _require_open(self) -> None:
        if self._closed or self._life.dead:
            raise StoreFailed("the store is closed")

    def _commit(self) -> None:
        if self._closed or self._life.dead:
            return
        batch, self._jobs = self._jobs[:BATCH], self._jobs[BATCH:]
        outcomes = self._writer.run([job.work for job in batch])
        if not self._disk.powered:
            self._powerless()
            return
        self._loop.call_later(self._loop.chance.uniform(0.0001, 0.002), self._answer, batch, outcomes)

    def _answer(self, batch: list[Job], outcomes: list[Outcome]) -> None:
        if self._life.dead:
            return
        settle(batch, outcomes)
        if self._jobs:
            self._loop.call_later(self._loop.chance.uniform(0.0005, 0.006), self._commit)
        else:
            self._busy = False
