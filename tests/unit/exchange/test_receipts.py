"""Receipts: a statement about our notice counts only if one who may say it has truly said it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from exchange.node.records import Outcome
from exchange.node.summary import unlock_key
from exchange.stores.node_notices import find_notice
from exchange.stores.node_statements import list_statements
from keys.evidence import NO_STATEMENT_YET, Saying, make_statement
from keys.sealing import decryption_proof
from keys.signer import Signer
from protocol.documents import Role
from protocol.session.messages import ItemKind
from protocol.statement import PROVES_DECRYPTION, SIGNER_ROLE, StatementKind
from tests.community import HUB, signer
from tests.envelopes import said
from tests.nodes import SENDER, TestNode, a_node, delivery_to


@dataclass(frozen=True)
class Sent:
    """XAA's node with one relayed notice to XBB and XCC."""

    node: TestNode
    envelope: bytes

    async def proof(self, party: str) -> bytes:
        """Return what only a holder of the content key can compute."""
        row = await self.node.context.engine.read(lambda db: find_notice(db, self.envelope))
        assert row is not None
        return decryption_proof(unlock_key(self.node.context.vault, row), self.envelope, party)

    async def statement(
        self,
        party: str,
        kind: StatementKind,
        *,
        by: Signer | None = None,
        code: str | None = None,
        about: str | None = None,
        proof: bytes | None = None,
    ) -> bytes:
        """Return a statement with a true decryption proof, unless another is given."""
        needed = (proof or await self.proof(party)) if kind in PROVES_DECRYPTION else None
        if by is None:
            member = self.node.everyone.members.get(party)
            officer = SIGNER_ROLE[kind] is Role.OFFICER
            by = self.node.everyone.hub if member is None else member.officer if officer else member.node
        return make_statement(
            Saying(kind=kind, envelope=self.envelope, code=code, about=about, decryption_proof=needed),
            party=party,
            signer=by,
            at_ms=self.node.clock.now_ms(),
            nonce=secrets.token_bytes(32),
            directory=self.node.context.directory.head(),
            chain=NO_STATEMENT_YET,
        ).data

    async def deliver(self, *statements: bytes) -> list[Outcome]:
        """Deliver statements from the mailbox."""
        return await self.node.receive(*statements, kind=ItemKind.STATEMENT)

    async def state(self, recipient: str = "XBB") -> str:
        """Return where the notice stands at a recipient."""
        status = await self.node.desk.status(SENDER, self.envelope.hex())
        return next(one.state for one in status.deliveries if one.recipient == recipient)


@pytest.fixture
async def sent(tmp_path: Path) -> AsyncIterator[Sent]:
    """Return a node that has sent one notice, which was relayed."""
    async with a_node(tmp_path / "XAA", "XAA") as node:
        await node.send()
        (row,) = await node.queue()
        await node.accept(row)
        yield Sent(node, row.subject)


async def test_a_recipients_receipt_moves_its_delivery_and_no_other(sent: Sent) -> None:
    """RECEIVED by XBB says nothing about XCC."""
    await sent.deliver(await sent.statement("XBB", StatementKind.RECEIVED))
    assert (await sent.state("XBB"), await sent.state("XCC")) == ("received", "relayed")


async def test_the_same_receipt_twice_is_recorded_once(sent: Sent) -> None:
    """A second copy of a statement changes nothing."""
    receipt = await sent.statement("XBB", StatementKind.RECEIVED)
    await sent.deliver(receipt, receipt)
    await sent.deliver(receipt)
    kept = await sent.node.context.engine.read(lambda db: list_statements(db, sent.envelope))
    assert [one.kind for one in kept] == [StatementKind.RELAYED, StatementKind.RECEIVED]


async def test_an_answer_that_overtakes_the_receipt_stands(sent: Sent) -> None:
    """ACCEPTED implies RECEIVED; the late receipt does not take it back."""
    accepted = await sent.statement("XBB", StatementKind.ACCEPTED)
    await sent.deliver(accepted, await sent.statement("XBB", StatementKind.RECEIVED))
    status = await sent.node.desk.status(SENDER, sent.envelope.hex())
    (delivery,) = [one for one in status.deliveries if one.recipient == "XBB"]
    assert (delivery.state, delivery.officer) == ("accepted", "officer of XBB")
    assert {"relayed", "received", "accepted"} <= set(delivery.reached_ms)


async def test_undelivered_is_shown_until_the_recipient_has_it_after_all(sent: Sent) -> None:
    """The coordinator's word about silence gives way to the recipient's own."""
    silent = await sent.statement(HUB, StatementKind.UNDELIVERED, about="XBB", code="expired")
    await sent.deliver(silent)
    status = await sent.node.desk.status(SENDER, sent.envelope.hex())
    (delivery,) = [one for one in status.deliveries if one.recipient == "XBB"]
    await sent.deliver(await sent.statement("XBB", StatementKind.RECEIVED))
    assert (delivery.state, delivery.code) == ("waiting-for-key", "expired")
    assert delivery.reached_ms["undelivered"] == sent.node.clock.now_ms()
    assert (await sent.state("XBB"), await sent.state("XCC")) == ("received", "relayed")


