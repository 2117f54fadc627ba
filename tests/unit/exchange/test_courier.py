"""The courier against a coordinator over real TLS: nothing is lost, nothing overruns, nothing stops it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from exchange.node.courier import HELD_SECONDS
from exchange.node.inbox import Inbox
from exchange.node.openings import Openings
from exchange.node.receipts import Receipts
from exchange.node.records import Outcome
from protocol import codec
from protocol.envelope import deliver, parse_submission
from protocol.errors import PeerCode, StoreFailed
from protocol.ledger.origins import Log
from protocol.session.messages import (
    Accepted,
    Attest,
    Collected,
    Compared,
    Cosigned,
    Deliver,
    Documents,
    ItemKind,
    Locate,
    Located,
    Message,
    Ping,
    Submit,
    Unusable,
    Witness,
    Witnessed,
)
from protocol.session.messages import Mirror as MirrorRequest
from protocol.statement import StatementKind, parse_statement
from tests.clocks import FixedClock
from tests.community import DAY_MS
from tests.couriers import WELCOME, ScriptedHub, a_hub, accepted, carrying, refused, until
from tests.envelopes import header as plain_header
from tests.envelopes import submission as plain_submission
from tests.ledgers import PlayedLedger
from tests.nodes import SENDER, TestNode, a_node, delivery_to


@dataclass(frozen=True)
class Place:
    """XAA's node with a scripted coordinator, and where files may lie."""

    node: TestNode
    hub: ScriptedHub
    folder: Path

    async def queue_is(self, length: int) -> None:
        """Wait until so much is queued."""

        async def reached() -> bool:
            return len(await self.node.queue()) == length

        await until(reached)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """Return a node and a coordinator, not yet connected."""
    async with a_node(tmp_path / "XAA", "XAA") as node, a_hub(tmp_path, node) as hub:
        yield Place(node, hub, tmp_path)


def envelope_of(request: Message) -> bytes:
    """Return the id of a submitted envelope."""
    assert isinstance(request, Submit), request
    return parse_submission(request.submission)[1].id


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
        async with asyncio.timeout(1):
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


async def test_a_session_carries_the_ledger_beside_the_notices(place: Place) -> None:
    """The node cosigns over its session, asks where its statements stand, and shows them as witnessed."""
    node, played = place.node, PlayedLedger(place.node.everyone, place.node.clock)
    await node.send()
    async with carrying(place.folder, node):
        talk = await place.hub.talk()
        request = await talk.request()
        relayed = node.relayed(envelope_of(request))
        played.record(relayed)
        talk.say(Accepted(ref=request.ref, index=0, statement=relayed))
        await place.queue_is(0)
        talk.say(played.ask(0))
        cosigned = await talk.next()
        talk.say(played.announce(by=("XBB", "XCC")))
        located = await talk.next()
        while isinstance(located, Cosigned):
            located = await talk.next()
        assert isinstance(located, Locate)
        talk.say(played.locate(located.statements))

        async def is_witnessed() -> bool:
            status = await node.desk.status(SENDER, envelope_of(request).hex())
            return all(one.evidence["relayed"] == "witnessed, leaf 0" for one in status.deliveries)

        await until(is_witnessed)
    assert isinstance(cosigned, Cosigned)
    assert cosigned.status == 200


async def test_nothing_about_the_ledger_ends_a_session(place: Place) -> None:
    """Rubbish in every ledger message, and the notices still leave over the same session."""
    async with carrying(place.folder, place.node):
        talk = await place.hub.talk()
        for log in Log:
            talk.say(Witness(log=log, body=b"rubbish"))
            talk.say(Witnessed(log=log, checkpoint=b"rubbish"))
            talk.say(Compared(log=log, old=1, new=2, proof=()))
        talk.say(Located(checkpoint=b"rubbish", places=()))
        await asyncio.sleep(0.05)
        submission = await place.node.send()
        message = await talk.next()
        while not isinstance(message, Submit):
            assert isinstance(message, Cosigned)
            message = await talk.next()
    assert message.submission == submission
    assert place.hub.visits == 1


