"""Checkpoints: each durable twice before anybody is told, whatever step a crash comes between."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from exchange.coordinator import sequencer as module
from exchange.coordinator.anchor import Anchor
from exchange.coordinator.heads import HaltReason, Head
from exchange.coordinator.sequencer import Sequencer
from exchange.stores.contract import NewStatement
from exchange.stores.coordinator_sqlite import SqliteCoordinatorStore
from exchange.stores.ledger_contract import LedgerStore
from keys.note_keys import log_keys_of
from keys.quorum import Quorum
from protocol import tree
from protocol.errors import AlmenaraError, OutcomeUnknown, SetupError, StoreFailed
from protocol.ledger.leaf import statement_leaf
from protocol.ledger.origins import Log
from protocol.ledger.tiles import TileHashes
from protocol.statement import StatementKind
from tests.clocks import DAWN, FixedClock
from tests.community import HUB, log_keys, note_secret
from tests.patience import PATIENCE_S

KEYS = log_keys_of(log_keys(HUB, bytes(32)), Log.ACK)
STEPS = ("swap", "anchor", "lay_out", "publish")


class Crash(Exception):
    """The process is gone."""


class Broken:
    """A store or anchor that dies, or refuses, before or after one call."""

    def __init__(self, what: Any, call: str, error: BaseException, *, after: bool) -> None:
        self._what, self._call, self._error, self._after = what, call, error, after
        self.armed = True

    def __getattr__(self, name: str) -> Any:
        """Return the part's own, or the one that breaks."""
        method = getattr(self._what, name)
        if name != self._call or not self.armed:
            return method

        def breaks(*args: Any, **kwargs: Any) -> Any:
            if self._after:
                method(*args, **kwargs)
            raise self._error

        async def breaks_later(*args: Any, **kwargs: Any) -> Any:
            if self._after:
                await method(*args, **kwargs)
            raise self._error

        return breaks_later if asyncio.iscoroutinefunction(method) else breaks


@dataclass
class Here:
    """A sequencer on a real store and anchor, with all that was ever published or signed."""

    store: SqliteCoordinatorStore
    anchor: Anchor
    head: Head
    sequencer: Sequencer
    told: list[tuple[int, bytes]] = field(default_factory=list)

    async def record(self, count: int) -> None:
        """Record so many statements."""
        await self.store.commit([statement() for _ in range(count)], None)

    async def require_true(self) -> None:
        """Check what is published: signed by both keys, and the root of the rows and of the tiles."""
        assert self.head.published is not None
        Quorum(KEYS, {}, 1).require_log(self.head.published)
        checkpoint = self.head.published.checkpoint
        hashes = (await self.store.ledger.leaf_hashes(Log.ACK, 0, limit=checkpoint.size)).hashes
        assert tree.root_of(hashes) == checkpoint.root
        root = await self.store.ledger.on_tiles(
            Log.ACK, lambda read: tree.root_by(checkpoint.size, TileHashes(read, checkpoint.size).subtree)
        )
        assert root == checkpoint.root
        held = self.anchor.read(Log.ACK)
        assert held is not None
        assert (held.extent.size, held.extent.root) == (checkpoint.size, checkpoint.root)


def statement() -> NewStatement:
    """Return a statement; nobody looks into its bytes."""
    return NewStatement(
        id=secrets.token_bytes(32),
        envelope=bytes(32),
        party="XBB",
        kind=StatementKind.RECEIVED,
        at_ms=DAWN,
        received_ms=DAWN,
        data=secrets.token_bytes(40),
        mail_to=(),
    )


