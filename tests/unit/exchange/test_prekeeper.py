"""The prekeeper: keys are published ahead of need, gone on time, and a silent state can still be warned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path

import apsw
import pytest

from exchange.node.mirror import load_directory
from exchange.node.prekeeper import RECONCILED, Prekeeper
from exchange.node.signing import NodeKeys
from exchange.node.unsealing import unseal_wrap
from exchange.stores.node_books import (
    PrekeyRow,
    clear_alarm,
    destroy_prekeys,
    find_prekey,
    insert_prekey,
    read_alarms,
    read_documents,
    save_fact,
)
from keys.calendar import DAYS_AHEAD, KEEP_MS, day_of
from keys.wrap import seal_to
from protocol.digest import tag
from protocol.documents import Prekey, PrekeyList, parse_document, parse_signed_document
from protocol.errors import CannotOpen, ClockSkew, StoreFailed
from tests.clocks import FixedClock
from tests.community import DAY_MS, community
from tests.nodes import TestNode, a_node, delivery_to
from tests.patience import PATIENCE_S


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[TestNode]:
    """Return XAA's node."""
    async with a_node(tmp_path / "XAA", "XAA") as opened:
        yield opened


async def published(node: TestNode) -> list[PrekeyList]:
    """Return the lists that wait to be published."""
    lists = [parse_document(parse_signed_document(row.content).body) for row in await node.queue()]
    return [one for one in lists if isinstance(one, PrekeyList)]


def keys_of(node: TestNode) -> tuple[Prekey, ...]:
    """Return the state's published keys, as its own directory has them."""
    return node.context.directory.documents.prekeys[node.context.state].document.keys


async def locked_seed(node: TestNode, key_id: bytes) -> bytes | None:
    """Return what the store holds of a key."""
    row = await node.context.engine.read(lambda db: find_prekey(db, key_id))
    return None if row is None else row.locked_seed


def days_in(folder: Path) -> set[str]:
    """Return the days whose keys XAA still has."""
    return {path.stem for path in (folder / "XAA" / "day-keys").glob("*.key")}


async def require_opening(node: TestNode, key: Prekey, row: PrekeyRow | None = None) -> None:
    """Seal to a key and have it opened again, with a stored half other than the store's if one is given."""
    sealed, info = seal_to(key.public, tag("wrap"), b"." * 72), tag("wrap")
    if row is None:
        assert await unseal_wrap(node.context, key.key_id, sealed, info) == b"." * 72
    else:
        opened = await node.context.unsealer.open_wrap(key.key_id, row.day, row.locked_seed, sealed, info)
        assert opened == b"." * 72


def files_of(folder: Path) -> bytes:
    """Return every byte of a node's database files."""
    return b"".join(path.read_bytes() for path in folder.glob("node.db*"))


async def test_nothing_is_published_while_enough_days_are_ahead(node: TestNode) -> None:
    """A list of a fortnight is left alone for its first week."""
    await node.prekeeper.look()
    assert await node.queue() == []


async def test_days_are_published_ahead_before_they_run_out(node: TestNode) -> None:
    """Before the last week begins, a new list reaches a fortnight ahead, without a hole."""
    node.clock.advance(8 * DAY_MS)
    await node.prekeeper.look()
    (fresh,) = await published(node)
    days = [key.use_from_ms for key in fresh.keys]
    assert all(later - earlier == DAY_MS for earlier, later in pairwise(days))
    assert fresh.keys[-1].use_until_ms - node.clock.now_ms() > (DAYS_AHEAD - 1) * DAY_MS
    assert fresh.keys[0].use_from_ms <= node.clock.now_ms()


async def test_published_keys_whose_secrets_are_gone_are_replaced(node: TestNode) -> None:
    """What others seal to them could never be opened: a new list follows at once, and a person is told."""
    before = keys_of(node)
    await node.context.engine.write(lambda db: destroy_prekeys(db, 2**62))
    await node.prekeeper.look()
    (fresh,) = await published(node)
    assert {key.key_id for key in fresh.keys}.isdisjoint(key.key_id for key in before)
    assert fresh.keys[0].use_from_ms <= node.clock.now_ms() < fresh.keys[0].use_until_ms
    assert all(later.use_from_ms == earlier.use_until_ms for earlier, later in pairwise(fresh.keys))
    for key in fresh.keys:
        assert await locked_seed(node, key.key_id) is not None
    assert [alarm.code for alarm in await node.context.engine.read(read_alarms)] == ["prekeys-lost"]
    await node.prekeeper.look()
    assert len(await published(node)) == 1


