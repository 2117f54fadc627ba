"""How sessions begin and end: the ledger beside them, broken rules, faults of our own, heartbeats."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from exchange.node.inbox import Inbox
from exchange.node.openings import Openings
from exchange.node.receipts import Receipts
from exchange.node.records import Outcome
from protocol.errors import PeerCode, StoreFailed
from protocol.ledger.origins import Log
from protocol.session.messages import (
    Accepted,
    Collected,
    Compared,
    Cosigned,
    Deliver,
    ItemKind,
    Locate,
    Located,
    Message,
    Ping,
    Submit,
    Witness,
    Witnessed,
)
from tests.courier_places import Place, envelope_of, place
from tests.couriers import WELCOME, a_hub, accepted, carrying, until
from tests.ledgers import PlayedLedger
from tests.nodes import SENDER, a_node, delivery_to

FIXTURES = (place,)
"""A node and its coordinator, as :mod:`tests.courier_places` makes them."""


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
