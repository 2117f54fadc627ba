"""A node whose store is an older copy: it reads what comes, and signs nothing."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.cli.exits import Exit, exit_of
from exchange.node.mirror import Mirror
from exchange.node.records import Item
from exchange.node.restored import CAUGHT_UP, Restored, find_out, read_restored, take_note
from exchange.node.witness import Witness
from exchange.restored import RESTORED_FACT
from exchange.stores.node_books import read_fact
from exchange.stores.node_statements import list_statements
from keys.documents import sign_document
from keys.enrolment import next_prekeys
from keys.prekeys import make_prekeys
from protocol.documents import TAIL_MS
from protocol.errors import NodeRestored
from protocol.ledger.origins import Log
from protocol.session.messages import Documents, ItemKind, Submit
from protocol.session.messages import Mirror as MirrorRequest
from protocol.session.messages import Witness as WitnessRequest
from protocol.statement import StatementKind
from tests.couriers import a_hub, carrying
from tests.nodes import MONITOR, TestNode, a_node, delivery_to
from tests.patience import PATIENCE_S

DAY_MS = 86_400_000


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[TestNode, TestNode]]:
    """Return XAA's node, and XBB's, whose store is an older copy."""
    async with a_node(tmp_path / "XAA", "XAA") as xaa, a_node(tmp_path / "XBB", "XBB") as xbb:
        await restore(xbb)
        yield xaa, xbb


async def restore(node: TestNode) -> None:
    """Let a node find out that its store is an older copy."""
    now_ms = node.clock.now_ms()
    await node.context.engine.write(lambda db: find_out(db, node.context.state, "a test says so", now_ms))
    take_note(node.context.restored, now_ms)


async def look(node: TestNode, *contents: bytes) -> None:
    """Offer items to a restored node's inbox and let it look at them."""
    for number, content in enumerate(contents):
        node.inbox.offer(Item(sequence=number, kind=ItemKind.ENVELOPE, content=content))
    assert await node.inbox.next_round() == []


async def said(node: TestNode, envelope: bytes) -> list[StatementKind]:
    """Return what a node has signed about an envelope."""
    rows = await node.context.engine.read(lambda db: list_statements(db, envelope))
    return [row.kind for row in rows if row.party == node.context.state]


async def test_it_signs_no_notice_no_answer_and_no_checkpoint(pair: tuple[TestNode, TestNode]) -> None:
    """Each is refused with the next step, and nothing of it is stored."""
    _, xbb = pair
    with pytest.raises(NodeRestored) as refused:
        await xbb.send(to=("XAA",))
    assert "restore-a-node" in refused.value.hint
    assert await xbb.queue() == []
    with pytest.raises(NodeRestored):
        await Witness(xbb.context).answer(WitnessRequest(log=Log.ACK, body=b""))
    with pytest.raises(NodeRestored):
        _ = xbb.context.signer
    await xbb.prekeeper._publish()
    assert await xbb.queue() == []
    assert exit_of(NodeRestored) is Exit.FAILED


async def test_what_comes_can_be_read_and_is_answered_for_later(pair: tuple[TestNode, TestNode]) -> None:
    """It is stored without a receipt, shown without OPENED, and confirmed when it is delivered again."""
    xaa, xbb = pair
    submission = await xaa.send(to=("XBB",))
    await look(xbb, delivery_to("XBB", submission))
    (notice,) = await xbb.desk.inbox(xbb.officer)
    envelope = bytes.fromhex(notice.id)
    assert (await xbb.desk.open(xbb.officer, notice.id)).text == "Two control rooms are affected."
    assert await said(xbb, envelope) == []
    await look(xbb, delivery_to("XBB", submission))
    xbb.context.restored.since_ms = None
    (outcome,) = await xbb.receive(delivery_to("XBB", submission))
    assert outcome.refusal is None
    assert await said(xbb, envelope) == [StatementKind.RECEIVED]
    await xbb.receive(delivery_to("XBB", submission))
    assert await said(xbb, envelope) == [StatementKind.RECEIVED]
    assert len(await xbb.desk.inbox(xbb.officer)) == 1


