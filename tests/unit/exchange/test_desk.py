"""The desk: who may ask what, and the same truth for every face."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import apsw
import pytest

from exchange.node.requests import AnswerRequest
from exchange.node.showing import HIDDEN
from exchange.node.tokens import Identity
from exchange.node.views import EventView
from protocol.errors import BadRequest, NotAuthorized, NotFound
from protocol.session.messages import ItemKind
from tests.nodes import MONITOR, SENDER, TestNode, a_node, a_request, delivery_to
from tests.patience import PATIENCE_S

ACCEPT = AnswerRequest(answer="accepted")
Ask = Callable[[TestNode, Identity, str], Awaitable[object]]


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[TestNode]:
    """Return XAA's node."""
    async with a_node(tmp_path / "XAA", "XAA") as opened:
        yield opened


@pytest.fixture
async def receiver(tmp_path: Path, node: TestNode) -> AsyncIterator[tuple[TestNode, str]]:
    """Return XBB's node and the id of a notice it has received."""
    async with a_node(tmp_path / "XBB", "XBB") as xbb:
        await xbb.receive(delivery_to("XBB", await node.send()))
        (shown,) = await xbb.desk.inbox(SENDER)
        yield xbb, shown.id


async def _first_event(node: TestNode, who: Identity, _: str) -> object:
    async for event in node.desk.events(who, 0):
        return event
    return None


CALLS: dict[str, tuple[str, Ask]] = {
    "inbox": ("monitor", lambda node, who, id_: node.desk.inbox(who)),
    "outbox": ("monitor", lambda node, who, id_: node.desk.outbox(who)),
    "notice": ("monitor", lambda node, who, id_: node.desk.notice(who, id_)),
    "status": ("monitor", lambda node, who, id_: node.desk.status(who, id_)),
    "wait": ("monitor", lambda node, who, id_: node.desk.wait(who, id_, "relayed", 0.01)),
    "node": ("monitor", lambda node, who, id_: node.desk.node(who)),
    "members": ("monitor", lambda node, who, id_: node.desk.members(who)),
    "schemas": ("monitor", lambda node, who, id_: node.desk.schemas(who)),
    "translate": ("monitor", lambda node, who, id_: node.desk.translate(who, "4", "ppd-41")),
    "events": ("monitor", _first_event),
    "submit": ("sender", lambda node, who, id_: node.desk.submit(who, a_request(to=("XAA",)), "request-1")),
    "open": ("officer", lambda node, who, id_: node.desk.open(who, id_)),
    "answer": ("officer", lambda node, who, id_: node.desk.answer(who, id_, ACCEPT)),
}


@pytest.mark.parametrize("name", CALLS)
async def test_each_call_needs_its_role_and_no_more(receiver: tuple[TestNode, str], name: str) -> None:
    """Roles are checked here, once, whatever face the request came through."""
    node, id_ = receiver
    needed, ask = CALLS[name]
    tokens = {"monitor": MONITOR, "sender": SENDER, "officer": node.officer}
    order = list(tokens)
    for role, who in tokens.items():
        if order.index(role) >= order.index(needed):
            await asyncio.wait_for(ask(node, who, id_), PATIENCE_S)
        else:
            with pytest.raises(NotAuthorized):
                await ask(node, who, id_)


async def test_a_monitor_sees_no_subject_anywhere(receiver: tuple[TestNode, str]) -> None:
    """A screen on the wall shows that something came, not what."""
    node, id_ = receiver
    shown = [
        *(await node.desk.inbox(MONITOR)),
        await node.desk.notice(MONITOR, id_),
        (await node.desk.status(MONITOR, id_)).notice,
        (await node.desk.wait(MONITOR, id_, "received", 0.01)).notice,
    ]
    assert {notice.subject for notice in shown} == {HIDDEN}


async def test_a_sender_opens_what_was_sent_and_nothing_is_signed(node: TestNode) -> None:
    """Whoever sent a notice may read it again."""
    view = await node.desk.submit(SENDER, a_request(), "request-1")
    content = await node.desk.open(SENDER, view.id)
    assert (content.text, content.opened_by) == ("Two control rooms are affected.", None)
    with pytest.raises(NotAuthorized):
        await node.desk.open(MONITOR, view.id)
    assert len(await node.queue()) == 1


