"""What ends is said 60, 30, 14, 7 and 1 days before, once each, and no more when it was renewed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from exchange.coordinator.expiring import Expiring as Logging
from exchange.expiries import GOVERNANCE, THRESHOLDS, What, board
from exchange.link.certificate import make_certificate
from exchange.node.expiring import ALARM, NEXT, Expiring
from exchange.stores.node_books import clear_alarms, read_alarms, read_events
from keys import governance
from keys.trust import TrustedDirectory
from protocol.documents import Revocation, StateEntry, StateStatus
from tests.clocks import FixedClock
from tests.community import DAY_MS, NOW_MS, YEAR_MS, community
from tests.logs import Log
from tests.nodes import TestNode, a_node
from tests.rotations import entry, manifest, node_key

ISSUED_MS = NOW_MS - 3600 * 1000
ENDS_MS = ISSUED_MS + YEAR_MS
"""When the manifests and keys of the fictitious community end."""


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[TestNode]:
    """Return XAA's node."""
    async with a_node(tmp_path / "XAA", "XAA") as opened:
        yield opened


async def said(node: TestNode) -> list[str]:
    """Return every warning in the event stream, in order."""
    rows = await node.context.engine.read(lambda db: read_events(db, 0, 1000))
    return [row.detail for row in rows if row.event == "expiry.warning" and "daily keys" not in row.detail]


async def alarms(node: TestNode) -> list[str]:
    """Return what the standing alarms say, but for daily keys, which nobody makes in this test."""
    found = await node.context.engine.read(read_alarms)
    return sorted(one.message for one in found if one.code == ALARM and "daily keys" not in one.message)


async def look(node: TestNode, days_before: float) -> None:
    """Look so many days before the end, as a node would that was just started."""
    node.clock.set(round(ENDS_MS - days_before * DAY_MS))
    await Expiring(node.context, node.link_state).look()


def test_the_board_shows_everything_that_ends_the_next_first() -> None:
    """Root, directory, and of each state: manifest, node key, officer's key and daily keys."""
    found = board(community().directory())
    assert [one.ends_ms for one in found] == sorted(one.ends_ms for one in found)
    of_xaa = {one.what for one in found if one.party == "XAA"}
    assert of_xaa == {What.MANIFEST, What.NODE_KEY, What.OFFICER_KEY, What.DAILY_KEYS}
    assert {one.what for one in found if one.party == GOVERNANCE} == {What.ROOT, What.DIRECTORY}


def test_certificates_are_on_the_board_and_rubbish_among_them_harms_nothing() -> None:
    """Of two, the older one is followed; what is no certificate ends nothing."""
    trusted = community().directory()
    old, new = (make_certificate("XAA", NOW_MS, days * DAY_MS).der for days in (10, 300))
    keys = community().members["XAA"].keys[:1]
    trusted.update(manifest(trusted, "XAA", keys, NOW_MS, certificates=[old, new, b"rubbish"]), NOW_MS)
    shown = [one for one in board(trusted) if one.what is What.CERTIFICATE]
    assert [(one.days_left(NOW_MS), one.followed) for one in shown] == [(10, True), (300, False)]
    assert [one.due(NOW_MS) for one in shown] == [None, None]


def test_a_key_that_is_followed_by_another_is_never_due() -> None:
    """Who has rotated in time hears nothing at the end of the old key."""
    trusted = community().directory()
    first = entry("XAA", node_key("XAA", 1), NOW_MS - DAY_MS, NOW_MS + 20 * DAY_MS)
    second = entry("XAA", node_key("XAA", 2), NOW_MS + 10 * DAY_MS, NOW_MS + YEAR_MS)
    trusted.update(manifest(trusted, "XAA", [first, second], NOW_MS), NOW_MS)
    keys = [one for one in board(trusted) if (one.party, one.what) == ("XAA", What.NODE_KEY)]
    assert [one.due(NOW_MS + 20 * DAY_MS) for one in keys] == [None, None]
    # If the second is revoked, the first is the last one again.
    gone = [Revocation(key_id=second.key_id, reason="withdrawn", at_ms=NOW_MS)]
    trusted.update(manifest(trusted, "XAA", [first, second], NOW_MS, revoked=gone), NOW_MS)
    (left,) = [one for one in board(trusted) if (one.party, one.what) == ("XAA", What.NODE_KEY)]
    assert left.due(NOW_MS) == 30


@pytest.mark.parametrize(
    ("days_left", "due"),
    [
        (60.1, None),
        (60, 60),
        (31, 60),
        (30, 30),
        (14, 14),
        (7.5, 14),
        (7, 7),
        (1, 1),
        (0.5, 1),
        (0, 0),
        (-9, 0),
    ],
)
def test_each_threshold_begins_on_its_day(days_left: float, due: int | None) -> None:
    """60, 30, 14, 7 and 1 days before; then it says that it has ended."""
    (one,) = [
        one for one in board(community().directory()) if (one.party, one.what) == ("XAA", What.MANIFEST)
    ]
    now_ms = round(one.ends_ms - days_left * DAY_MS)
    assert one.due(now_ms) == due
    assert ("ended" in one.sentence(now_ms)) is (days_left <= 0)


