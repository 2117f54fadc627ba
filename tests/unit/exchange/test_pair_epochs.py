"""Numbers after a node has lost count: a new epoch begins, and gaps are counted in each by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.stores.node_books import read_events, save_fact
from exchange.stores.node_notices import pair_gaps
from exchange.stores.node_statements import PAIR_EPOCH, read_pairs
from keys.sealing import NUMBER_BITS, PAIR_START, PairPosition, epoch_at, epoch_began_ms
from tests.nodes import MONITOR, TestNode, a_node, delivery_to

EPOCH = 3_241_620


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[TestNode, TestNode]]:
    """Return XAA's node, which sends, and XBB's, which receives."""
    async with a_node(tmp_path / "XAA", "XAA") as xaa, a_node(tmp_path / "XBB", "XBB") as xbb:
        yield xaa, xbb


async def begin_epoch(node: TestNode, epoch: int) -> None:
    """Let a node number anew, as one that was restored does; opened again, it has read that."""
    await node.context.engine.write(lambda db: save_fact(db, PAIR_EPOCH, epoch))
    node.outbox._sealer._pairs = None


async def gaps(node: TestNode) -> list[tuple[str, int]]:
    """Return what is missing at a node."""
    return await node.context.engine.read(pair_gaps)


def test_an_epoch_is_the_minutes_since_2020() -> None:
    """So a sender that forgot the last one begins with a higher one all the same."""
    assert epoch_at(1_772_334_000_000) == EPOCH
    assert epoch_began_ms(EPOCH) == 1_772_334_000_000
    assert (EPOCH << NUMBER_BITS) + 1 == 13_922_651_886_059_521


@pytest.mark.parametrize(
    ("sequence", "previous", "possible"),
    [
        ((EPOCH << 32) + 1, PAIR_START, True),
        ((EPOCH << 32) + 2, b"\1" * 32, True),
        ((EPOCH << 32) + 1, b"\1" * 32, False),
        ((EPOCH << 32) + 2, PAIR_START, False),
        (EPOCH << 32, PAIR_START, False),
        (EPOCH << 32, b"\1" * 32, False),
        (2**63 - 1, b"\1" * 32, True),
        (2**63 + 1, PAIR_START, False),
    ],
)
def test_a_position_in_an_epoch_is_possible_or_not(sequence: int, previous: bytes, possible: bool) -> None:
    """The first of an epoch continues nothing, every other one continues something, and none is number 0."""
    assert PairPosition(sequence, previous).possible is possible


async def test_a_new_epoch_begins_at_one_with_every_recipient(pair: tuple[TestNode, TestNode]) -> None:
    """Also with one that this node does not remember having written to."""
    xaa, _ = pair
    await xaa.send(to=("XBB",))
    await xaa.send(to=("XBB",))
    await begin_epoch(xaa, EPOCH)
    for number in (1, 2):
        await xaa.send(to=("XBB", "XCC"))
        numbers = {
            state: sequence for state, (sequence, _) in (await xaa.context.engine.read(read_pairs)).items()
        }
        assert numbers == {"XBB": (EPOCH << 32) + number, "XCC": (EPOCH << 32) + number}


async def test_a_recipient_counts_each_epoch_by_itself(pair: tuple[TestNode, TestNode]) -> None:
    """What was missing before is missing still, the new epoch makes no gap, and a gap in it counts."""
    xaa, xbb = pair
    old = [await xaa.send(to=("XBB",)) for _ in range(3)]
    await begin_epoch(xaa, EPOCH)
    new = [await xaa.send(to=("XBB",)) for _ in range(4)]
    await xbb.receive(delivery_to("XBB", old[0]), delivery_to("XBB", new[0]))
    assert await gaps(xbb) == []
    await xbb.receive(delivery_to("XBB", old[2]))
    assert await gaps(xbb) == [("XAA", 1)]
    await xbb.receive(delivery_to("XBB", new[3]))
    assert await gaps(xbb) == [("XAA", 3)]
    await xbb.receive(*(delivery_to("XBB", one) for one in (old[1], new[1])))
    assert await gaps(xbb) == [("XAA", 1)]


async def test_gaps_that_were_accepted_stay_so_in_a_later_epoch(pair: tuple[TestNode, TestNode]) -> None:
    """An officer dismisses what is missing once; what is missing after it is told again."""
    xaa, xbb = pair
    old = [await xaa.send(to=("XBB",)) for _ in range(3)]
    await begin_epoch(xaa, EPOCH)
    new = [await xaa.send(to=("XBB",)) for _ in range(5)]
    await xbb.receive(*(delivery_to("XBB", one) for one in (old[0], old[2], new[0], new[2])))
    assert await gaps(xbb) == [("XAA", 2)]
    await xbb.desk.dismiss(xbb.officer)
    assert await gaps(xbb) == []
    await xbb.receive(delivery_to("XBB", new[4]))
    assert await gaps(xbb) == [("XAA", 1)]


async def test_a_recipient_is_told_once_that_a_sender_numbers_anew(pair: tuple[TestNode, TestNode]) -> None:
    """With the moment, so that officers know from when on they must ask on another channel."""
    xaa, xbb = pair
    await xbb.receive(delivery_to("XBB", await xaa.send(to=("XBB",))))
    await begin_epoch(xaa, EPOCH)
    for _ in range(2):
        await xbb.receive(delivery_to("XBB", await xaa.send(to=("XBB",))))
    events = await xbb.context.engine.read(lambda db: read_events(db, 0, 100))
    (told,) = [event for event in events if event.event == "inbox.renumbered"]
    assert told.state == "XAA"
    assert "2026-03-01T03:00:00" in told.detail
    (alarm,) = (await xbb.desk.node(MONITOR)).alarms
    assert alarm.code == "renumbered"
    # Whether it was restored, only people can find out.
    assert "restored" not in alarm.message
    assert "Ask XAA on another channel whether its node was restored" in alarm.next


async def test_an_epoch_of_the_future_is_rejected(pair: tuple[TestNode, TestNode]) -> None:
    """Whoever stole a key could otherwise name the last epoch, behind which nothing is ever missed."""
    xaa, xbb = pair
    await begin_epoch(xaa, EPOCH + 30)
    await xbb.receive(delivery_to("XBB", await xaa.send(to=("XBB",))))
    view = await xbb.desk.node(MONITOR)
    assert view.inbox_unread == 0
    refused = await xbb.context.engine.read(lambda db: list(db.execute("SELECT code FROM refused")))
    assert refused == [("cannot-open",)]
