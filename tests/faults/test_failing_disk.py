"""Disks that fail without a power cut: EIO on the n-th operation, and no space left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from exchange.stores import connection
from exchange.stores.connection import Place
from exchange.stores.migrate import migrate, packaged
from exchange.stores.writer import Outcome, WriterCore
from protocol.errors import OutcomeUnknown, StoreFailed
from tests.clocks import DAWN
from tests.faults.lossy_vfs import LossyDisk, LossyVFS

WRITES = 30
PLACE = Place(Path("failing.db"), vfs="failing", exclusive=True)
MIGRATIONS = packaged("tests.faults.migrations")


@pytest.fixture(autouse=True)
def _frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fold the WAL often, so that faults also hit checkpoints."""
    monkeypatch.setattr(connection, "AUTOCHECKPOINT_PAGES", 24)


@pytest.fixture
def vfs() -> Iterator[LossyVFS]:
    """Register the failing file system for one test."""
    lossy = LossyVFS("failing")
    yield lossy
    lossy.unregister()


def fresh(vfs: LossyVFS, seed: int) -> WriterCore:
    """Open a new database on a new disk."""
    vfs.disk = LossyDisk(seed)
    core = WriterCore(PLACE)
    migrate(core.db, MIGRATIONS, DAWN)
    return core


def insert(core: WriterCore, number: int, size: int = 2_000) -> Outcome:
    """Write one row through the real writer."""
    statement = "INSERT INTO entry (number, body) VALUES (?, zeroblob(?))"
    return core.run([lambda db: db.execute(statement, (number, size)).get])[0]


def rows(core: WriterCore) -> set[int]:
    """Return the numbers of the rows that are there."""
    return {int(str(number)) for (number,) in core.db.execute("SELECT number FROM entry WHERE number >= 0")}


def write_all(core: WriterCore) -> list[Outcome]:
    """Write the rows 0, 1, 2, ... and return what was answered for each."""
    return [insert(core, number) for number in range(WRITES)]


def assert_truthful(core: WriterCore, outcomes: list[Outcome]) -> None:
    """Check every answer against what is there."""
    there = rows(core)
    for number, outcome in enumerate(outcomes):
        if outcome.error is None:
            assert number in there
        elif isinstance(outcome.error, StoreFailed):
            assert number not in there
        else:
            assert isinstance(outcome.error, OutcomeUnknown)
    assert core.db.execute("PRAGMA integrity_check").get == "ok"


@pytest.mark.parametrize("kind", ["fail_sync", "fail_write", "fail_read"])
def test_one_failure_is_told_truthfully_and_later_writes_work(vfs: LossyVFS, kind: str) -> None:
    """Whichever single sync, write or read fails, each answer is true and the store goes on by itself."""
    told: set[type] = set()
    for n in range(1, 60):
        core = fresh(vfs, seed=n)
        disk = vfs.disk
        done = {"fail_sync": disk.syncs, "fail_write": disk.writes, "fail_read": disk.reads}[kind]
        setattr(disk, kind, {done + n})
        outcomes = write_all(core)
        failures = [type(outcome.error) for outcome in outcomes if outcome.error is not None]
        assert len(failures) <= 1
        told.update(failures)
        setattr(disk, kind, set())
        assert insert(core, WRITES).error is None
        assert_truthful(core, outcomes)
        core.close()
    assert OutcomeUnknown in told, "no fault ever hit a commit"


@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_rows_written_after_a_failed_sync_survive_a_power_cut(vfs: LossyVFS, kept: float) -> None:
    """A kernel that forgets the pages of a failed sync cannot make later acknowledged rows unreadable."""
    for n in range(1, 40):
        core = fresh(vfs, seed=n)
        vfs.disk.fail_sync = {vfs.disk.syncs + n}
        outcomes = write_all(core)
        vfs.disk.powered = False
        core.close()
        vfs.disk.restore_power(kept)
        core = WriterCore(PLACE)
        assert_truthful(core, outcomes)
        core.close()


def test_a_disk_that_never_syncs_again_accepts_nothing(vfs: LossyVFS) -> None:
    """While every sync fails no write is claimed; when the disk is well again, writes work by themselves."""
    core = fresh(vfs, seed=1)
    vfs.disk.fail_sync = set(range(vfs.disk.syncs + 1, 10_000))
    outcomes = write_all(core)
    assert all(isinstance(outcome.error, OutcomeUnknown | StoreFailed) for outcome in outcomes)
    vfs.disk.fail_sync.clear()
    assert insert(core, WRITES).error is None
    assert_truthful(core, outcomes)
    core.close()


def test_a_full_disk_refuses_the_large_and_still_takes_the_small(vfs: LossyVFS) -> None:
    """In one batch the work that does not fit is refused, and the others are committed."""
    core = fresh(vfs, seed=1)
    vfs.disk.free = 64_000

    def large(db: apsw.Connection) -> None:
        db.execute("INSERT INTO entry (number, body) VALUES (100, zeroblob(200000))")

    def small(db: apsw.Connection) -> str:
        db.execute("INSERT INTO entry (number, body) VALUES (101, x'00')")
        return "small"

    refused, taken = core.run([large, small])
    assert isinstance(refused.error, StoreFailed)
    assert taken == Outcome("small", None)
    assert rows(core) == {101}
    core.close()


def test_writes_resume_by_themselves_when_there_is_space_again(vfs: LossyVFS) -> None:
    """A full disk refuses definitely; freed space is used without a restart."""
    for free in range(0, 60_000, 1_000):
        core = fresh(vfs, seed=free)
        vfs.disk.free = free
        outcomes = write_all(core)
        assert any(isinstance(outcome.error, StoreFailed) for outcome in outcomes)
        vfs.disk.free = None
        assert insert(core, WRITES).error is None
        assert_truthful(core, outcomes)
        core.close()
