"""Power cuts and failing disks under the real writer: what was acknowledged is never lost."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
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

CUTS_IN_THE_GATE = 2_000
CUTS_IN_A_CAMPAIGN = 20_000
CUTS_PER_DISK = 8
MIGRATIONS = packaged("tests.faults.migrations")
PLACE = Place(Path("lossy.db"), vfs="lossy", exclusive=True)


class Changed(Exception):
    """A work that changes its mind after it wrote."""


@dataclass
class Book:
    """The tester's own record of what it was told; the database is never asked about it."""

    there: set[int] = field(default_factory=set)
    absent: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)
    next_number: int = 0

    def note(self, number: int, outcome: Outcome) -> None:
        """Write down one answer of the store."""
        if outcome.error is None:
            self.there.add(number)
        elif isinstance(outcome.error, OutcomeUnknown):
            self.unknown.add(number)
        else:
            assert isinstance(outcome.error, StoreFailed | Changed), outcome.error
            self.absent.add(number)


@dataclass
class Tally:
    """What a campaign of cuts found."""

    cuts: int = 0
    acknowledged: int = 0
    lost: int = 0
    undead: int = 0
    unknown: int = 0
    unknown_but_there: int = 0
    corrupt: int = 0


@dataclass(frozen=True)
class Insert:
    """One work: a numbered row with a body, taken back if it changes its mind."""

    number: int
    body: bytes
    changes: bool = False

    def __call__(self, db: apsw.Connection) -> int:
        """Insert the row."""
        db.execute("INSERT INTO entry (number, body) VALUES (?, ?)", (self.number, self.body))
        if self.changes:
            raise Changed
        return self.number


@pytest.fixture(autouse=True)
def _frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fold the WAL often, so that cuts also hit checkpoints."""
    monkeypatch.setattr(connection, "AUTOCHECKPOINT_PAGES", 24)


@pytest.fixture
def vfs() -> Iterator[LossyVFS]:
    """Register the lossy file system for one test."""
    lossy = LossyVFS()
    yield lossy
    lossy.unregister()


def opened() -> WriterCore:
    """Open the writer as the engine does."""
    core = WriterCore(PLACE)
    try:
        migrate(core.db, MIGRATIONS, DAWN)
    except BaseException:
        core.close()
        raise
    return core


def write_until_the_cut(disk: LossyDisk, book: Book, chance: random.Random) -> None:
    """Run batches of the real writer until the power is gone."""
    try:
        core = opened()
    except StoreFailed:
        disk.powered = False  # cut while it was opened, or already corrupt, which examine() finds
        return
    while disk.powered:
        batch = []
        for _ in range(chance.choice((1, 1, 2, 5))):
            body = chance.randbytes(chance.choice((20, 300, 3_000, 9_000)))
            batch.append(Insert(book.next_number, body, changes=chance.random() < 0.1))
            book.next_number += 1
        for work, outcome in zip(batch, core.run(batch), strict=True):
            book.note(work.number, outcome)
    core.close()


def examine(book: Book, tally: Tally) -> None:
    """Open the disk after the power came back, and compare it with the book."""
    try:
        core = opened()
        rows = {int(str(number)) for (number,) in core.db.execute("SELECT number FROM entry")}
        healthy = core.db.execute("PRAGMA integrity_check").get == "ok"
        core.close()
    except (apsw.Error, StoreFailed):
        rows, healthy = set(), False
    tally.corrupt += not healthy
    tally.lost += len(book.there - rows)
    tally.undead += len(book.absent & rows)
    tally.unknown += len(book.unknown)
    tally.unknown_but_there += len(book.unknown & rows)
    # From here on the unknown are known: what is there now must stay, the rest must stay away.
    book.there |= book.unknown & rows
    book.absent |= book.unknown - rows
    book.unknown.clear()


def campaign(vfs: LossyVFS, cuts: int, seed: int = 1) -> Tally:
    """Cut the power ``cuts`` times, several times in the life of each disk, and count what is wrong."""
    tally = Tally()
    for life in range(seed, seed + cuts // CUTS_PER_DISK):
        chance = random.Random(life)
        vfs.disk = LossyDisk(seed=life)
        book = Book()
        for _ in range(CUTS_PER_DISK):
            vfs.disk.cut_at = vfs.disk.operations + chance.randrange(1, 120)
            write_until_the_cut(vfs.disk, book, chance)
            vfs.disk.restore_power(kept=chance.choice((0.0, 0.5, 0.9, 1.0)))
            tally.cuts += 1
            examine(book, tally)
        tally.acknowledged += len(book.there)
    return tally


def assert_truthful(tally: Tally, cuts: int) -> None:
    """Check that nothing acknowledged was lost and nothing refused came back."""
    assert tally.cuts == cuts
    assert (tally.lost, tally.undead, tally.corrupt) == (0, 0, 0), tally
    assert tally.acknowledged > cuts, "the loop hardly wrote anything"
    assert 0 < tally.unknown_but_there < tally.unknown, "both kinds of unknown must have happened"


def test_no_acknowledged_row_is_lost_in_two_thousand_power_cuts(vfs: LossyVFS) -> None:
    """Acknowledged rows survive, refused rows stay away, and the file stays whole."""
    assert_truthful(campaign(vfs, CUTS_IN_THE_GATE), CUTS_IN_THE_GATE)


@pytest.mark.long
def test_no_acknowledged_row_is_lost_in_twenty_thousand_power_cuts(vfs: LossyVFS) -> None:
    """The same with ten times as many cuts and other seeds."""
    assert_truthful(campaign(vfs, CUTS_IN_A_CAMPAIGN, seed=1_000_000), CUTS_IN_A_CAMPAIGN)


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_the_loop_sees_the_losses_of_a_weaker_setting(
    vfs: LossyVFS, monkeypatch: pytest.MonkeyPatch, synchronous: str
) -> None:
    """The loop can fail: with less than synchronous=FULL it finds acknowledged rows missing."""
    monkeypatch.setattr(connection, "SYNCHRONOUS", synchronous)
    assert campaign(vfs, 80).lost > 0
