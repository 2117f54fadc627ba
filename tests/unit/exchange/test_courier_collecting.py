"""What a courier fetches: notices once they are durable, and newer documents."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from protocol import codec
from protocol.envelope import deliver
from protocol.errors import PeerCode
from protocol.session.messages import (
    Ahead,
    Attest,
    Collected,
    Deliver,
    Documents,
    ItemKind,
    Unusable,
)
from protocol.session.messages import Mirror as MirrorRequest
from protocol.statement import StatementKind, parse_statement
from tests.courier_places import Place, place
from tests.couriers import a_hub, carrying
from tests.envelopes import header as plain_header
from tests.envelopes import submission as plain_submission
from tests.nodes import a_node, delivery_to
from tests.patience import PATIENCE_S

FIXTURES = (place,)
"""A node and its coordinator, as :mod:`tests.courier_places` makes them."""


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


async def test_what_came_ahead_of_its_turn_is_received_at_once_and_collected_in_its_turn(
    tmp_path: Path,
) -> None:
    """Shown once, recorded once; the cursor moves with the turn alone, also for rubbish."""
    async with a_node(tmp_path / "XAA", "XAA") as xaa:
        copy = delivery_to("XBB", await xaa.send())
    async with (
        a_node(tmp_path / "XBB", "XBB") as xbb,
        a_hub(tmp_path, xbb) as hub,
        carrying(tmp_path, xbb),
    ):
        talk = await hub.talk()
        talk.say(Ahead(content=b"rubbish"))
        talk.say(Ahead(content=copy))
        first = await talk.next()
        shown = await xbb.desk.inbox(xbb.officer)
        talk.say(Deliver(sequence=1, item=ItemKind.ENVELOPE, content=copy))
        second = await talk.next()
        statements = [row for row in await xbb.queue() if row.kind == "attest"]
        again = await xbb.desk.inbox(xbb.officer)
    assert isinstance(first, Attest)
    assert second == Collected(sequence=1)
    assert len(shown) == len(again) == len(statements) == 1


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
        asked = await asyncio.wait_for(talk.heard.get(), PATIENCE_S)
        everything = (*place.node.everyone.documents, *place.hub.documents)
        talk.say(Documents(first=0, documents=everything[:3], head=len(everything)))
        asked_next = await asyncio.wait_for(talk.heard.get(), PATIENCE_S)
    assert (asked, asked_next) == (MirrorRequest(index=0), MirrorRequest(index=3))


async def test_an_unknown_signer_makes_the_courier_ask_for_documents(place: Place) -> None:
    """An item by a key that this node does not know is judged after looking for newer documents."""
    head = plain_header(
        place.node.everyone, sender="XBB", to=("XAA",), key_id=hashlib.sha256(b"new").digest()
    )
    unknown = codec.encode(deliver(plain_submission(head, place.node.context.signer), 0))
    async with carrying(place.folder, place.node):
        talk = await place.hub.talk()
        await asyncio.wait_for(talk.heard.get(), PATIENCE_S)
        talk.say(Deliver(sequence=1, item=ItemKind.ENVELOPE, content=unknown))
        asked = await asyncio.wait_for(talk.heard.get(), PATIENCE_S)
        talk.say(Documents(first=0, documents=(), head=0))
        heard = [await talk.next(), await talk.next()]
    assert asked == MirrorRequest(index=0)
    assert heard == [Unusable(sequence=1, code=PeerCode.NOT_TRUSTED), Collected(sequence=1)]
