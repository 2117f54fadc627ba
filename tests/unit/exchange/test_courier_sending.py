"""What a courier hands over: nothing is lost, nothing overruns, and refusals are held or told."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from exchange.node.courier import HELD_SECONDS
from protocol.errors import PeerCode
from protocol.session.messages import Mirror as MirrorRequest
from protocol.session.messages import (
    Submit,
)
from tests.clocks import FixedClock
from tests.community import DAY_MS
from tests.courier_places import Place, envelope_of, place
from tests.couriers import WELCOME, accepted, carrying, refused, until
from tests.nodes import SENDER
from tests.patience import PATIENCE_S

FIXTURES = (place,)
"""A node and its coordinator, as :mod:`tests.courier_places` makes them."""


async def test_what_waits_is_handed_over_and_leaves_with_the_promise(place: Place) -> None:
    """An accepted envelope leaves the queue only with the coordinator's signed RELAYED."""
    submission = await place.node.send()
    async with carrying(place.folder, place.node):
        talk = await place.hub.talk()
        request = await talk.request()
        still_queued = len(await place.node.queue())
        talk.say(accepted(place.node, request, envelope_of(request)))
        await place.queue_is(0)
        status = await place.node.desk.status(SENDER, envelope_of(request).hex())
    assert isinstance(request, Submit)
    assert (request.submission, still_queued) == (submission, 1)
    assert {delivery.state for delivery in status.deliveries} == {"relayed"}


async def test_a_notice_accepted_while_connected_leaves_at_once(place: Place) -> None:
    """The courier is woken; it does not poll."""
    async with carrying(place.folder, place.node):
        talk = await place.hub.talk()
        await talk.quiet(0.02)
        submission = await place.node.send()
        async with asyncio.timeout(PATIENCE_S):
            request = await talk.request()
    assert isinstance(request, Submit)
    assert request.submission == submission


async def test_everything_under_way_is_sent_again_after_a_cut(place: Place) -> None:
    """A connection lost between request and answer loses nothing."""
    sent = {await place.node.send(subject=f"Notice {number}") for number in range(3)}
    async with carrying(place.folder, place.node):
        first = await place.hub.talk()
        before = [await first.request() for _ in range(3)]
        first.cut()
        second = await place.hub.talk()
        after = [await second.request() for _ in range(3)]
        for request in after:
            second.say(accepted(place.node, request, envelope_of(request)))
        await place.queue_is(0)
    assert {one.submission for one in before if isinstance(one, Submit)} == sent
    assert {one.submission for one in after if isinstance(one, Submit)} == sent


async def test_an_answer_lost_with_the_connection_is_given_again(place: Place) -> None:
    """What the coordinator accepted, and could not say, ends as relayed once and nothing is doubled."""
    await place.node.send()
    async with carrying(place.folder, place.node):
        first = await place.hub.talk()
        request = await first.request()
        answer = accepted(place.node, request, envelope_of(request))
        first.cut()
        second = await place.hub.talk()
        again = await second.request()
        second.say(msgspec.structs.replace(answer, ref=again.ref))
        await place.queue_is(0)


async def test_an_unreachable_coordinator_keeps_the_queue(place: Place) -> None:
    """The node accepts notices without a coordinator, says so, and delivers when it is back."""
    await place.hub.stop()
    async with carrying(place.folder, place.node):

        async def has_tried() -> bool:
            return place.node.link_state.last_code == "unreachable"

        await until(has_tried)
        submission = await place.node.send()
        view = await place.node.desk.node(SENDER)
        await asyncio.sleep(0.1)
        await place.hub.start()
        request = await (await place.hub.talk()).request()
    assert (view.connected, view.queued) == (False, 1)
    assert view.last_error
    assert isinstance(request, Submit)
    assert request.submission == submission