@asynccontextmanager
async def started(
    folder: Path,
    *,
    break_store: Callable[[LedgerStore], Any] = lambda store: store,
    break_anchor: Callable[[Anchor], Any] = lambda anchor: anchor,
    published: Callable[[], None] | None = None,
) -> AsyncIterator[Here]:
    """Start a sequencer on what lies in a folder."""
    clock = FixedClock(DAWN)
    (folder / "data").mkdir(exist_ok=True)
    store = await SqliteCoordinatorStore.open(folder / "data" / "almenara.db", clock)
    anchor = Anchor(folder / "anchor")
    anchor.open()
    head = Head(Log.ACK)
    told: list[tuple[int, bytes]] = []

    def tell() -> None:
        if published is not None:
            published()
        assert head.published is not None
        told.append((head.published.checkpoint.size, head.published.checkpoint.root))

    sequencer = Sequencer(
        head,
        KEYS,
        note_secret(HUB),
        break_store(store.ledger),
        break_anchor(anchor),
        clock,
        tell,
    )
    try:
        yield Here(store, anchor, head, sequencer, told)
    finally:
        await store.close()
        anchor.close()


async def test_a_checkpoint_covers_every_row_and_only_when_there_are_new_ones(tmp_path: Path) -> None:
    """Nothing new, nothing signed."""
    async with started(tmp_path) as here:
        await here.sequencer.recover()
        assert here.head.published is None
        assert await here.sequencer.step() is False
        assert here.told == []
        for count in (1, 300, 2):
            await here.record(count)
            await here.sequencer.step()
            await here.require_true()
        await here.sequencer.step()
        assert [size for size, _ in here.told] == [1, 301, 303]


async def test_a_restart_goes_on_from_the_same_checkpoint(tmp_path: Path) -> None:
    """It is shown again, byte for byte, and the next one extends it."""
    async with started(tmp_path) as here:
        await here.record(5)
        await here.sequencer.step()
        before = here.head.published
    async with started(tmp_path) as here:
        await here.sequencer.recover()
        assert here.head.published == before
        await here.record(1)
        await here.sequencer.step()
        await here.require_true()


def broken(step: str, error: BaseException, *, after: bool, armed: list[Broken]) -> dict[str, Any]:
    """Return the arguments that break one step."""

    def put(call: str) -> Callable[[Any], Broken]:
        def wrap(part: Any) -> Broken:
            armed.append(Broken(part, call, error, after=after))
            return armed[-1]

        return wrap

    def die() -> None:
        raise error

    match step:
        case "swap" | "lay_out":
            return {"break_store": put(step)}
        case "anchor":
            return {"break_anchor": put("swap")}
        case _:
            return {"published": die}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_between_any_two_steps_is_recovered_from(
    tmp_path: Path, step: str, first: bool, after: bool
) -> None:
    """Nothing was told before both places had it, and no size ever has two roots."""
    told: list[tuple[int, bytes]] = []
    if not first:
        async with started(tmp_path) as here:
            await here.record(3)
            await here.sequencer.step()
            told += here.told
    async with started(tmp_path, **broken(step, Crash(), after=after, armed=[])) as here:
        await here.sequencer.recover() if step != "publish" else None
        await here.record(260)
        with pytest.raises(Crash):
            await here.sequencer.step()
        told += here.told
    async with started(tmp_path) as here:
        await here.sequencer.recover()
        if here.head.published is not None:
            await here.require_true()
        await here.record(2)
        await here.sequencer.step()
        await here.require_true()
        assert here.head.size == 262 + (0 if first else 3)
        told += here.told
    roots: dict[int, bytes] = {}
    assert all(roots.setdefault(size, root) == root for size, root in told)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("error", [StoreFailed("full"), OutcomeUnknown("who knows")])
@pytest.mark.parametrize("step", STEPS[:3])
async def test_a_disk_that_refuses_one_step_delays_the_checkpoint(
    tmp_path: Path, step: str, error: AlmenaraError, after: bool
) -> None:
    """The same process tries again from whatever is there, and nobody was told meanwhile."""
    armed: list[Broken] = []
    async with started(tmp_path, **broken(step, error, after=after, armed=armed)) as here:
        await here.sequencer.recover()
        await here.record(7)
        with pytest.raises(type(error)):
            await here.sequencer.step()
        assert here.told == []
        armed[0].armed = False
        await here.sequencer.step()
        await here.require_true()
        assert here.head.size == 7
        assert here.head.halted is None


