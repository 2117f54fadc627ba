"""Power cuts under the sequencer: what was published is there, and no size ever gets a second root."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

import apsw
import pytest

from exchange.coordinator.anchor import Anchor
from exchange.coordinator.heads import Head
from exchange.coordinator.sequencer import Sequencer
from exchange.stores import connection
from exchange.stores.contract import NewStatement
from exchange.stores.coordinator_sqlite import MIGRATIONS, SqliteCoordinatorStore
from exchange.stores.engine import Engine
from exchange.stores.ledger_contract import EMPTY, Extent, SignedExtent
from exchange.stores.migrate import packaged
from exchange.stores.writer import WriterCore
from keys.note_keys import NoteSecret, log_keys_of
from protocol import tree
from protocol.errors import OutcomeUnknown, SetupError, StoreFailed
from protocol.ledger.checkpoint import Checkpoint
from protocol.ledger.note import NoteSignature
from protocol.ledger.origins import Log
from protocol.statement import StatementKind
from tests.clocks import DAWN, FixedClock
from tests.community import HUB, log_keys, note_secret
from tests.faults.cuts import CUTS_PER_DISK, KEPT, opened
from tests.faults.found import Found, Tell
from tests.faults.lossy_vfs import LossyDisk, LossyVFS
from tests.faults.sizes import sized
from tests.faults.subjects import LEDGER_CUTS

KEYS = log_keys_of(log_keys(HUB, bytes(32)), Log.ACK)

T = TypeVar("T")


class Direct:
    """An engine without threads: each work is one transaction of the real writer."""

    def __init__(self, core: WriterCore) -> None:
        self._core = core

    async def write(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run one work; durable when this returns."""
        outcome = self._core.run([work])[0]
        if outcome.error is not None:
            raise outcome.error
        return cast(T, outcome.value)

    read = write


class Far:
    """An anchor on a disk that does not lose power, and that now and then answers with an error."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._held: SignedExtent | None = None

    def read(self, _log: Log) -> SignedExtent | None:
        """Return what is anchored."""
        return self._held

    def swap(self, _log: Log, old: Extent, new: SignedExtent) -> bool:
        """Compare and replace; it may have been done although an error says otherwise."""
        if (EMPTY if self._held is None else self._held.extent) != old:
            return False
        fails = self._chance.random()
        if fails > 0.05:
            self._held = new
        if fails < 0.1:
            raise StoreFailed("the far disk refuses")
        return True


@dataclass
class Book:
    """What the tester saw: what was signed, and what was published."""

    signed: dict[int, bytes] = field(default_factory=dict)
    published: dict[int, bytes] = field(default_factory=dict)
    forks: int = 0
    lost: int = 0
    cuts: int = 0

    def note(self, checkpoint: Checkpoint) -> None:
        """Write down what is being signed."""
        if self.signed.setdefault(checkpoint.size, checkpoint.root) != checkpoint.root:
            self.forks += 1


class Watched(NoteSecret):
    """The log's keys, with a witness of everything that they sign."""

    def __init__(self, seed: bytes, book: Book) -> None:
        super().__init__(seed)
        self.book = book

    def sign_log(self, checkpoint: Checkpoint, seconds: int) -> tuple[NoteSignature, NoteSignature]:
        """Sign, and note it."""
        self.book.note(checkpoint)
        return super().sign_log(checkpoint, seconds)


def statement(chance: random.Random) -> NewStatement:
    """Return a statement; nobody looks into its bytes."""
    return NewStatement(
        id=chance.randbytes(32),
        envelope=bytes(32),
        party="XBB",
        kind=StatementKind.RECEIVED,
        at_ms=DAWN,
        received_ms=DAWN,
        data=chance.randbytes(chance.choice((40, 3_000))),
        mail_to=(),
    )