def test_a_suspended_state_is_not_on_the_board() -> None:
    """It takes no part; whether its keys end concerns nobody until it is back."""
    trusted = community().directory()
    states = [
        structs.replace(one, status=StateStatus.SUSPENDED) if one.code == "XBB" else one
        for one in trusted.states()
    ]
    trusted.update(next_directory(trusted, states), NOW_MS)
    assert not [one for one in board(trusted) if one.party == "XBB"]


def next_directory(trusted: TrustedDirectory, states: list[StateEntry]) -> bytes:
    """Return the next directory, signed."""
    document = governance.next_directory(
        trusted, states, trusted.coordinators(), now_ms=NOW_MS, life_ms=YEAR_MS
    )
    return community().signed_by_governance(document)


# A node.


async def test_each_threshold_is_told_once_and_not_again_at_a_restart(node: TestNode) -> None:
    """The events keep it; each look here is by a node that was just started."""
    for days in (61, 60, 59, 59, 30, 30, 14, 7, 1, 1, -1, -2):
        await look(node, days)
    about_manifest = [one for one in await said(node) if "manifest" in one]
    words = [one.removeprefix("this state's manifest ").split(",")[0] for one in about_manifest]
    assert words[:5] == [f"ends in {days} day{'s' * (days > 1)}" for days in (60, 30, 14, 7, 1)]
    assert words[5].startswith("ended on")
    assert len(words) == len(THRESHOLDS)


async def test_a_dismissed_warning_comes_back_with_the_next_threshold_only(node: TestNode) -> None:
    """Who has dealt with it is not told the same again, and is told when it becomes urgent."""
    await look(node, 60)
    assert len(await alarms(node)) == 3
    await node.context.engine.write(clear_alarms)
    await look(node, 45)
    assert await alarms(node) == []
    await look(node, 29)
    assert [one.split(",")[0] for one in await alarms(node)] == [
        "this state's manifest ends in 29 days",
        "this state's node key ends in 29 days",
        "this state's officer key of officer of XAA ends in 29 days",
    ]


async def test_a_renewal_lowers_the_alarm(node: TestNode) -> None:
    """Nobody has to dismiss what was put right."""
    await look(node, 30)
    trusted, now_ms = node.context.directory, node.clock.now_ms()
    keys = [
        community().members["XAA"].keys[0],
        entry("XAA", node_key("XAA", 2), now_ms, now_ms + YEAR_MS),
    ]
    trusted.update(manifest(trusted, "XAA", keys, now_ms), now_ms)
    await Expiring(node.context, node.link_state).look()
    assert [one.split(" ends")[0] for one in await alarms(node)] == [
        "this state's officer key of officer of XAA"
    ]


async def test_with_a_wrong_clock_nothing_is_warned_of(node: TestNode) -> None:
    """A year ahead, everything would seem to have ended; the clock has an alarm of its own."""
    node.link_state.opened(0)
    node.clock.set(NOW_MS + 2 * YEAR_MS)
    await Expiring(node.context, node.link_state).look()
    assert await alarms(node) == []


async def test_what_is_others_is_one_line_a_member_and_no_alarm(node: TestNode) -> None:
    """Peers see it in health, and can ask; their own node has the alarm."""
    node.clock.set(ENDS_MS - 20 * DAY_MS)
    view = await node.desk.node(node.officer)
    assert not [alarm for alarm in view.alarms if "XBB" in alarm.message and alarm.code == ALARM]
    (line,) = [note for note in view.notes if note.startswith("XBB: ")]
    assert "manifest ends in 20 days" in line
    assert sorted(note.split(":")[0] for note in view.notes) == ["XBB", "XCC", GOVERNANCE]


def test_every_warning_has_a_next_step() -> None:
    """Whatever of a state can end, its node says what to do."""
    assert set(NEXT) == set(What) - {What.ROOT, What.DIRECTORY}


# A coordinator.


def test_the_coordinator_logs_what_is_due_once_a_day(logging_as_before: None) -> None:
    """Its operator sees the whole community's dates without asking anybody."""
    log, clock = Log(), FixedClock(ENDS_MS - 20 * DAY_MS)
    watching = Logging(community().directory(), clock)
    for _ in range(3):
        watching.look()
    first = warnings(log)
    assert {line["kind"] for line in first} >= {"manifest", "node_key", "root", "directory", "daily_keys"}
    assert {line.get("state") for line in first} == {None, "XAA", "XBB", "XCC"}
    assert len(first) == len({(line["kind"], line["key"]) for line in first})
    clock.advance(DAY_MS)
    watching.look()
    assert len(warnings(log)) == 2 * len(first)


def warnings(log: Log) -> list[dict[str, object]]:
    """Return the warnings in the log."""
    lines = [json.loads(line) for line in log.text.splitlines()]
    return [line for line in lines if line["event"] == "expiry.warning"]


async def test_a_fault_in_one_look_does_not_end_the_node(
    node: TestNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keykeeper looks again after a fault of this program, as every part of the node does."""
    looked = asyncio.Event()

    async def fault() -> None:
        looked.set()
        raise RuntimeError("a fault")

    monkeypatch.setattr(node.keykeeper, "look", fault)
    running = asyncio.create_task(node.keykeeper.run())
    await looked.wait()
    await asyncio.sleep(0)
    assert not running.done()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
