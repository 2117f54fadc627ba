"""The n-th sync, write or read of the disk fails, for every n until a run is clean.

A loop over the index of the failing call finds what random faults miss; it is how SQLite tests itself
(sqlite.org/testing.html).
"""

from __future__ import annotations

import random
from itertools import count

import pytest

from exchange.stores.writer import WriterCore
from protocol.errors import StoreFailed
from tests.faults.cuts import KEPT, Book, Subject, Tally
from tests.faults.found import Tell
from tests.faults.lossy_vfs import LossyDisk, LossyVFS
from tests.faults.sizes import sized
from tests.faults.subjects import SHARES

FOR_EVER = 10**9


def write_batches(subject: Subject, book: Book, chance: random.Random) -> WriterCore | None:
    """Open the store and write to it; return the writer that is still open, if it could be opened."""
    try:
        core = subject.opened()
    except StoreFailed:
        return None
    for _ in range(sized(gate=3, faults=8, long=20)):
        subject.write(core, book, chance)
    return core


def fail_nth(vfs: LossyVFS, subject: Subject, tally: Tally, call: str, numbers: range) -> bool:
    """Let these calls fail, heal the disk, write, cut the power, and look; return whether one did fail."""
    disk = vfs.disk = LossyDisk(seed=numbers[0])
    disk.failing[call] = numbers
    book, chance = Book(), random.Random(1)
    core = write_batches(subject, book, chance)
    disk.failing.clear()
    if core is None:
        core = subject.opened()
    before = len(book.there)
    for _ in range(3):  # a work of the engine's may change its mind, but not all of them
        subject.write(core, book, chance)
    assert len(book.there) > before, "the store did not go on by itself"
    disk.powered = False
    core.close()
    disk.restore_power(kept=KEPT[numbers[0] % len(KEPT)])
    tally.faults += 1
    subject.look(book, tally)
    tally.acknowledged += len(book.there)
    return disk.failed > 0


@pytest.mark.parametrize("store", SHARES)
@pytest.mark.parametrize("call", ["sync", "write", "read"])
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
def test_whichever_call_fails_every_answer_is_true(
    vfs: LossyVFS, tell: Tell, store: str, call: str, lasting: bool
) -> None:
    """Acknowledged is there after a power cut, refused is not; when the disk is well the store goes on."""
    tally = Tally()
    # The gate skips two of three writes; migrations alone are hundreds.
    step = sized(gate=3 if call == "write" else 1, faults=1, long=1)
    for n in count(1, step):
        numbers = range(n, FOR_EVER if lasting else n + 1)
        if not fail_nth(vfs, SHARES[store].subject, tally, call, numbers):
            break
    tell(tally.found("failing disk calls"))
    tally.require_truth()
    assert tally.faults > 3, "the loop met hardly any call"
