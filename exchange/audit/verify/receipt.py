"""Is this receipt true? The same answer as :mod:`keys.receipt` gives, as a verdict."""

from __future__ import annotations

from exchange.audit.verdict import CommunityView, Finding, Grade, Outcome, ReceiptVerdict, Step
from keys.receipt import VerifiedReceipt, VerifiedStatement, verify_receipt
from keys.signer import Verifier
from protocol.errors import AlmenaraError


def receipt_verdict(data: bytes, pinned_root_hash: bytes) -> ReceiptVerdict:
    """Return the verdict on a receipt.

    Args:
        data: The file's bytes.
        pinned_root_hash: The 32-byte hash of the community's first root document, from the ceremony.
    """
    try:
        return _proven(verify_receipt(data, pinned_root_hash, Verifier()))
    except AlmenaraError as error:
        finding = Finding(
            code=error.code,
            severity=Grade.FAILED,
            sentence=error.message,
            where="the receipt",
            next=error.hint,
        )
        return ReceiptVerdict(
            verdict=Outcome.FAILED,
            sentence=f"FAILED: this receipt proves nothing: {error.message}",
            findings=(finding,),
            community=CommunityView(pinned_root_hash.hex(), ""),
        )


def _proven(receipt: VerifiedReceipt) -> ReceiptVerdict:
    count = len(receipt.statements)
    return ReceiptVerdict(
        verdict=Outcome.OK,
        sentence=(
            f"OK: {count} statement(s) about notice {receipt.envelope.hex()[:12]} of {receipt.header.sender} "
            "are signed, logged and witnessed"
        ),
        findings=(),
        community=CommunityView(receipt.community.hex(), receipt.community_name),
        coordinator=receipt.coordinator,
        envelope=receipt.envelope.hex(),
        sender=receipt.header.sender,
        recipients=tuple(one.state for one in receipt.header.recipients),
        steps=tuple(_step(one) for one in receipt.statements),
    )


def _step(statement: VerifiedStatement) -> Step:
    return Step(
        kind=statement.kind.name,
        party=statement.subject or statement.party,
        leaf=statement.index,
        at_ms=statement.recorded_ms,
        said_ms=statement.at_ms,
        not_before_ms=None,
        not_after_ms=statement.witnessed_ms,
        code=statement.code,
        officer=statement.officer,
    )