async def test_a_unique_beginning_of_an_id_is_enough(node: TestNode) -> None:
    """People type six digits, of any case and of odd or even number."""
    view = await node.desk.submit(SENDER, a_request(), "request-1")
    for length in (6, 7, 63, 64):
        assert await node.desk.resolve(view.id[:length]) == view.id
    assert await node.desk.resolve(view.id[:8].upper()) == view.id


async def test_a_notice_may_refer_to_another_by_its_beginning(node: TestNode) -> None:
    """Lists show twelve digits of an id, so those are enough to refer to it."""
    first = await node.desk.submit(SENDER, a_request(), "request-1")
    again = a_request(kind="update", refers_to=first.id[:12])
    second = await node.desk.submit(SENDER, again, "request-2")
    assert (await node.desk.notice(SENDER, second.id)).refers_to == first.id
    with pytest.raises(NotFound):
        await node.desk.submit(SENDER, a_request(refers_to="abcdef123456"), "request-3")


@pytest.mark.parametrize("prefix", ["", "abcde", "xyz123", "0" * 65, "../../", "ab cdef"])
async def test_what_is_no_id_is_a_bad_request(node: TestNode, prefix: str) -> None:
    """The error says what an id looks like."""
    with pytest.raises(BadRequest) as caught:
        await node.desk.resolve(prefix)
    assert caught.value.hint


async def test_an_unknown_id_is_not_found(node: TestNode) -> None:
    """Nothing here begins like that."""
    with pytest.raises(NotFound):
        await node.desk.status(SENDER, "ab" * 32)


async def test_an_ambiguous_beginning_is_refused(node: TestNode) -> None:
    """Two notices are never confused."""
    first = (await node.desk.submit(SENDER, a_request(), "request-1")).id
    second = (await node.desk.submit(SENDER, a_request(), "request-2")).id
    change = (bytes.fromhex(first[:12] + second[12:]), bytes.fromhex(second))

    def make_twins(db: apsw.Connection) -> None:
        db.execute("PRAGMA defer_foreign_keys = ON")
        db.execute("UPDATE notice SET id = ? WHERE id = ?", change)
        db.execute("UPDATE delivery SET envelope = ? WHERE envelope = ?", change)
        db.execute("UPDATE content SET envelope = ? WHERE envelope = ?", change)

    await node.context.engine.write(make_twins)
    with pytest.raises(BadRequest, match="several"):
        await node.desk.resolve(first[:12])
    assert await node.desk.resolve(first[:20]) == first


async def test_waiting_returns_as_soon_as_every_delivery_is_there(node: TestNode) -> None:
    """The waiter is woken by what happens, not by the clock."""
    view = await node.desk.submit(SENDER, a_request(), "request-1")
    waiting = asyncio.create_task(node.desk.wait(SENDER, view.id, "relayed", 2 * PATIENCE_S))
    await asyncio.sleep(0.02)
    early = waiting.done()
    await node.accept((await node.queue())[0])
    status = await asyncio.wait_for(waiting, PATIENCE_S)
    assert not early
    assert {one.state for one in status.deliveries} == {"relayed"}


async def test_waiting_ends_when_the_time_is_up(node: TestNode) -> None:
    """How far it came is an answer too."""
    view = await node.desk.submit(SENDER, a_request(), "request-1")
    status = await asyncio.wait_for(node.desk.wait(SENDER, view.id, "answered", 0.05), PATIENCE_S)
    assert [one.state for one in status.deliveries] == ["queued", "queued"]


