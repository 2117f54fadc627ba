"""A verified receipt in plain words: who was told, received, opened, answered, and when. Times in UTC."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from keys.receipt import VerifiedCheckpoint, VerifiedReceipt, VerifiedStatement
from protocol.statement import StatementKind

_WIDTH = 98
_K = StatementKind
_DID: dict[StatementKind, str] = {
    _K.RECEIVED: "received by its node",
    _K.OPENED: "opened by {officer}",
    _K.ACCEPTED: "accepted by {officer}",
    _K.COMPLETED: "completed by {officer}",
    _K.DECLINED: "declined by {officer}: {code}",
    _K.REJECTED: "rejected by its node: {code}",
    _K.UNDELIVERED: "not delivered, says the coordinator: {code}",
    _K.WITHDRAWN: "withdrawn by its sender",
    _K.SUPERSEDED: "superseded by its sender",
}


def tell(receipt: VerifiedReceipt) -> list[str]:
    """Return lines of text for people; everything they say was proved.

    Args:
        receipt: What :func:`keys.receipt.verify_receipt` returned.
    """
    return [printable(line) for paragraph in _paragraphs(receipt) for line in _wrapped(paragraph)]


def printable(text: str) -> str:
    """Return text without what a terminal would not show as it is; names are chosen by others."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def utc(millis: int) -> str:
    """Return a time as people write it, to the second."""
    return f"{datetime.fromtimestamp(millis // 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _paragraphs(receipt: VerifiedReceipt) -> Iterator[str]:
    header = receipt.header
    yield f"Receipt for notice {receipt.envelope.hex()}"
    yield f"Community: {receipt.community_name}. Ledger: {receipt.origin}, kept by {receipt.coordinator}."
    yield ""
    if header.exercise:
        yield "THIS WAS AN EXERCISE."
    tag = header.severity
    point = "no reference point" if tag.point is None else f"reference point {tag.point} of 5"
    yield (
        f"Sent by {_named(receipt, header.sender)} at {utc(header.created_ms)}: {header.kind.name.lower()}, "
        f"level {tag.schema}@{tag.version}:{tag.level}, {point}."
    )
    for one in receipt.statements:
        if one.kind is StatementKind.RELAYED:
            told = ", ".join(addressee.state for addressee in header.recipients)
            yield (
                f"Relayed: {one.party} promised at {utc(one.at_ms)} to bring it to {told} (leaf {one.index})."
            )
        elif one.subject is None:
            yield f"{_did(one)} at {utc(one.at_ms)} (leaf {one.index})."
    for addressee in header.recipients:
        yield ""
        yield f"{_named(receipt, addressee.state)}:"
        about = [one for one in receipt.statements if one.subject == addressee.state]
        yield from _about(about)
    yield ""
    for checkpoint in receipt.checkpoints:
        yield _seen(checkpoint)
    yield "The times of what was done are the signers' own; these last ones are the witnesses'."


def _about(statements: Sequence[VerifiedStatement]) -> Iterator[str]:
    if not statements:
        yield "  nothing of it is in this receipt"
    for one in sorted(statements, key=lambda one: (one.at_ms, one.index)):
        yield f"  {utc(one.at_ms)}  {_did(one)} (leaf {one.index})"


def _did(one: VerifiedStatement) -> str:
    words = _DID.get(one.kind, one.kind.name.lower())
    return words.format(officer=one.officer or one.party, code=one.code)


def _seen(checkpoint: VerifiedCheckpoint) -> str:
    return (
        f"By {utc(checkpoint.witnessed_ms)} {len(checkpoint.cosigned)} of {checkpoint.witnesses} states had "
        f"witnessed the ledger of {checkpoint.checkpoint.size} leaves ({checkpoint.needed} are needed): "
        f"{', '.join(sorted(checkpoint.cosigned))}."
    )


def _named(receipt: VerifiedReceipt, code: str) -> str:
    name = receipt.names.get(code)
    return code if name is None else f"{code} ({name})"


def _wrapped(paragraph: str) -> list[str]:
    if not paragraph:
        return [""]
    indent = "    " if paragraph.startswith("  ") else ""
    return textwrap.wrap(paragraph, _WIDTH, subsequent_indent=indent, drop_whitespace=True) or [""]
