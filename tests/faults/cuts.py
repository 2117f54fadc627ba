"""Cutting the power under real store functions, and keeping the tester's own record of what was told."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from exchange.stores.connection import Place
from exchange.stores.migrate import Migration, migrate
from exchange.stores.writer import Work, WriterCore
from protocol.errors import OutcomeUnknown, StoreFailed
from tests.clocks import DAWN
from tests.faults.found import Found
from tests.faults.lossy_vfs import LossyDisk, LossyVFS

CUTS_PER_DISK = 8
PLACE = Place(Path("lossy.db"), vfs="lossy", exclusive=True)
KEPT = (0.0, 0.5, 0.9, 1.0)
"""With which probability a sector that was not synced survives a cut; one of these each time."""

Examine = Callable[[apsw.Connection], set[bytes]]
"""Return the ids that are wholly there; raise AssertionError if any is there in part."""


class Changed(Exception):
    """A work that changes its mind after it wrote: nothing of it may be there."""


@dataclass
class Book:
    """What the tester was told; the database is never asked about it."""

    there: set[bytes] = field(default_factory=set)
    absent: set[bytes] = field(default_factory=set)
    unknown: set[bytes] = field(default_factory=set)

    def note(self, name: bytes, error: Exception | None) -> None:
        """Write down one answer of the store."""
        if error is None:
            self.there.add(name)
        elif isinstance(error, OutcomeUnknown):
            self.unknown.add(name)
        else:
            assert isinstance(error, StoreFailed | Changed), error
            self.absent.add(name)


@dataclass
class Tally:
    """What a campaign found."""

    faults: int = 0
    acknowledged: int = 0
    lost: int = 0
    undead: int = 0
    unknown: int = 0
    unknown_but_there: int = 0
    corrupt: int = 0

    def found(self, fault: str) -> Found:
        """Return the row of the table."""
        return Found(
            fault,
            self.faults,
            ok=self.acknowledged - self.unknown_but_there,
            lost=self.lost,
            recovered=self.unknown_but_there,
            unknown=self.unknown - self.unknown_but_there,
            wrong=self.undead,
        )

    def require_truth(self) -> None:
        """Check that nothing acknowledged was lost, nothing refused came back, and the file stayed whole."""
        assert (self.lost, self.undead, self.corrupt) == (0, 0, 0), self


@dataclass(frozen=True)
class Subject:
    """A store under test: its shape, its works, and how to look at it afterwards.

    Args:
        migrations: Of the store.
        make: Makes one work and its id.
        examine: Looks at the store after the power came back.
        reach: A cut comes within so many operations of the disk.
    """

    migrations: Sequence[Migration]
    make: Callable[[random.Random], tuple[bytes, Work]]
    examine: Examine
    reach: int = 240

    def opened(self) -> WriterCore:
        """Open the writer as the engine does."""
        return opened(self.migrations)

    def write(self, core: WriterCore, book: Book, chance: random.Random) -> None:
        """Run one batch of works on the real writer, and note every answer."""
        batch = [self.make(chance) for _ in range(chance.choice((1, 1, 2, 5)))]
        for (name, _), outcome in zip(batch, core.run([work for _, work in batch]), strict=True):
            book.note(name, outcome.error)

    def write_until_the_cut(self, disk: LossyDisk, book: Book, chance: random.Random) -> None:
        """Run batches until the power is gone."""
        try:
            core = self.opened()
        except StoreFailed:
            disk.powered = False  # cut while it was opened, or already corrupt, which look() finds
            return
        while disk.powered:
            self.write(core, book, chance)
        core.close()

    def look(self, book: Book, tally: Tally) -> None:
        """Open the disk after the power came back, and compare it with the book."""
        there: set[bytes] = set()
        try:
            core = self.opened()
            if core.db.execute("PRAGMA integrity_check").get == "ok":
                there = self.examine(core.db)
            else:
                tally.corrupt += 1
            core.close()
        except (apsw.Error, StoreFailed):
            tally.corrupt += 1
        tally.lost += len(book.there - there)
        tally.undead += len(book.absent & there)
        tally.unknown += len(book.unknown)
        tally.unknown_but_there += len(book.unknown & there)
        # From here on the unknown are known: what is there now must stay, the rest must stay away.
        book.there |= book.unknown & there
        book.absent |= book.unknown - there
        book.unknown.clear()


def opened(migrations: Sequence[Migration], place: Place = PLACE) -> WriterCore:
    """Open a writer on the lossy disk, and bring it to the newest shape, as the engine does.

    Raises:
        StoreFailed: the disk refuses.
    """
    core = WriterCore(place)
    try:
        migrate(core.db, migrations, DAWN)
    except BaseException:
        core.close()
        raise
    return core


def campaign(vfs: LossyVFS, subject: Subject, cuts: int, seed: int = 1) -> Tally:
    """Cut the power ``cuts`` times, several times in the life of each disk, and count what is wrong."""
    tally = Tally()
    for life in range(seed, seed + cuts // CUTS_PER_DISK):
        chance = random.Random(life)
        vfs.disk = LossyDisk(seed=life)
        book = Book()
        for _ in range(CUTS_PER_DISK):
            vfs.disk.cut_at = vfs.disk.operations + chance.randrange(1, subject.reach)
            subject.write_until_the_cut(vfs.disk, book, chance)
            vfs.disk.restore_power(kept=chance.choice(KEPT))
            tally.faults += 1
            subject.look(book, tally)
        tally.acknowledged += len(book.there)
    return tally