async def test_one_lost_key_is_replaced_for_its_own_day(node: TestNode) -> None:
    """The others stay as they are: what was sealed to them is on its way."""
    before = keys_of(node)
    lost = before[3].key_id
    await node.context.engine.write(lambda db: db.execute("DELETE FROM prekey WHERE id = ?", (lost,)))
    await node.prekeeper.look()
    (fresh,) = await published(node)
    assert [key.use_from_ms for key in fresh.keys] == [key.use_from_ms for key in before]
    assert [index for index, key in enumerate(fresh.keys) if key.key_id != before[index].key_id] == [3]


async def test_every_list_continues_the_one_before(tmp_path: Path) -> None:
    """The chain of lists goes on over many weeks and restarts, and others accept each of them."""
    clock = FixedClock(community().now_ms)
    others = community().directory()
    for week in range(6):
        async with a_node(tmp_path / "XAA", "XAA", clock) as node:
            stored = await node.context.engine.read(read_documents)
            load_directory(node.context.directory, stored)
            node.link_state.opened(skew_ms=0)
            await node.prekeeper.look()
            assert len(await published(node)) == week
        clock.advance(8 * DAY_MS)
    for document in stored:
        others.update(document, clock.now_ms())
    assert others.documents.prekeys["XAA"].document.version == 5


async def test_the_secret_halves_are_there_before_anybody_can_use_them(node: TestNode) -> None:
    """The list is queued in the transaction that stores its secrets."""
    node.clock.advance(8 * DAY_MS)
    await node.prekeeper.look()
    (fresh,) = await published(node)
    for key in fresh.keys[1:]:
        await require_opening(node, key)


async def test_a_key_is_destroyed_when_its_time_is_over_and_not_before(node: TestNode) -> None:
    """A day's key stays for a notice's longest life and a day."""
    first = keys_of(node)[0]
    node.clock.advance(first.keep_until_ms - node.clock.now_ms() - 1)
    await node.prekeeper.look()
    kept = await locked_seed(node, first.key_id)
    node.clock.advance(1)
    await node.prekeeper.look()
    assert kept is not None
    assert await locked_seed(node, first.key_id) is None


async def test_a_destroyed_key_is_in_no_file_of_the_node(tmp_path: Path) -> None:
    """Forward secrecy: neither the database nor its log holds a destroyed key's bytes, even locked."""
    async with a_node(tmp_path / "XAA", "XAA") as node:
        gone, stays = keys_of(node)[0], keys_of(node)[-1]
        seeds = [await locked_seed(node, key.key_id) for key in (gone, stays)]
        assert all(seed is not None and seed in files_of(tmp_path / "XAA") for seed in seeds)
        node.clock.set(gone.keep_until_ms)
        await node.prekeeper.look()
        after = files_of(tmp_path / "XAA")
    assert seeds[0] is not None
    assert seeds[1] is not None
    assert seeds[0] not in after
    assert seeds[1] in after


async def test_deleting_overwrites(tmp_path: Path) -> None:
    """The store itself leaves nothing of deleted rows behind, even where nothing new is written."""
    async with a_node(tmp_path / "XAA", "XAA") as node:
        seeds = [await locked_seed(node, key.key_id) for key in keys_of(node)]
        await node.context.engine.write(lambda db: destroy_prekeys(db, 2**62))
        await node.context.engine.empty_log()
        after = files_of(tmp_path / "XAA")
    assert [seed for seed in seeds if seed is None or seed[12:] in after] == []


async def test_a_destroyed_key_is_not_kept_in_memory(node: TestNode, tmp_path: Path) -> None:
    """What the unsealer had unlocked before goes with it: it starts anew."""
    first = keys_of(node)[0]
    row = await node.context.engine.read(lambda db: find_prekey(db, first.key_id))
    assert row is not None
    await require_opening(node, first, row)
    node.clock.set(first.keep_until_ms)
    await node.prekeeper.look()
    with pytest.raises(CannotOpen):
        await require_opening(node, first, row)
    assert row.day not in days_in(tmp_path)


