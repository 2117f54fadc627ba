"""Disclosure: a state opens one notice, and the auditor sees who wrote exactly what, to whom."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from exchange.audit.verdict import Grade, Outcome, Verdict
from exchange.audit.verify.bundle import Options, verify_bundle
from exchange.node.tokens import Identity
from keys.sealing import SealedNotice, open_sealed_body
from protocol import codec
from protocol.disclosure import Disclosure, parse_disclosure
from protocol.errors import NotAuthorized
from protocol.statement import StatementKind
from protocol.text import parse_base64
from tests.bundles import Memory, Writer, saying
from tests.community import community
from tests.nodes import MONITOR, SENDER, TestNode, a_node, a_request, delivery_to

K = StatementKind


# --- What a node hands out ---


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[TestNode]:
    """Return XAA's node."""
    async with a_node(tmp_path / "XAA", "XAA") as opened:
        yield opened


async def disclosed(node: TestNode, who: Identity, id_: str) -> Disclosure:
    view = await node.desk.disclose(who, id_)
    disclosure, manifest, header = parse_disclosure(parse_base64(view.disclosure, what="disclosure"))
    assert hashlib.sha256(disclosure.payload).digest() == manifest.payload_hash
    body = open_sealed_body(disclosure.payload, manifest.header, disclosure.content_key)
    assert (body.sender, body.text) == (header.sender, "Two control rooms are affected.")
    return disclosure


async def test_the_sender_discloses_the_very_bytes_that_it_sent(node: TestNode) -> None:
    """The payload is not kept, and yet the same: key, salt and context give it again."""
    view = await node.desk.submit(SENDER, a_request(), "request-1")
    assert await disclosed(node, node.officer, view.id)


async def test_a_recipient_can_disclose_too(node: TestNode, tmp_path: Path) -> None:
    """Whoever could read a notice can prove what it said."""
    async with a_node(tmp_path / "XBB", "XBB") as xbb:
        await xbb.receive(delivery_to("XBB", await node.send()))
        (shown,) = await xbb.desk.inbox(SENDER)
        assert await disclosed(xbb, xbb.officer, shown.id)


@pytest.mark.parametrize("who", [SENDER, MONITOR])
async def test_only_an_officer_discloses(node: TestNode, who: Identity) -> None:
    """A notice leaves the house by a named person's hand."""
    view = await node.desk.submit(SENDER, a_request(), "request-1")
    with pytest.raises(NotAuthorized):
        await node.desk.disclose(who, view.id)


async def test_who_disclosed_what_stays_in_the_events(node: TestNode) -> None:
    """Nobody gets a key of which there is no trace."""
    view = await node.desk.submit(SENDER, a_request(), "request-1")
    await node.desk.disclose(node.officer, view.id)
    async for event in node.desk.events(node.officer, 0):
        if event.event == "notice.disclosed":
            assert node.officer.name in (event.detail or "")
            return


# --- What an auditor makes of it ---


@pytest.fixture
def writer() -> Writer:
    return Writer()


def of(sealed: SealedNotice) -> Disclosure:
    submission = sealed.submission
    return Disclosure(
        manifest=submission.manifest,
        proof=submission.proof,
        payload=submission.payload,
        content_key=sealed.content_key,
    )


def audit(writer: Writer, *disclosures: Disclosure) -> Verdict:
    files = [codec.encode(one) for one in disclosures]
    return verify_bundle(Memory(writer.bundle()), community().id, Options(sample=1, disclosures=files))


def failures(verdict: Verdict) -> list[str]:
    return [one.code for one in verdict.findings if one.severity is Grade.FAILED]


def test_an_auditor_reads_a_disclosed_notice_and_who_could_decrypt_it(writer: Writer) -> None:
    """Who wrote exactly what, to whom, and whose proofs of decryption are true."""
    sealed = writer.notice()
    leaf = writer.answer("XBB", K.RECEIVED, sealed)
    verdict = audit(writer, of(sealed))
    assert verdict.verdict is Outcome.OK, verdict.findings
    (shown,) = verdict.disclosed
    assert (shown.sender, shown.recipients, shown.leaf) == ("XAA", ("XBB", "XCC"), 1)
    assert (shown.subject, shown.text) == ("Outage", "The registry does not answer.")
    assert shown.decryption_proofs == (leaf,)


def test_a_state_that_did_not_hold_the_key_is_found(writer: Writer) -> None:
    """An acknowledgement without reading shows once the key is known."""
    sealed = writer.notice()
    other = writer.notice()
    said = saying(K.RECEIVED, other, "XBB")
    false = saying(K.RECEIVED, sealed, "XBB")
    proof = said.decryption_proof
    writer.say("XBB", type(false)(kind=false.kind, envelope=false.envelope, decryption_proof=proof))
    assert failures(audit(writer, of(sealed))) == ["false-decryption-proof"]


def test_another_key_opens_nothing(writer: Writer) -> None:
    """The sealed bytes commit to one key, so a state cannot disclose something else."""
    sealed = writer.notice()
    assert failures(audit(writer, replace(of(sealed), content_key=bytes(32)))) == ["disclosure"]


def test_other_sealed_bytes_are_not_those_that_were_signed(writer: Writer) -> None:
    """The manifest names the payload by its hash."""
    sealed, other = writer.notice(), writer.notice()
    false = replace(of(sealed), payload=other.submission.payload, content_key=other.content_key)
    assert failures(audit(writer, false)) == ["disclosure"]


def test_a_notice_that_was_never_relayed_is_not_proven_by_its_disclosure(writer: Writer) -> None:
    """What is not in the ledger was told to nobody."""
    writer.notice()
    assert failures(audit(writer, of(writer.notice(relay=False)))) == ["disclosure"]


def test_junk_is_no_disclosure(writer: Writer) -> None:
    """A file that is none gets a finding, and the audit goes on."""
    writer.notice()
    verdict = verify_bundle(
        Memory(writer.bundle()), community().id, Options(disclosures=[b"\x00" * 100, b""])
    )
    assert failures(verdict) == ["disclosure", "disclosure"]