async def test_an_older_copy_of_the_database_is_refused(tmp_path: Path) -> None:
    """A restored backup would sign a second version of the log; the message names both sizes."""
    async with started(tmp_path) as here:
        await here.record(5)
        await here.sequencer.step()
    shutil.copytree(tmp_path / "data", tmp_path / "backup")
    async with started(tmp_path) as here:
        await here.record(4)
        await here.sequencer.step()
    shutil.rmtree(tmp_path / "data")
    shutil.copytree(tmp_path / "backup", tmp_path / "data")
    async with started(tmp_path) as here:
        with pytest.raises(SetupError, match=r"checkpoint 9, the database 5.*older copy") as caught:
            await here.sequencer.recover()
        assert "newest copy" in caught.value.hint
        assert here.head.published is None


async def test_a_copy_that_went_another_way_is_refused(tmp_path: Path) -> None:
    """The same size with another root."""
    shutil.copytree(tmp_path, tmp_path.with_name("other"))
    roots = []
    for folder in (tmp_path, tmp_path.with_name("other")):
        async with started(folder) as here:
            await here.record(5)
            await here.sequencer.step()
            roots.append(here.head.published)
    shutil.rmtree(tmp_path / "anchor")
    shutil.copytree(tmp_path.with_name("other") / "anchor", tmp_path / "anchor")
    async with started(tmp_path) as here:
        with pytest.raises(SetupError, match="another root"):
            await here.sequencer.recover()


async def test_an_anchor_of_another_past_is_refused(tmp_path: Path) -> None:
    """It is smaller, and still not the beginning of this log."""
    other = tmp_path / "other"
    other.mkdir()
    async with started(other) as here:
        await here.record(2)
        await here.sequencer.step()
    async with started(tmp_path) as here:
        await here.record(5)
        await here.sequencer.step()
    shutil.rmtree(tmp_path / "anchor")
    shutil.copytree(other / "anchor", tmp_path / "anchor")
    async with started(tmp_path) as here:
        with pytest.raises(SetupError, match="anchor's checkpoint 2"):
            await here.sequencer.recover()


async def test_an_older_anchor_of_the_same_past_is_brought_up(tmp_path: Path) -> None:
    """It forks nothing: the database has the later checkpoint."""
    async with started(tmp_path) as here:
        await here.record(2)
        await here.sequencer.step()
        shutil.copytree(tmp_path / "anchor", tmp_path / "kept")
        await here.record(300)
        await here.sequencer.step()
    shutil.rmtree(tmp_path / "anchor")
    shutil.copytree(tmp_path / "kept", tmp_path / "anchor")
    async with started(tmp_path) as here:
        await here.sequencer.recover()
        await here.require_true()


async def test_a_missing_anchor_is_refused_once_anything_was_published(tmp_path: Path) -> None:
    """The hint names the command that makes it anew."""
    async with started(tmp_path) as here:
        await here.record(2)
        await here.sequencer.step()
    shutil.rmtree(tmp_path / "anchor")
    async with started(tmp_path) as here:
        with pytest.raises(SetupError, match="missing") as caught:
            await here.sequencer.recover()
        assert "coordinator recover" in caught.value.hint


async def test_an_anchor_with_somebody_elses_checkpoint_is_refused(tmp_path: Path) -> None:
    """Two coordinators' folders were confused."""
    async with started(tmp_path) as here:
        await here.record(2)
        await here.sequencer.step()
    path = tmp_path / "anchor" / "ack.checkpoint"
    path.write_bytes(path.read_bytes().replace(b"hub.example", b"hug.example"))
    async with started(tmp_path) as here:
        with pytest.raises(SetupError, match="not this log's own"):
            await here.sequencer.recover()


