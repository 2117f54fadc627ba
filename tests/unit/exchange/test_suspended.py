"""A recipient that is suspended: what was meant for it waits, and keeps nothing from the others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from exchange.node.answers import Answered
from exchange.node.suspended import status_changes
from keys import governance
from protocol.documents import StateStatus
from protocol.errors import PeerCode, UnknownSigner, UnknownState
from protocol.session.messages import Documents, Refused
from protocol.statement import StatementKind
from tests.community import YEAR_MS
from tests.nodes import MONITOR, SENDER, a_request, delivery_to
from tests.waiters import Three, three


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Three]:
    """Return the three, all with keys."""
    async with three(tmp_path) as nodes:
        yield nodes


def directory_with(nodes: Three, code: str, status: StateStatus) -> bytes:
    """Return the next directory, in which one state has this status."""
    trusted = nodes.xaa.context.directory
    states = [
        msgspec.structs.replace(entry, status=status) if entry.code == code else entry
        for entry in trusted.states()
    ]
    following = governance.next_directory(
        trusted, states, trusted.coordinators(), now_ms=nodes.clock.now_ms(), life_ms=YEAR_MS
    )
    return nodes.xaa.everyone.signed_by_governance(following)


async def learn(nodes: Three, status: StateStatus) -> None:
    """Let XAA learn from its coordinator that XCC has this status now."""
    data = directory_with(nodes, "XCC", status)
    mirror = nodes.xaa.mirror
    await mirror.receive(Documents(first=mirror.next_index, documents=(data,), head=mirror.next_index + 1))


async def refuse_all(nodes: Three) -> None:
    """Let the coordinator refuse what it may not relay to a suspended state."""
    for row in await nodes.xaa.queue():
        if row.kind == "submit":
            nodes.xaa.answers.offer(Answered(row, Refused(ref=1, code=PeerCode.NOT_ADDRESSED)))
            await nodes.xaa.answers.next_round()


async def test_nothing_new_is_sent_to_it(opened: Three) -> None:
    """The sender is told before anything is sealed, and with what to do."""
    await learn(opened, StateStatus.SUSPENDED)
    with pytest.raises(UnknownState, match="XCC is suspended") as caught:
        await opened.submit()
    assert caught.value.code == "unknown-state"
    assert await opened.queued() == []


async def test_the_others_can_be_warned_and_the_message_says_how(opened: Three) -> None:
    """Nobody got it, and that is said; with --partial the others do, and who was left out is named."""
    await learn(opened, StateStatus.SUSPENDED)
    with pytest.raises(UnknownState) as caught:
        await opened.submit(wait_for_keys=False)
    assert caught.value.message == "XCC is suspended; nothing was sealed or sent, to nobody"
    assert "--to XBB; or repeat with --partial" in caught.value.hint
    sent = await opened.submit(wait_for_keys=False, partial=True, to=("XBB", "XCC"))
    assert [(one.state, one.code, one.reason) for one in sent.skipped] == [
        ("XCC", "suspended", "XCC is suspended")
    ]
    with pytest.raises(UnknownState, match="to nobody"):
        await opened.submit(wait_for_keys=False, partial=True, to=("XCC",))


async def test_what_was_queued_for_it_reaches_the_others_at_once(opened: Three) -> None:
    """One suspended recipient must not keep a warning from the rest, today; it waits."""
    view = await opened.submit()
    await learn(opened, StateStatus.SUSPENDED)
    await refuse_all(opened)
    assert await opened.xaa.resealer.look() == 1
    (sealed,) = await opened.carry()
    assert [addressee.state for addressee in sealed.header.recipients] == ["XBB"]
    assert await opened.states(view.id) == {"XBB": "received", "XCC": "waiting-for-key"}
    assert len(await opened.shown("XBB")) == 1
    waiting = (await opened.at(view.id))["XCC"].waiting
    assert waiting is not None
    assert "XCC is suspended" in waiting.reason
    assert "when governance reinstates it" in waiting.next
    assert await opened.alarms() == ["waiting-for-key"]


async def test_what_waits_is_delivered_when_it_is_reinstated(opened: Three) -> None:
    """Without anybody doing anything, and shown once."""
    view = await opened.submit()
    await learn(opened, StateStatus.SUSPENDED)
    await refuse_all(opened)
    await opened.xaa.resealer.look()
    await opened.carry()
    await learn(opened, StateStatus.ACTIVE)
    assert await opened.xaa.resealer.look() == 1
    await opened.carry()
    assert await opened.states(view.id) == {"XBB": "received", "XCC": "received"}
    assert len(await opened.shown("XCC")) == len(await opened.shown("XBB")) == 1
    assert await opened.alarms() == []


async def test_what_lies_in_its_mailbox_is_shown_as_such(opened: Three) -> None:
    """Relayed, and not received for a reason: the sender sees it at the notice and as an alarm."""
    view = await opened.submit()
    await opened.relay()
    await learn(opened, StateStatus.SUSPENDED)
    assert (await opened.at(view.id))["XCC"].code == "suspended"
    assert (await opened.at(view.id))["XBB"].code is None
    (alarm,) = (await opened.xaa.desk.node(MONITOR)).alarms
    assert (alarm.code, "1 notice that" in alarm.message) == ("suspended", True)
    await learn(opened, StateStatus.ACTIVE)
    assert (await opened.at(view.id))["XCC"].code is None
    assert await opened.alarms() == []


async def test_a_coordinator_that_refuses_for_ever_is_not_asked_for_ever(opened: Three) -> None:
    """Each try comes later than the one before, and the notice is seen to wait."""
    view = await opened.submit()
    sealed = 0
    for _ in range(20):
        await refuse_all(opened)
        sealed += await opened.xaa.resealer.look()
    assert sealed == 1
    assert await opened.states(view.id) == {"XBB": "waiting-for-key", "XCC": "waiting-for-key"}


async def test_what_it_said_before_is_believed_though_it_arrives_later(opened: Three) -> None:
    """The receipt was recorded while the state was active, and lay in the sender's mailbox."""
    view = await opened.submit()
    (submission,) = await opened.relay()
    await opened.xcc.receive(delivery_to("XCC", submission))
    await learn(opened, StateStatus.SUSPENDED)
    await opened.bring_statements("XCC")
    assert (await opened.states(view.id))["XCC"] == "received"