async def test_a_rejection_is_shown_with_its_code(sent: Sent) -> None:
    """The sender learns that the recipient could not use the notice, and why."""
    await sent.deliver(await sent.statement("XBB", StatementKind.REJECTED, code="cannot-open"))
    status = await sent.node.desk.status(SENDER, sent.envelope.hex())
    (shown,) = [one for one in status.deliveries if one.recipient == "XBB"]
    assert (shown.state, shown.code) == ("waiting-for-key", "cannot-open")
    assert shown.reached_ms["rejected"] == shown.since_ms


async def _lie(sent: Sent, name: str) -> bytes:
    everyone, kind = sent.node.everyone, StatementKind
    members = everyone.members
    genuine = bytearray(await sent.statement("XBB", kind.RECEIVED))
    genuine[-100] ^= 1
    match name:
        case "by a party that is no recipient":
            return said(everyone, "XAA", kind.RECEIVED, sent.envelope).data
        case "RECEIVED by an officer's key":
            # Made by hand: our own code refuses to write it.
            return said(everyone, "XBB", kind.ACCEPTED, sent.envelope, signer=members["XBB"].officer).data
        case "ACCEPTED in another state's name":
            return await sent.statement("XCC", kind.ACCEPTED, by=members["XBB"].officer)
        case "RECEIVED in another state's name":
            return await sent.statement("XCC", kind.RECEIVED, by=members["XBB"].node)
        case "a wrong proof of decryption":
            return await sent.statement("XBB", kind.RECEIVED, proof=hashlib.sha256(b"guess").digest())
        case "another recipient's proof of decryption":
            return await sent.statement("XBB", kind.RECEIVED, proof=await sent.proof("XCC"))
        case "a forged signature":
            return bytes(genuine)
        case "a key that nobody lists":
            return await sent.statement("XBB", kind.RECEIVED, by=signer("XBB stranger", Role.NODE))
        case "UNDELIVERED about a party that is no recipient":
            return await sent.statement(HUB, kind.UNDELIVERED, about="XDD", code="expired")
        case "UNDELIVERED by a recipient's neighbour":
            return await sent.statement("XCC", kind.UNDELIVERED, about="XBB", code="expired", by=everyone.hub)
        case "about a notice that was not sent here":
            return said(everyone, "XBB", kind.RECEIVED, bytes(32)).data
        case _:
            raise AssertionError(name)


LIES = {
    "by a party that is no recipient": "not-addressed",
    "RECEIVED by an officer's key": "tampered",
    "ACCEPTED in another state's name": "unknown-signer",
    "RECEIVED in another state's name": "unknown-signer",
    "a wrong proof of decryption": "tampered",
    "another recipient's proof of decryption": "tampered",
    "a forged signature": "bad-signature",
    "a key that nobody lists": "unknown-signer",
    "UNDELIVERED about a party that is no recipient": "not-addressed",
    "UNDELIVERED by a recipient's neighbour": "unknown-signer",
    "about a notice that was not sent here": "not-addressed",
}


@pytest.mark.parametrize("name", LIES)
async def test_a_lie_is_refused_and_moves_nothing(sent: Sent, name: str) -> None:
    """Whatever a coordinator or another member invents, the sent-matrix stays true."""
    (outcome,) = await sent.deliver(await _lie(sent, name))
    assert outcome.refusal is not None
    assert outcome.refusal.error.code == LIES[name]
    assert (await sent.state("XBB"), await sent.state("XCC")) == ("relayed", "relayed")
    assert await sent.node.queue() == []


async def test_a_statement_about_a_received_notice_is_refused(tmp_path: Path) -> None:
    """A recipient has no use for what others say about a notice that it did not send."""
    async with a_node(tmp_path / "XAA", "XAA") as xaa, a_node(tmp_path / "XBB", "XBB") as xbb:
        submission = await xaa.send()
        await xbb.receive(delivery_to("XBB", submission))
        envelope = (await xaa.queue())[0].subject
        other = said(xaa.everyone, "XCC", StatementKind.RECEIVED, envelope).data
        (outcome,) = await xbb.receive(other, kind=ItemKind.STATEMENT)
    assert outcome.refusal is not None
    assert outcome.refusal.error.code == "not-addressed"


async def test_a_receipt_for_an_altered_row_is_kept_as_evidence(sent: Sent) -> None:
    """If our own copy was altered nothing can be compared; the mailbox goes on."""
    receipt = await sent.statement("XBB", StatementKind.RECEIVED)
    await sent.node.context.engine.write(lambda db: db.execute("UPDATE notice SET locked_key = x'00'"))
    (outcome,) = await sent.deliver(receipt)
    assert outcome.refusal is not None
    assert outcome.refusal.error.code == "cannot-open"