async def test_a_restored_store_does_not_open_what_was_sealed_to_a_destroyed_day(node: TestNode) -> None:
    """Threat 28: the row comes back with a backup, and the key of its day does not."""
    first = keys_of(node)[0]
    copy = await node.context.engine.read(lambda db: find_prekey(db, first.key_id))
    assert copy is not None
    node.clock.set(first.keep_until_ms)
    await node.prekeeper.look()
    await node.context.engine.write(lambda db: insert_prekey(db, first.key_id, 2**62, copy))
    with pytest.raises(CannotOpen):
        await require_opening(node, first)


async def test_the_key_of_a_day_goes_even_if_the_process_ended_after_its_row_went(
    node: TestNode, tmp_path: Path
) -> None:
    """A power cut between deleting the row and destroying the key costs one look, not the secrecy."""
    first = keys_of(node)[0]
    node.clock.set(first.keep_until_ms)
    await node.context.engine.write(lambda db: destroy_prekeys(db, first.keep_until_ms))
    day = day_of(first.use_from_ms)
    assert day in days_in(tmp_path)
    await node.prekeeper.look()
    assert day not in days_in(tmp_path)


async def test_days_made_before_a_power_cut_are_made_again(tmp_path: Path) -> None:
    """The cut came after the keys of days were durable, and before the rows: nothing is left over."""
    clock = FixedClock(community().now_ms + 8 * DAY_MS)
    async with a_node(tmp_path / "XAA", "XAA", clock) as node:
        await node.context.unsealer.make_days(clock.now_ms(), DAYS_AHEAD)
    async with a_node(tmp_path / "XAA", "XAA", clock) as node:
        node.link_state.opened(skew_ms=0)
        await node.prekeeper.look()
        (fresh,) = await published(node)
        for key in fresh.keys:
            if key.use_from_ms >= clock.now_ms():
                await require_opening(node, key)


async def test_after_a_restore_the_loss_is_said_to_be_expected_once(node: TestNode, tmp_path: Path) -> None:
    """No backup holds keys of days; a loss after that is one again."""
    await node.context.engine.write(lambda db: save_fact(db, RECONCILED, 5))
    told = []
    for _ in range(2):
        for path in (tmp_path / "XAA" / "day-keys").iterdir():
            path.unlink()
        await node.prekeeper.look()
        told += [one.message for one in await node.context.engine.read(read_alarms)]
        await node.context.engine.write(lambda db: clear_alarm(db, "prekeys-lost", ""))
    assert ["as expected after a restore" in message for message in told] == [True, False]


async def test_lost_days_are_replaced_and_told(node: TestNode, tmp_path: Path) -> None:
    """A restored node has no day keys: it publishes new ones at once, and is not deaf for a fortnight."""
    before = keys_of(node)
    for path in (tmp_path / "XAA" / "day-keys").iterdir():
        path.unlink()
    await node.prekeeper.look()
    (fresh,) = await published(node)
    assert {key.key_id for key in fresh.keys}.isdisjoint(key.key_id for key in before)
    assert fresh.keys[0].use_from_ms <= node.clock.now_ms() < fresh.keys[0].use_until_ms
    for key in fresh.keys:
        await require_opening(node, key)
    assert [alarm.code for alarm in await node.context.engine.read(read_alarms)] == ["prekeys-lost"]
    await node.prekeeper.look()
    assert len(await published(node)) == 1


async def test_a_folder_of_day_keys_that_cannot_be_reached_replaces_nothing(
    node: TestNode, tmp_path: Path
) -> None:
    """A disk that is not mounted says nothing about the keys on it."""
    away = (tmp_path / "XAA" / "day-keys").rename(tmp_path / "away")
    with pytest.raises(StoreFailed):
        await node.prekeeper.look()
    assert await published(node) == []
    away.rename(tmp_path / "XAA" / "day-keys")
    await node.prekeeper.look()
    assert await published(node) == []