async def test_what_it_says_after_it_is_not_believed(opened: Three) -> None:
    """It names the directory that suspends it, or a later one."""
    view = await opened.submit()
    await opened.relay()
    await learn(opened, StateStatus.SUSPENDED)
    await opened.say("XCC", StatementKind.REJECTED, bytes.fromhex(view.id), code="cannot-open")
    assert (await opened.states(view.id))["XCC"] == "relayed"
    await learn(opened, StateStatus.ACTIVE)
    await opened.say("XCC", StatementKind.REJECTED, bytes.fromhex(view.id), code="cannot-open")
    assert (await opened.states(view.id))["XCC"] != "relayed"


async def test_a_suspended_node_says_so_and_can_still_greet(opened: Three) -> None:
    """Whoever sends is told why nothing leaves; the session that brings the reinstating is tried on."""
    xcc = opened.xcc.context
    xcc.directory.update(directory_with(opened, "XCC", StateStatus.SUSPENDED), opened.clock.now_ms())
    with pytest.raises(UnknownSigner, match="XCC is suspended") as caught:
        await opened.xcc.desk.submit(SENDER, a_request(to=("XAA",)), "request")
    assert "reinstates" in caught.value.hint
    assert xcc.keys.greeting(opened.clock.now_ms())


async def test_everybody_who_watches_sees_it(opened: Three) -> None:
    """An event for each state whose status changes."""
    await learn(opened, StateStatus.SUSPENDED)
    await learn(opened, StateStatus.ACTIVE)
    seen = [(one.event, one.state) for one in opened.xaa.desk._events_after(0)]
    assert ("member.suspended", "XCC") in seen
    assert ("member.reinstated", "XCC") in seen
    documents = opened.xaa.context.directory.documents
    assert list(status_changes(documents, documents)) == []
