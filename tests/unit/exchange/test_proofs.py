"""Receipts as files: what a node gives out verifies from the pinned root hash alone, and says so in words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import apsw
import pytest

from exchange.link.pump import Link
from exchange.node.answers import Answered
from exchange.node.ledger import Ledger
from exchange.node.mirror import store_document
from exchange.node.requests import AnswerRequest
from exchange.node.witness import Witness
from keys import enrolment
from keys.documents import sign_document
from keys.receipt import VerifiedReceipt, verify_receipt
from keys.signer import Verifier
from protocol.errors import NotFound
from protocol.ledger.checkpoint import parse_checkpoint
from protocol.session.messages import Accepted, ItemKind
from protocol.statement import StatementKind
from tests.community import YEAR_MS, certificate, community, witness_keys
from tests.ledgers import PlayedLedger, Wire
from tests.nodes import MONITOR, SENDER, TestNode, a_node, delivery_to


@dataclass
class Scene:
    """XAA's and XBB's nodes, and a coordinator that the test plays."""

    sender: TestNode
    recipient: TestNode
    played: PlayedLedger
    ledger: Ledger
    wire: Wire

    async def carry(self) -> str:
        """Send a notice, let XBB receive and accept it, record everything, and return its id."""
        submission = await self.sender.send()
        (row,) = await self.sender.queue()
        relayed = self.sender.relayed(row.subject)
        self.played.record(relayed)
        self.sender.answers.offer(Answered(row, Accepted(ref=1, index=0, statement=relayed)))
        await self.sender.answers.next_round()
        await self.recipient.receive(delivery_to("XBB", submission))
        self.sender.clock.advance(60_000)
        officer = self.recipient.officer
        await self.recipient.desk.answer(officer, row.subject.hex(), AnswerRequest(answer="accepted"))
        await self.record()
        return row.subject.hex()

    async def record(self) -> None:
        """Record what the recipient has said, and bring it to the sender."""
        for row in await self.recipient.queue():
            self.played.record(row.content)
            self.recipient.answers.offer(Answered(row, Accepted(ref=1, index=0, statement=None)))
            await self.recipient.answers.next_round()
            await self.sender.receive(row.content, kind=ItemKind.STATEMENT)

    async def witness(self, by: tuple[str, ...] = ("XAA", "XBB", "XCC")) -> None:
        """Announce the ledger to the sender's node, and answer what it asks."""
        wire, announced = cast(Link, self.wire), self.played.announce(by=by)
        if "XAA" in by:
            # This very node: it remembers what bears its cosignature, or its store would be an older copy.
            await Witness(self.sender.context).follow(announced.log, parse_checkpoint(announced.checkpoint))
        await self.ledger.take(wire, announced)
        await self.ledger.take(wire, self.played.locate(self.wire.wanted(), by=by))

    async def proof(self, id_: str) -> VerifiedReceipt:
        """Return what the sender's receipt proves to a stranger."""
        view = await self.sender.desk.proof(MONITOR, id_)
        return verify_receipt(view.receipt.encode(), community().id, Verifier())


def _store_all(db: apsw.Connection, documents: tuple[bytes, ...]) -> None:
    for document in documents:
        store_document(db, document)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """Return two nodes and a ledger that is empty."""
    async with AsyncExitStack() as stack:
        sender = await stack.enter_async_context(a_node(tmp_path / "XAA", "XAA"))
        recipient = await stack.enter_async_context(a_node(tmp_path / "XBB", "XBB", sender.clock))
        await sender.context.engine.write(lambda db: _store_all(db, sender.everyone.documents))
        ledger = Ledger(sender.context, sender.link_state, tmp_path / "evidence")
        yield Scene(sender, recipient, PlayedLedger(sender.everyone, sender.clock), ledger, Wire())


async def test_a_receipt_proves_who_was_told_and_who_answered(scene: Scene) -> None:
    """One file proves RELAYED, RECEIVED, OPENED and ACCEPTED from the pinned root hash alone."""
    id_ = await scene.carry()
    await scene.witness()
    proved = await scene.proof(id_)
    assert [one.kind.name for one in proved.statements] == ["RELAYED", "RECEIVED", "OPENED", "ACCEPTED"]
    assert [one.officer for one in proved.statements] == [None, None, "officer of XBB", "officer of XBB"]
    assert (proved.envelope.hex(), proved.header.sender) == (id_, "XAA")
    assert {one.witnessed_ms for one in proved.statements} == {scene.played.seconds * 1000}


async def test_the_head_of_a_receipt_says_in_words_what_it_proves(scene: Scene) -> None:
    """A person reads who was told, who answered and when, in UTC, without any program."""
    id_ = await scene.carry()
    await scene.witness()
    receipt = (await scene.sender.desk.proof(MONITOR, id_)).receipt
    head = receipt.partition("\n\ncommunity ")[0]
    print(receipt)
    assert "# Sent by XAA (Aurelia) at 2026-03-01 03:00:00 UTC: report" in head
    assert "accepted by officer of XBB (leaf 3)" in head
    assert "XCC (Celestia):\n#   nothing of it is in this receipt" in head


