"""Health: how the node is, in numbers and in sentences with a next step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.node.link_state import LinkState
from keys.trust import MAX_SKEW_MS
from protocol.documents import Revocation
from protocol.errors import Unreachable
from tests.clocks import FixedClock
from tests.community import DAY_MS, NOW_MS, YEAR_MS
from tests.nodes import MONITOR, SENDER, TestNode, a_node, a_request, delivery_to
from tests.rotations import entry, manifest, node_key


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[TestNode]:
    """Return XAA's node."""
    async with a_node(tmp_path / "XAA", "XAA") as opened:
        yield opened


async def codes(node: TestNode) -> list[str]:
    """Return the codes of what a person must know."""
    alarms = (await node.desk.node(MONITOR)).alarms
    assert all(alarm.next and alarm.message for alarm in alarms)
    return [alarm.code for alarm in alarms]


async def test_a_fresh_node_is_disconnected_and_has_no_alarm(node: TestNode) -> None:
    """Nothing is claimed that was not seen."""
    view = await node.desk.node(MONITOR)
    assert (view.connected, view.queued, view.inbox_unread, view.alarms) == (False, 0, 0, ())
    assert (view.clock_skew_ms, view.last_error) == (None, None)
    assert (view.state, view.coordinator, view.directory_version) == ("XAA", "HUB", 1)


async def test_the_link_is_shown_as_it_is(node: TestNode) -> None:
    """Connected since when; and afterwards, why not."""
    node.link_state.opened(120)
    up = await node.desk.node(MONITOR)
    node.link_state.lost(Unreachable("it does not answer"))
    node.link_state.retry_in(4.0)
    down = await node.desk.node(MONITOR)
    assert (up.connected_since_ms, up.clock_skew_ms, up.last_error) == (node.clock.now_ms(), 120, None)
    assert (down.connected, down.last_error) == (False, "it does not answer")


async def test_what_waits_and_what_is_unread_is_counted(node: TestNode, tmp_path: Path) -> None:
    """The two numbers that a duty officer looks at first."""
    copy = delivery_to("XBB", await node.send())
    async with a_node(tmp_path / "XBB", "XBB") as xbb:
        await xbb.receive(copy)
        view = await xbb.desk.node(MONITOR)
    assert (await node.desk.node(MONITOR)).queued == 1
    assert (view.inbox_unread, view.queued) == (1, 1)


@pytest.mark.parametrize("skew_ms", [MAX_SKEW_MS + 1000, -MAX_SKEW_MS - 1000])
async def test_a_wrong_clock_is_an_alarm(node: TestNode, skew_ms: int) -> None:
    """Until it is corrected nothing can be sent, so somebody must know."""
    node.link_state.opened(skew_ms)
    assert await codes(node) == ["clock-skew"]


async def test_a_small_difference_of_clocks_is_no_alarm(node: TestNode) -> None:
    """Ten minutes are allowed."""
    node.link_state.opened(MAX_SKEW_MS)
    assert await codes(node) == []


async def test_a_node_whose_only_key_is_revoked_says_that_a_file_must_be_carried(node: TestNode) -> None:
    """The coordinator lets it in by nothing that it knows; while a session lasts, nobody is troubled."""
    now_ms, keys = node.clock.now_ms(), node.context.keys
    old = entry("XAA", node_key("XAA", 1), NOW_MS - DAY_MS, NOW_MS + YEAR_MS)
    revoked = Revocation(key_id=old.key_id, reason="compromised", at_ms=now_ms)
    node.context.directory.update(
        manifest(node.context.directory, "XAA", [old], now_ms, revoked=[revoked]), now_ms
    )
    assert not keys.can_come_in(now_ms)
    (alarm,) = [one for one in (await node.desk.node(MONITOR)).alarms if one.code == "not-let-in"]
    assert "almenara node community --data DIR" in alarm.next
    assert "almenara coordinator join" in alarm.next
    node.link_state.connected_since_ms = now_ms
    assert "not-let-in" not in await codes(node)


async def test_a_corrected_clock_ends_the_alarm_and_notices_leave_again(node: TestNode) -> None:
    """No new session is needed: the node sees that its own clock was put right."""
    node.link_state.opened(3_600_000)
    node.clock.set(node.clock.now_ms() + 3_600_000)
    assert await codes(node) == []
    await node.desk.submit(SENDER, a_request(), "request-1")


async def test_expired_documents_are_an_alarm(node: TestNode) -> None:
    """A community that does not renew its documents is told in time; here its keys end that day too."""
    node.clock.advance(YEAR_MS)
    assert await codes(node) == ["not-let-in", "document-expired"]


def test_skew_follows_time_only_as_far_as_the_clocks_differ() -> None:
    """Hours pass on both clocks alike."""
    clock = FixedClock()
    state = LinkState(clock)
    assert state.skew_ms is None
    state.opened(500)
    clock.advance(10 * 3_600_000)
    assert state.skew_ms == 500
    clock.set(clock.now_ms() - 60_000)
    assert state.skew_ms == 60_500