async def test_events_are_replayed_and_then_live(node: TestNode) -> None:
    """A script that was away misses nothing and sees nothing twice."""
    await node.desk.submit(SENDER, a_request(), "request-1")
    stream = node.desk.events(MONITOR, 0)
    first = await asyncio.wait_for(anext(stream), PATIENCE_S)
    following: asyncio.Task[EventView] = asyncio.create_task(_next(stream))
    await asyncio.sleep(0.02)
    early = following.done()
    await node.accept((await node.queue())[0])
    second = await asyncio.wait_for(following, PATIENCE_S)
    again = [await asyncio.wait_for(anext(node.desk.events(MONITOR, first.number)), PATIENCE_S)]
    assert not early
    assert [first.event, second.event] == ["notice.queued", "notice.relayed"]
    assert again == [second]


async def _next(stream: AsyncIterator[EventView]) -> EventView:
    return await anext(stream)


async def test_a_status_says_when_each_state_was_reached(node: TestNode, tmp_path: Path) -> None:
    """Queued, relayed, received, opened and accepted each have their time, and the officer a name."""
    submission = await node.send(to=("XBB",))
    node.clock.advance(1000)
    await node.accept((await node.queue())[0])
    async with a_node(tmp_path / "XBB", "XBB", node.clock) as xbb:
        node.clock.advance(1000)
        await xbb.receive(delivery_to("XBB", submission))
        (shown,) = await xbb.desk.inbox(SENDER)
        node.clock.advance(1000)
        await xbb.desk.open(xbb.officer, shown.id)
        node.clock.advance(1000)
        await xbb.desk.answer(xbb.officer, shown.id, ACCEPT)
        statements = [row.content for row in await xbb.queue() if row.kind == "attest"]
    await node.receive(*statements, kind=ItemKind.STATEMENT)
    (delivery,) = (await node.desk.status(SENDER, shown.id)).deliveries
    start = shown.created_ms
    steps = ("queued", "relayed", "received", "opened", "accepted")
    assert delivery.reached_ms == {name: start + 1000 * number for number, name in enumerate(steps)}
    assert (delivery.state, delivery.officer, delivery.since_ms) == (
        "accepted",
        "officer of XBB",
        start + 4000,
    )


async def test_the_most_severe_unread_notice_stands_first(node: TestNode, tmp_path: Path) -> None:
    """What matters most is read first, whenever it came."""
    levels = ("low", "emergency", "medium")
    copies = [delivery_to("XBB", await node.send(severity=f"ppd-41:{level}")) for level in levels]
    async with a_node(tmp_path / "XBB", "XBB") as xbb:
        await xbb.receive(*copies)
        shown = [notice.severity.reference for notice in await xbb.desk.inbox(xbb.officer)]
        await xbb.desk.open(xbb.officer, (await xbb.desk.inbox(xbb.officer))[0].id)
        unread = await xbb.desk.inbox(xbb.officer, unread=True)
    assert [one.split(":")[1] for one in shown] == ["emergency", "medium", "low"]
    assert len(unread) == 2


async def test_no_notice_falls_between_two_pages(node: TestNode, tmp_path: Path) -> None:
    """Notices stored at one moment stay on one page, so the next page starts before them."""
    copies = [delivery_to("XBB", await node.send(subject=f"Notice {number}")) for number in range(5)]
    async with a_node(tmp_path / "XBB", "XBB") as xbb:
        await xbb.receive(*copies[:2])
        xbb.clock.advance(1000)
        await xbb.receive(*copies[2:])
        seen: list[str] = []
        before: int | None = None
        while page := await xbb.desk.inbox(SENDER, limit=2, before_ms=before):
            seen += [notice.subject for notice in page]
            before = min(notice.received_ms or 0 for notice in page)
    assert sorted(seen) == [f"Notice {number}" for number in range(5)]


async def test_members_say_whether_a_notice_could_be_sealed_for_them(node: TestNode) -> None:
    """A contact list that cannot rot unseen."""
    current = await node.desk.members(MONITOR)
    node.clock.advance(15 * 24 * 3_600_000)
    tail = await node.desk.members(MONITOR)
    node.clock.advance(80 * 24 * 3_600_000)
    none = await node.desk.members(MONITOR)
    assert {(one.usable_key, one.key_note) for one in current} == {(True, "current")}
    assert {(one.usable_key, one.key_note) for one in tail} == {(True, "reduced forward secrecy")}
    assert {one.usable_key for one in none} == {False}