async def test_nothing_is_proved_before_a_quorum_has_witnessed(scene: Scene) -> None:
    """Without a quorum there is no receipt, the statements are pending, and nothing is held up."""
    id_ = await scene.carry()
    await scene.witness(by=("XBB",))
    with pytest.raises(NotFound, match="witnessed ledger"):
        await scene.sender.desk.proof(MONITOR, id_)
    (of_xbb, _) = (await scene.sender.desk.status(SENDER, id_)).deliveries
    assert of_xbb.evidence == dict.fromkeys(("relayed", "received", "opened", "accepted"), "pending witness")
    await scene.witness()
    assert len((await scene.proof(id_)).statements) == 4


async def test_a_receipt_says_what_it_does_not_hold_yet(scene: Scene) -> None:
    """What is not witnessed yet is named, in the file and beside it, and is not in it."""
    id_ = await scene.carry()
    await scene.witness()
    officer = scene.recipient.officer
    await scene.recipient.desk.answer(officer, id_, AnswerRequest(answer="completed"))
    await scene.record()
    view = await scene.sender.desk.proof(MONITOR, id_)
    assert [(one.kind, one.party, one.evidence) for one in view.pending] == [("completed", "XBB", "promised")]
    assert "# Not in this receipt" in view.receipt
    await scene.witness()
    last = (await scene.proof(id_)).statements[-1]
    assert (last.kind, last.index) == (StatementKind.COMPLETED, 4)


async def test_status_says_where_each_statement_stands(scene: Scene) -> None:
    """The matrix shows the leaf of what is witnessed."""
    id_ = await scene.carry()
    await scene.witness()
    (of_xbb, of_xcc) = (await scene.sender.desk.status(SENDER, id_)).deliveries
    assert of_xbb.evidence["accepted"] == "witnessed, leaf 3"
    assert of_xcc.evidence == {"relayed": "witnessed, leaf 0"}


async def test_a_recipient_proves_what_it_said(scene: Scene, tmp_path: Path) -> None:
    """Whoever answered can show so, too: its own statements, and the notice they are about."""
    id_ = await scene.carry()
    node = scene.recipient
    await node.context.engine.write(lambda db: _store_all(db, node.everyone.documents))
    ledger, wire = Ledger(node.context, node.link_state, tmp_path / "evidence"), Wire()
    await ledger.take(cast(Link, wire), scene.played.announce(by=("XAA", "XCC")))
    await ledger.take(cast(Link, wire), scene.played.locate(wire.wanted(), by=("XAA", "XCC")))
    receipt = (await node.desk.proof(MONITOR, id_)).receipt
    proved = verify_receipt(receipt.encode(), community().id, Verifier())
    assert [one.kind.name for one in proved.statements] == ["RECEIVED", "OPENED", "ACCEPTED"]
    assert proved.checkpoints[0].cosigned.keys() == {"XAA", "XCC"}


async def test_statements_under_several_checkpoints_stand_in_one_receipt(scene: Scene) -> None:
    """Each statement is proved under the checkpoint that it was first located under."""
    id_ = await scene.carry()
    await scene.witness()
    await scene.recipient.desk.answer(scene.recipient.officer, id_, AnswerRequest(answer="completed"))
    await scene.record()
    scene.sender.clock.advance(5_000)
    await scene.witness(by=("XAA", "XBB"))
    proved = await scene.proof(id_)
    assert [one.checkpoint.size for one in proved.checkpoints] == [4, 5]
    assert proved.statements[-1].witnessed_ms == proved.statements[0].witnessed_ms + 5_000


async def test_a_key_that_was_rotated_since_proves_what_it_signed_before(scene: Scene) -> None:
    """Each part stands below the documents of its time: a later manifest without the officer is no harm."""
    id_ = await scene.carry()
    await scene.witness()
    everyone, member = scene.sender.everyone, scene.sender.everyone.members["XBB"]
    manifest = enrolment.next_manifest(
        everyone.directory().documents.manifests["XBB"],
        state="XBB",
        community=everyone.id,
        keys=member.keys[:1],
        certificates=[certificate("XBB")],
        witness=witness_keys("XBB", everyone.id),
        now_ms=scene.sender.clock.now_ms(),
        life_ms=YEAR_MS,
    )
    later = sign_document(manifest, [member.identity])
    scene.sender.context.directory.update(later, scene.sender.clock.now_ms())
    await scene.sender.context.engine.write(lambda db: store_document(db, later))
    assert [one.officer for one in (await scene.proof(id_)).statements][2:] == ["officer of XBB"] * 2


async def test_a_store_that_was_altered_gives_no_false_receipt(scene: Scene) -> None:
    """The finished file is verified before anybody gets it; what is not proved is left out."""
    id_ = await scene.carry()
    await scene.witness()
    await scene.sender.context.engine.write(lambda db: db.execute("UPDATE place SET idx = 2 WHERE idx = 1"))
    view = await scene.sender.desk.proof(MONITOR, id_)
    assert [(one.kind, one.party) for one in view.pending] == [("received", "XBB")]
    assert view.statements == 3