async def test_a_goodbye_is_followed_by_a_new_session(place: Place) -> None:
    """A coordinator that restarts is found again without anybody's help."""
    async with carrying(place.folder, place.node):
        for _ in range(3):
            talk = await place.hub.talk()
            await talk.link.close(PeerCode.GOING_AWAY)
        await place.hub.talk()
    assert place.hub.visits == 4


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
        assert isinstance(await asyncio.wait_for(talk.heard.get(), 5), MirrorRequest)
        assert await talk.quiet(0.2)
        place.node.clock.set(later)
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


BROKEN: dict[str, Message] = {
    "an answer to nothing": Accepted(ref=99, index=0, statement=None),
    "a request": Submit(ref=1, submission=b"x"),
    "a second welcome": WELCOME,
    "an item collected": Collected(sequence=0),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_rule_ends_the_session_and_a_new_one_follows(place: Place, name: str) -> None:
    """A coordinator that breaks the protocol is left, and tried again; nothing queued is lost."""
    await place.node.send()
    async with carrying(place.folder, place.node):
        first = await place.hub.talk()
        request = await first.request()
        first.blurt(BROKEN[name])
        second = await place.hub.talk()
        again = await second.request()
    assert envelope_of(request) == envelope_of(again)


async def test_a_promise_about_something_else_ends_the_session(place: Place) -> None:
    """The envelope stays queued until the coordinator truly promises it."""
    await place.node.send()
    async with carrying(place.folder, place.node):
        first = await place.hub.talk()
        request = await first.request()
        first.say(accepted(place.node, request, bytes(32)))
        second = await place.hub.talk()
        again = await second.request()
        second.say(accepted(place.node, again, envelope_of(again)))
        await place.queue_is(0)


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


async def test_a_delivered_notice_is_collected_once_it_is_durable(tmp_path: Path) -> None:
    """The cursor moves when notice and receipt are stored, and the receipt follows."""
    async with a_node(tmp_path / "XAA", "XAA") as xaa:
        copy = delivery_to("XBB", await xaa.send())
    async with (
        a_node(tmp_path / "XBB", "XBB") as xbb,
        a_hub(tmp_path, xbb) as hub,
        carrying(tmp_path, xbb),
    ):
        talk = await hub.talk()
        talk.say(Deliver(sequence=1, item=ItemKind.ENVELOPE, content=copy))
        heard = [await talk.next(), await talk.next()]
        shown = await xbb.desk.inbox(xbb.officer)
    (attest,) = [one for one in heard if isinstance(one, Attest)]
    (collected,) = [one for one in heard if isinstance(one, Collected)]
    assert collected.sequence == 1
    assert parse_statement(attest.statement)[1].kind is StatementKind.RECEIVED
    assert len(shown) == 1


async def test_what_was_not_seen_collected_comes_again_and_is_shown_once(tmp_path: Path) -> None:
    """A cut between storing and collecting doubles nothing."""
    async with a_node(tmp_path / "XAA", "XAA") as xaa:
        copy = delivery_to("XBB", await xaa.send())
    async with (
        a_node(tmp_path / "XBB", "XBB") as xbb,
        a_hub(tmp_path, xbb) as hub,
        carrying(tmp_path, xbb),
    ):
        for _ in range(2):
            talk = await hub.talk()
            talk.say(Deliver(sequence=1, item=ItemKind.ENVELOPE, content=copy))
            while not isinstance(await talk.next(), Collected):
                pass
            talk.cut()
        shown = await xbb.desk.inbox(xbb.officer)
        statements = [row for row in await xbb.queue() if row.kind == "attest"]
    assert (len(shown), len(statements)) == (1, 1)


async def test_an_unusable_item_is_reported_and_collected(place: Place) -> None:
    """Rubbish does not block the mailbox; the coordinator hears a coarse code."""
    async with carrying(place.folder, place.node):
        talk = await place.hub.talk()
        talk.say(Deliver(sequence=7, item=ItemKind.ENVELOPE, content=b"rubbish"))
        heard = [await talk.next(), await talk.next()]
    assert heard == [Unusable(sequence=7, code=PeerCode.MALFORMED), Collected(sequence=7)]


async def test_newer_documents_are_asked_for_and_stored(place: Place) -> None:
    """The node follows the community's list from where it left off."""
    async with carrying(place.folder, place.node):
        talk = await place.hub.talk()
        asked = await asyncio.wait_for(talk.heard.get(), 5)
        everything = (*place.node.everyone.documents, *place.hub.documents)
        talk.say(Documents(first=0, documents=everything[:3], head=len(everything)))
        asked_next = await asyncio.wait_for(talk.heard.get(), 5)
    assert (asked, asked_next) == (MirrorRequest(index=0), MirrorRequest(index=3))


async def test_an_unknown_signer_makes_the_courier_ask_for_documents(place: Place) -> None:
    """An item by a key that this node does not know is judged after looking for newer documents."""
    head = plain_header(
        place.node.everyone, sender="XBB", to=("XAA",), key_id=hashlib.sha256(b"new").digest()
    )
    unknown = codec.encode(deliver(plain_submission(head, place.node.context.signer), 0))
    async with carrying(place.folder, place.node):
        talk = await place.hub.talk()
        await asyncio.wait_for(talk.heard.get(), 5)
        talk.say(Deliver(sequence=1, item=ItemKind.ENVELOPE, content=unknown))
        asked = await asyncio.wait_for(talk.heard.get(), 5)
        talk.say(Documents(first=0, documents=(), head=0))
        heard = [await talk.next(), await talk.next()]
    assert asked == MirrorRequest(index=0)
    assert heard == [Unusable(sequence=1, code=PeerCode.NOT_TRUSTED), Collected(sequence=1)]


class FailingInbox(Inbox):
    """An inbox that fails a few times, each time in another way."""

    faults: tuple[Exception, ...] = (StoreFailed("the disk is full"), KeyError("a bug"), AssertionError())

    async def next_round(self) -> list[Outcome]:
        """Fail, then work."""
        if self.faults:
            fault, *rest = self.faults
            self.faults = tuple(rest)
            await asyncio.sleep(0.01)
            raise fault
        return await super().next_round()


async def test_a_fault_of_our_own_ends_a_session_and_not_the_node(tmp_path: Path) -> None:
    """Whatever goes wrong with one session, the next one is opened and works."""
    async with a_node(tmp_path / "XAA", "XAA") as xaa:
        copy = delivery_to("XBB", await xaa.send())

    async with a_node(tmp_path / "XBB", "XBB") as xbb, a_hub(tmp_path, xbb) as hub:
        receipts = Receipts(xbb.context)
        async with carrying(
            tmp_path,
            xbb,
            lambda node, catch_up: FailingInbox(
                node.context, Openings(node.context), receipts, catch_up, node.link_state
            ),
        ):
            for _ in range(3):
                await hub.talk()
            talk = await hub.talk()
            talk.say(Deliver(sequence=1, item=ItemKind.ENVELOPE, content=copy))
            while not isinstance(await talk.next(), Collected):
                pass
            assert len(await xbb.desk.inbox(xbb.officer)) == 1


async def test_sessions_that_achieve_nothing_are_opened_ever_more_slowly(tmp_path: Path) -> None:
    """A node whose disk fails does not knock at the coordinator twice a second for ever."""

    class BrokenInbox(FailingInbox):
        faults = (StoreFailed("the disk is full"),) * 1000

    async with a_node(tmp_path / "XBB", "XBB") as xbb, a_hub(tmp_path, xbb) as hub:
        receipts = Receipts(xbb.context)
        async with carrying(
            tmp_path,
            xbb,
            lambda node, catch_up: BrokenInbox(
                node.context, Openings(node.context), receipts, catch_up, node.link_state
            ),
            cap_seconds=60.0,
        ):
            await hub.talk()
            await hub.talk()

            async def pauses() -> bool:
                return (xbb.link_state.retry_seconds or 0) >= 0.5

            await until(pauses)
            assert (await xbb.desk.node(SENDER)).last_error == "the disk is full"
    assert hub.visits == 2


async def test_heartbeats_are_answered_while_nothing_happens(place: Place) -> None:
    """A silent session lives."""
    async with carrying(place.folder, place.node):
        talk = await place.hub.talk()
        talk.blurt(Ping(token=5))
        assert (await place.node.desk.node(SENDER)).connected
        await place.node.send()
        await talk.request()
    assert place.hub.visits == 1