async def test_what_cannot_be_used_is_not_rejected_yet(pair: tuple[TestNode, TestNode]) -> None:
    """A restored node does not even say no: it may have said yes before."""
    xaa, xbb = pair
    submission = await xaa.send(to=("XBB",))
    xbb.clock.advance(20 * DAY_MS)
    await look(xbb, delivery_to("XBB", submission), b"rubbish")
    assert await xbb.queue() == []


async def test_it_says_so_everywhere_and_after_a_restart(pair: tuple[TestNode, TestNode]) -> None:
    """Health shows it while it holds, and the store keeps it."""
    _, xbb = pair
    (alarm,) = [one for one in (await xbb.desk.node(MONITOR)).alarms if one.code == "restored"]
    assert "signs nothing" in alarm.message
    again = await read_restored(xbb.context.engine)
    assert again.since_ms is not None
    with pytest.raises(NodeRestored):
        again.require_own_word()
    Restored().require_own_word()


async def test_daily_keys_that_it_signed_and_does_not_know_show_that_it_is_older(tmp_path: Path) -> None:
    """Nobody else can have signed them; a manifest of its state could come from elsewhere."""
    async with a_node(tmp_path / "XBB", "XBB") as xbb:
        mirror = await Mirror.open(xbb.context)
        held = xbb.context.directory.documents.prekeys["XBB"]
        now_ms = xbb.clock.now_ms()
        newer = next_prekeys(
            held,
            state="XBB",
            community=xbb.context.directory.community,
            keys=[key.public for key in make_prekeys(now_ms, 14, secrets.token_bytes)],
            now_ms=now_ms,
            life_ms=20 * DAY_MS + TAIL_MS,
            tail=True,
        )
        data = sign_document(newer, [xbb.context.signer])
        await mirror.receive(Documents(first=0, documents=(data,), head=1))
        assert xbb.context.restored.since_ms is not None
        assert await xbb.context.engine.read(lambda db: read_fact(db, RESTORED_FACT)) == now_ms
        await mirror.receive(Documents(first=1, documents=(), head=1))
        assert await xbb.context.engine.read(lambda db: read_fact(db, CAUGHT_UP)) >= now_ms
        assert xbb.context.restored.caught_up


async def test_nothing_leaves_before_this_node_has_seen_what_others_know_of_it(tmp_path: Path) -> None:
    """In its first session it asks first, and sends once the answer shows nothing that it has forgotten."""
    async with a_node(tmp_path / "XAA", "XAA") as node, a_hub(tmp_path, node) as hub:
        await node.send()
        async with carrying(tmp_path, node):
            node.context.restored.looked.clear()
            talk = await hub.talk()
            await asyncio.wait_for(talk.heard.get(), PATIENCE_S)
            assert await talk.quiet(0.3)
            talk.say(Documents(first=0, documents=(), head=0))
            assert isinstance(await talk.request(), Submit)


async def test_nothing_leaves_a_restored_node(tmp_path: Path) -> None:
    """What was queued before the backup waits too: it is asked what it may have forgotten, and no more."""
    async with a_node(tmp_path / "XAA", "XAA") as node, a_hub(tmp_path, node) as hub:
        await node.send()
        await restore(node)
        async with carrying(tmp_path, node):
            talk = await hub.talk()
            for _ in range(2):
                assert isinstance(await asyncio.wait_for(talk.heard.get(), PATIENCE_S), MirrorRequest)
            assert await talk.quiet(0.3)
        assert len(await node.queue()) == 1


def test_it_says_that_the_key_may_be_stolen_instead() -> None:
    """A node cannot tell an older copy of itself from somebody else with its key; its people can."""
    with pytest.raises(NodeRestored) as refused:
        Restored(DAY_MS).require_own_word()
    assert "an older copy" in refused.value.message
    assert "or somebody else holds its node key" in refused.value.message
    assert "almenara key revoke node --since TIME --reason compromised --replace" in refused.value.hint
    assert "almenara node reconcile" in refused.value.hint