class Life:
    """One disk with its anchor, cut several times."""

    def __init__(self, vfs: LossyVFS, seed: int) -> None:
        self.chance = random.Random(seed)
        self.disk = vfs.disk = LossyDisk(seed=seed)
        self.book = Book()
        self.secret = Watched(note_secret(HUB).seed, self.book)
        self.far = Far(self.chance)

    async def until_the_cut(self) -> None:
        """Record and publish until the power is gone."""
        try:
            core = opened(packaged(MIGRATIONS))
        except StoreFailed:
            self.disk.powered = False
            return
        store = SqliteCoordinatorStore(cast(Engine, Direct(core)))
        sequencer = self._sequencer(store)
        while self.disk.powered:
            try:
                await store.commit(
                    [statement(self.chance) for _ in range(self.chance.choice((1, 3, 200)))], None
                )
                await sequencer.step()
            except (StoreFailed, OutcomeUnknown):
                continue
            except SetupError:
                self.book.lost += 1
                self.disk.powered = False
        core.close()

    async def look(self) -> None:
        """Open the disk after the power came back, and compare it with the book."""
        core = opened(packaged(MIGRATIONS))
        assert core.db.execute("PRAGMA integrity_check").get == "ok"
        store = SqliteCoordinatorStore(cast(Engine, Direct(core)))
        sequencer = self._sequencer(store)
        for _ in range(50):
            try:
                await sequencer.recover()
                break
            except SetupError:
                self.book.lost += 1
                break
            except StoreFailed:
                continue  # the far disk; the near one is well
        hashes = (await store.ledger.leaf_hashes(Log.ACK, 0, limit=10**6)).hashes
        newest = max(self.book.published, default=0)
        self.book.lost += (await store.ledger.published(Log.ACK)).size < newest
        for size, root in self.book.published.items():
            self.book.lost += tree.root_of(hashes[:size]) != root
        core.close()

    def _sequencer(self, store: SqliteCoordinatorStore) -> Sequencer:
        head = Head(Log.ACK)

        def published() -> None:
            assert head.published is not None
            checkpoint = head.published.checkpoint
            if self.book.published.setdefault(checkpoint.size, checkpoint.root) != checkpoint.root:
                self.book.forks += 1

        far = cast(Anchor, self.far)
        return Sequencer(head, KEYS, self.secret, store.ledger, far, FixedClock(DAWN), published)


async def campaign(vfs: LossyVFS, cuts: int, seed: int = 1) -> Book:
    """Cut the power ``cuts`` times, several times in the life of each disk, and count what is wrong."""
    total = Book()
    for number in range(seed, seed + cuts // CUTS_PER_DISK):
        life = Life(vfs, number)
        for _ in range(CUTS_PER_DISK):
            life.disk.cut_at = life.disk.operations + life.chance.randrange(1, 300)
            await life.until_the_cut()
            life.disk.restore_power(kept=life.chance.choice(KEPT))
            life.disk.cut_at = None
            total.cuts += 1
            await life.look()
        total.forks += life.book.forks
        total.lost += life.book.lost
        for root in life.book.published.values():
            total.published[len(total.published)] = root
    return total


def require_truth(book: Book, cuts: int) -> None:
    """Check that nothing published was lost, and nothing was signed twice in two ways."""
    assert book.cuts == cuts
    assert (book.lost, book.forks) == (0, 0)
    assert len(book.published) > cuts, "the loop hardly published anything"


async def test_no_checkpoint_is_lost_or_forked_by_a_power_cut(vfs: LossyVFS, tell: Tell) -> None:
    """Every published checkpoint is there afterwards, over the same rows, and the next one extends it."""
    cuts = sized(**LEDGER_CUTS)
    book = await campaign(vfs, cuts)
    tell(Found("power cuts", cuts, ok=len(book.published), lost=book.lost, wrong=book.forks))
    require_truth(book, cuts)


async def test_the_loop_sees_the_forks_of_a_weaker_setting(
    vfs: LossyVFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop can fail: without a flush at each commit, rows that were signed over are gone."""
    monkeypatch.setattr(connection, "SYNCHRONOUS", "NORMAL")
    book = await campaign(vfs, 80)
    assert book.lost + book.forks > 0
