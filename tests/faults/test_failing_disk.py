"""A disk with no space left: what does not fit is refused, what fits is taken, and it goes on by itself."""

from __future__ import annotations

import apsw

from exchange.stores.migrate import packaged
from exchange.stores.writer import Outcome, WriterCore
from protocol.errors import OutcomeUnknown, StoreFailed
from tests.faults.cuts import opened
from tests.faults.lossy_vfs import LossyDisk, LossyVFS

WRITES = 30
MIGRATIONS = packaged("tests.faults.migrations")


def fresh(vfs: LossyVFS, seed: int) -> WriterCore:
    """Open a new database on a new disk."""
    vfs.disk = LossyDisk(seed)
    return opened(MIGRATIONS)


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