async def test_rows_that_were_changed_are_noticed_at_the_start(tmp_path: Path) -> None:
    """A tile that does not have the signed root is a damaged database, and is not signed over."""
    async with started(tmp_path) as here:
        await here.record(4)
        await here.sequencer.step()
        await here.store._engine.write(
            lambda db: db.execute("UPDATE ledger_tile SET hashes = zeroblob(128)").fetchall()
        )
    async with started(tmp_path) as here:
        with pytest.raises(SetupError, match="tiles"):
            await here.sequencer.recover()


async def test_a_checkpoint_changed_behind_its_back_halts_the_sequencer(tmp_path: Path) -> None:
    """It signs nothing further and says so; whoever asks is shown what was published before."""
    async with started(tmp_path) as here:
        await here.record(2)
        await here.sequencer.step()
        shown = here.head.published
        other = tmp_path / "other"
        other.mkdir()
        async with started(other) as elsewhere:
            await elsewhere.record(2)
            await elsewhere.sequencer.step()
        shutil.copy(other / "anchor" / "ack.checkpoint", tmp_path / "anchor" / "ack.checkpoint")
        await here.record(1)
        running = asyncio.create_task(here.sequencer.run(0.01))
        for _ in range(3000):
            if here.head.halted is not None:
                break
            await asyncio.sleep(0.01)
        running.cancel()
        assert here.head.halted is HaltReason.CHANGED
        assert here.head.published == shown


async def test_a_halted_sequencer_signs_nothing(tmp_path: Path) -> None:
    """Not even once more."""
    async with started(tmp_path) as here:
        await here.sequencer.recover()
        await here.record(1)
        here.sequencer.halt(HaltReason.WITNESS_AHEAD, state="XBB", size=9)
        assert await here.sequencer.step() is False
        assert await here.store.ledger.signed(Log.ACK) is None


async def test_a_fault_that_nobody_foresaw_halts_the_log_and_not_the_service(tmp_path: Path) -> None:
    """The task that runs for ever goes on, so the service does."""
    async with started(tmp_path, **broken("swap", ZeroDivisionError(), after=False, armed=[])) as here:
        await here.record(1)
        running = asyncio.create_task(here.sequencer.run(0.01))
        for _ in range(3000):
            if here.head.halted is not None:
                break
            await asyncio.sleep(0.01)
        assert here.head.halted is HaltReason.FAULT
        assert not running.done()
        running.cancel()


async def test_it_runs_at_most_once_in_its_time(tmp_path: Path) -> None:
    """Many rows in between share one checkpoint; without new ones there is none."""
    async with started(tmp_path) as here:
        loop = asyncio.get_running_loop()
        began = loop.time()
        running = asyncio.create_task(here.sequencer.run(0.2))
        for _ in range(20):
            await here.record(1)
            here.sequencer.grown()
            await asyncio.sleep(0.02)
        async with asyncio.timeout(PATIENCE_S):
            while here.head.size < 20:  # noqa: ASYNC110 - nobody is woken by a checkpoint here
                await asyncio.sleep(0.01)
        running.cancel()
        await here.sequencer.finish()
        assert 2 <= len(here.told) <= 1 + (loop.time() - began) / 0.2


async def test_a_checkpoint_grows_by_so_much_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much was recorded before there was a ledger, memory stays bounded."""
    monkeypatch.setattr(module, "GROWTH", 8)
    monkeypatch.setattr(module, "PAGE_ROWS", 4)
    async with started(tmp_path) as here:
        await here.record(21)
        while await here.sequencer.step():
            await here.require_true()
        assert [size for size, _ in here.told] == [8, 16, 21]


async def test_a_leaf_commits_to_the_signed_bytes(tmp_path: Path) -> None:
    """The root of one row is that row's leaf."""
    async with started(tmp_path) as here:
        one = statement()
        await here.store.commit([one], None)
        await here.sequencer.step()
        assert here.head.published is not None
        leaf = statement_leaf(one.kind, one.received_ms, one.data).encode()
        assert here.head.published.checkpoint.root == tree.leaf_hash(leaf)