async def test_a_passing_refusal_is_held_and_tried_again_later(place: Place) -> None:
    """Over quota is no end: the envelope waits, and is not pressed on the coordinator at once."""
    await place.node.send()
    async with carrying(place.folder, place.node):
        talk = await place.hub.talk()
        request = await talk.request()
        talk.say(refused(request, PeerCode.OVER_QUOTA))
        assert await talk.quiet()
        assert len(await place.node.queue()) == 1
        place.node.clock.advance(int(HELD_SECONDS * 1000) + 1)
        place.node.context.outgoing.ring()
        again = await talk.request()
        talk.say(accepted(place.node, again, envelope_of(again)))
        await place.queue_is(0)
    assert envelope_of(request) == envelope_of(again)


async def test_nothing_is_handed_over_while_the_two_clocks_differ(place: Place) -> None:
    """Days apart, the coordinator would refuse a queued notice as expired, and that is for good."""
    await place.node.send()
    later = place.node.clock.now_ms() + 4 * DAY_MS
    place.hub.clock = FixedClock(later)
    async with carrying(place.folder, place.node):
        talk = await place.hub.talk()
        assert isinstance(await asyncio.wait_for(talk.heard.get(), PATIENCE_S), MirrorRequest)
        assert await talk.quiet(0.2)
        place.node.clock.set(later)
        assert isinstance(await talk.request(), Submit)


async def test_two_clocks_that_differ_are_compared_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the coordinator's that was wrong: once that is corrected, a new session finds out."""
    monkeypatch.setattr("exchange.node.courier.COMPARE_SECONDS", 0.0)
    await place.node.send()
    right = place.node.clock.now_ms()
    place.hub.clock = FixedClock(right + 4 * DAY_MS)
    async with carrying(place.folder, place.node):
        await place.hub.talk()
        place.hub.clock = FixedClock(right)
        talk = await place.hub.talk()
        assert isinstance(await talk.request(), Submit)


async def test_a_held_refusal_does_not_hold_up_others(place: Place) -> None:
    """What follows a held envelope is sent meanwhile."""
    await place.node.send()
    async with carrying(place.folder, place.node):
        talk = await place.hub.talk()
        request = await talk.request()
        talk.say(refused(request, PeerCode.OVER_QUOTA))
        await place.node.send(subject="another")
        other = await talk.request()
    assert envelope_of(other) != envelope_of(request)


async def test_a_final_refusal_leaves_the_queue_and_is_told(place: Place) -> None:
    """An envelope that can never be accepted does not go round for ever."""
    await place.node.send()
    async with carrying(place.folder, place.node):
        talk = await place.hub.talk()
        talk.say(refused(await talk.request(), PeerCode.TAMPERED))
        await place.queue_is(0)
    assert [alarm.code for alarm in (await place.node.desk.node(SENDER)).alarms] == ["refused"]


async def test_never_more_is_under_way_than_the_window_allows(place: Place) -> None:
    """The coordinator's window is kept, and each answer lets one more through."""
    place.hub.welcome = msgspec.structs.replace(WELCOME, request_window=2)
    for number in range(5):
        await place.node.send(subject=f"Notice {number}")
    async with carrying(place.folder, place.node):
        talk = await place.hub.talk()
        requests = [await talk.request(), await talk.request()]
        assert await talk.quiet()
        for _ in range(3):
            request = requests.pop(0)
            talk.say(accepted(place.node, request, envelope_of(request)))
            requests.append(await talk.request())
            assert talk.link.session.outstanding_requests <= 2
        for request in requests:
            talk.say(accepted(place.node, request, envelope_of(request)))
        await place.queue_is(0)


async def test_what_is_more_urgent_overtakes_what_waits_for_room(place: Place) -> None:
    """Only what is under way stays ahead of an emergency."""
    place.hub.welcome = msgspec.structs.replace(WELCOME, request_window=1)
    for number in range(4):
        await place.node.send(subject=f"Notice {number}", severity="ppd-41:low")
    async with carrying(place.folder, place.node):
        talk = await place.hub.talk()
        request = await talk.request()
        urgent = await place.node.send(severity="ppd-41:emergency")
        talk.say(accepted(place.node, request, envelope_of(request)))
        following = await talk.request()
    assert isinstance(following, Submit)
    assert following.submission == urgent
