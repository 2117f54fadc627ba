"""Disclosed notices: a state hands over one content key, and the auditor sees who wrote exactly what.

The key proves itself: the sender's signed manifest names the sealed bytes, and those commit to one
key. Whoever holds it can also compare the proofs of decryption that recipients signed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from exchange.audit.verdict import DisclosedView
from exchange.audit.verify.record import Place, Record, leaf_at
from keys.sealing import decryption_proof, open_sealed_body
from protocol.disclosure import Disclosure, parse_disclosure
from protocol.errors import AlmenaraError, Tampered
from protocol.notice import Body, Header, Manifest, envelope_id
from protocol.statement import Statement

_CHECK = "disclosures"


@dataclass(slots=True)
class _Opened:
    """One disclosed notice, and what the ledger says about it."""

    number: int
    disclosure: Disclosure
    header: Header
    body: Body
    leaf: int | None = None
    proofs: list[int] = field(default_factory=list)


class Disclosures:
    """Opens disclosed notices, and compares them with the ledger as it is read.

    Args:
        files: The disclosure files' bytes.
        record: Where what is wrong is recorded.
    """

    def __init__(self, files: Sequence[bytes], record: Record) -> None:
        self._record = record
        self._opened: dict[bytes, _Opened] = {}
        for number, data in enumerate(files, 1):
            try:
                disclosure, manifest, header = parse_disclosure(data)
                body = _open(disclosure, manifest, header)
                name = envelope_id(disclosure.manifest)
                self._opened[name] = _Opened(number, disclosure, header, body)
            except AlmenaraError as error:
                self._record.failed(_CHECK, "disclosure", error.message, Place(f"disclosure {number}"))

    def has(self, envelope: bytes) -> bool:
        """Return whether a notice is disclosed."""
        return envelope in self._opened

    def relayed(self, leaf: int, envelope: bytes) -> None:
        """Take note that a notice was relayed, and that its sender's signature verified."""
        if opened := self._opened.get(envelope):
            opened.leaf = leaf

    def compare(self, leaf: int, statement: Statement) -> None:
        """Compare a recipient's proof of decryption with the disclosed key."""
        if not self._opened or statement.decryption_proof is None:
            return
        opened = self._opened.get(statement.envelope)
        if opened is None:
            return
        wanted = decryption_proof(opened.disclosure.content_key, statement.envelope, statement.party)
        if hmac.compare_digest(wanted, statement.decryption_proof):
            opened.proofs.append(leaf)
            self._record.passed(_CHECK)
        else:
            sentence = f"{statement.party} claims to have opened this notice, and did not hold its key"
            self._record.failed(_CHECK, "false-decryption-proof", sentence, leaf_at(leaf))

    def finish(self) -> tuple[DisclosedView, ...]:
        """Return the disclosed notices that the ledger knows; record the others."""
        for opened in self._opened.values():
            if opened.leaf is None:
                sentence = "this notice is not in the ledger with its sender's valid signature"
                self._record.failed(_CHECK, "disclosure", sentence, Place(f"disclosure {opened.number}"))
            else:
                self._record.passed(_CHECK)
        return tuple(_view(name, opened) for name, opened in self._opened.items() if opened.leaf is not None)


def _open(disclosure: Disclosure, manifest: Manifest, header: Header) -> Body:
    if hashlib.sha256(disclosure.payload).digest() != manifest.payload_hash:
        raise Tampered("the sealed content is not the one that the sender signed")
    body = open_sealed_body(disclosure.payload, manifest.header, disclosure.content_key)
    if body.sender != header.sender:
        raise Tampered("the sealed sender is not the signed sender")
    return body


def _view(envelope: bytes, opened: _Opened) -> DisclosedView:
    header, body = opened.header, opened.body
    return DisclosedView(
        envelope=envelope.hex(),
        leaf=opened.leaf,
        sender=header.sender,
        recipients=tuple(one.state for one in header.recipients),
        created_ms=header.created_ms,
        tlp=body.tlp.value,
        language=body.language,
        subject=body.subject,
        text=body.text,
        attachments=tuple(
            (one.name, one.media_type, len(one.content), hashlib.sha256(one.content).hexdigest())
            for one in body.attachments
        ),
        decryption_proofs=tuple(opened.proofs),
    )