async def test_a_state_that_was_silent_for_weeks_can_open_what_was_sealed_to_its_tail(tmp_path: Path) -> None:
    """The tail key is kept as long as others may use it; starting the node does not destroy it first."""
    late = FixedClock(community().now_ms + 40 * DAY_MS)
    async with a_node(tmp_path / "XAA", "XAA", late) as xaa:
        copy = delivery_to("XBB", await xaa.send(to=("XBB",)))
    async with a_node(tmp_path / "XBB", "XBB", late) as xbb:
        xbb.link_state.opened(skew_ms=0)
        await xbb.prekeeper.look()
        await xbb.prekeeper.look()
        (outcome,) = await xbb.receive(copy)
        tail = community().members["XBB"].prekeys[-1].public.key_id
        late.advance(KEEP_MS)
        await xbb.prekeeper.look()
        assert await locked_seed(xbb, tail) is None
    assert outcome.refusal is None


async def test_a_jump_that_nobody_confirms_destroys_nothing(node: TestNode) -> None:
    """With no coordinator to compare with, a clock that is days on is not believed; later it may be."""
    await node.prekeeper.look()
    before = keys_of(node)
    node.clock.advance(30 * DAY_MS)
    with pytest.raises(ClockSkew):
        await node.prekeeper.look()
    assert [await locked_seed(node, key.key_id) is None for key in before] == [False] * len(before)
    node.link_state.opened(skew_ms=0)
    await node.prekeeper.look()
    assert await locked_seed(node, before[0].key_id) is None


async def test_a_tail_that_nobody_may_use_any_more_is_destroyed(node: TestNode) -> None:
    """After its sixty days, and a notice's life, even the last key goes."""
    tail = keys_of(node)[-1]
    node.clock.set(tail.use_until_ms + 60 * DAY_MS + KEEP_MS)
    await node.prekeeper.look()
    assert await locked_seed(node, tail.key_id) is None


async def _refusing(node: TestNode, work: Callable[[apsw.Connection], object]) -> None:
    await node.context.engine.write(work)


async def test_a_list_that_could_not_be_written_is_written_later(node: TestNode) -> None:
    """A failing disk costs one look: the very list that is trusted already is stored the next time."""
    node.clock.advance(8 * DAY_MS)
    await _refusing(node, lambda db: db.execute("PRAGMA query_only = ON"))
    with pytest.raises(StoreFailed):
        await node.prekeeper.look()
    await node.prekeeper.look()
    (fresh,) = await published(node)
    assert fresh.keys == keys_of(node)
    await require_opening(node, fresh.keys[-1])


async def test_a_prekeeper_that_fails_says_so_and_goes_on(tmp_path: Path) -> None:
    """A node whose key is not listed any more raises an alarm, and does not stop."""
    async with a_node(tmp_path / "XAA", "XAA") as node:
        node.clock.advance(8 * DAY_MS)
        stranger = community().members["XBB"].node
        keys = NodeKeys("XAA", node.context.directory, [stranger], [node.context.witness])
        object.__setattr__(node.context, "keys", keys)
        node.link_state.opened(0)
        running = asyncio.create_task(Prekeeper(node.context, node.link_state).run())
        async with asyncio.timeout(PATIENCE_S):
            while not (alarms := await node.context.engine.read(read_alarms)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not running.done()
        running.cancel()
    assert [alarm.code for alarm in alarms] == ["prekeys"]
    assert alarms[0].next


async def test_a_clock_that_is_known_to_be_wrong_destroys_and_publishes_nothing(node: TestNode) -> None:
    """A year ahead, it would destroy every key in use, and sign a list that nobody takes for a year."""
    before = keys_of(node)
    node.link_state.opened(0)
    right = node.clock.now_ms()
    node.clock.set(right + 365 * DAY_MS)
    with pytest.raises(ClockSkew):
        await node.prekeeper.look()
    assert all([await locked_seed(node, key.key_id) for key in before])
    assert (keys_of(node), await published(node)) == (before, [])
    node.clock.set(right)
    await node.prekeeper.look()


async def test_the_first_look_waits_until_the_clock_was_compared(node: TestNode) -> None:
    """A machine that starts with a wrong clock has its keys still when its first session shows it."""
    running = asyncio.create_task(node.prekeeper.run())
    node.clock.set(node.clock.now_ms() + 365 * DAY_MS)
    await asyncio.sleep(0.05)
    node.link_state.opened(-365 * DAY_MS)
    node.context.events.ring()
    async with asyncio.timeout(PATIENCE_S):
        while not await node.context.engine.read(read_alarms):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    running.cancel()
    assert all([await locked_seed(node, key.key_id) for key in keys_of(node)])
