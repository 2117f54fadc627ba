"""Envelopes and receipts made beforehand, with batch signatures: real to whoever cannot open them.

The payload is random, as a sealed one looks; manifest, hashes, keys and signatures are real. Since an
envelope's id is known once it is made, so is every receipt for it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import msgpack

from keys.evidence import NO_STATEMENT_YET, Chain, Draft, Saying, draft_statement, sign_statements
from protocol import codec
from protocol.envelope import Submission
from protocol.notice import DEFAULT_LIFE_MS, Addressee, Header, Kind, Manifest, envelope_id
from protocol.severity import SeverityTag
from protocol.signed import Context
from protocol.statement import StatementKind
from protocol.suite import SUITE_1, WRAP_BYTES
from tests.benchmarks.crowd import CLOCK, Crowd
from tests.benchmarks.lean import SUBMIT, frame

SEALED_BYTES = 2304
"""A notice of 2 KiB, padded and sealed."""

MARK = slice(0, 120)
"""The bytes of a delivery or statement that hold its nonce: enough to know it by."""


@dataclass(slots=True)
class Envelope:
    """One envelope as its sender sends it, and how it is known again.

    Attributes:
        number: Its place among all of them.
        frame: The whole Submit message.
        mark: What every delivery of it begins with.
        ref: The request's number on its session.
    """

    number: int
    frame: bytes
    mark: bytes
    id: bytes
    ref: int


class Presealed:
    """All that will be sent.

    Args:
        crowd: Who sends to whom.
        senders: Codes of those who send, in turn.
        recipients: Codes of those who get every envelope.
        count: How many envelopes.
        batch: How many objects share a signature.
        payload_bytes: How much is sealed in each.
        point: The reference point of the severity that the headers show.
    """

    def __init__(
        self,
        crowd: Crowd,
        senders: Sequence[str],
        recipients: Sequence[str],
        count: int,
        batch: int,
        *,
        payload_bytes: int = SEALED_BYTES,
        point: int = 4,
    ) -> None:
        self._crowd = crowd
        self._payload_bytes = payload_bytes
        self._tag = SeverityTag(schema="xaa-national", version=1, level="grave", point=point)
        self.recipients = tuple(recipients)
        self.by_sender: dict[str, list[Envelope]] = {code: [] for code in senders}
        self.number: dict[bytes, int] = {}
        """Which envelope a delivery is of, by its mark."""
        self.receipt: dict[str, list[bytes]] = {code: [] for code in recipients}
        """Each recipient's receipts, by the number of the envelope."""
        self.about: dict[bytes, int] = {}
        """Which envelope a receipt is about, by its mark."""
        for sender in senders:
            share = len(range(senders.index(sender), count, len(senders)))
            while len(self.by_sender[sender]) < share:
                self._seal(sender, min(batch, share - len(self.by_sender[sender])))
        everything = sorted(
            (one for some in self.by_sender.values() for one in some), key=lambda one: one.number
        )
        for code in recipients:
            self._attest(code, everything, batch)

    def _seal(self, sender: str, size: int) -> None:
        wraps = [tuple(secrets.token_bytes(WRAP_BYTES) for _ in self.recipients) for _ in range(size)]
        payloads = [secrets.token_bytes(self._payload_bytes) for _ in range(size)]
        manifests = [
            self._manifest(sender, wrap, payload) for wrap, payload in zip(wraps, payloads, strict=True)
        ]
        proofs = self._crowd.members[sender].node.sign_batch(Context.NOTICE, manifests)
        for manifest, proof, wrap, payload in zip(manifests, proofs, wraps, payloads, strict=True):
            data = codec.encode(Submission(manifest=manifest, proof=proof, wraps=wrap, payload=payload))
            number, ref = len(self.number), len(self.by_sender[sender]) + 1
            mark = (b"\x96\xadalm1-delivery" + msgpack.packb(manifest))[MARK]
            self.number[mark] = number
            ready = frame(msgpack.packb([SUBMIT, ref, data]))
            self.by_sender[sender].append(Envelope(number, ready, mark, envelope_id(manifest), ref))

    def _manifest(self, sender: str, wraps: tuple[bytes, ...], payload: bytes) -> bytes:
        now_ms = CLOCK.now_ms()
        header = Header(
            v=1,
            suite=SUITE_1,
            kind=Kind.REPORT,
            exercise=False,
            sender=sender,
            key_id=self._crowd.members[sender].node.key_id,
            nonce=secrets.token_bytes(16),
            created_ms=now_ms,
            expires_ms=now_ms + DEFAULT_LIFE_MS,
            directory=self._crowd.directory.head(),
            recipients=tuple(Addressee(state=code, prekey_id=bytes(32)) for code in self.recipients),
            severity=self._tag,
            respond_by_ms=None,
        )
        return codec.encode(
            Manifest(
                header=codec.encode(header),
                wrap_hashes=tuple(hashlib.sha256(wrap).digest() for wrap in wraps),
                payload_hash=hashlib.sha256(payload).digest(),
                payload_length=len(payload),
                blobs=(),
            )
        )

    def _attest(self, code: str, envelopes: Sequence[Envelope], batch: int) -> None:
        signer, head = self._crowd.members[code].node, self._crowd.directory.head()
        chain: Chain = NO_STATEMENT_YET
        for first in range(0, len(envelopes), batch):
            drafts: list[Draft] = []
            for one in envelopes[first : first + batch]:
                draft = draft_statement(
                    Saying(
                        kind=StatementKind.RECEIVED, envelope=one.id, decryption_proof=secrets.token_bytes(32)
                    ),
                    party=code,
                    signer=signer,
                    at_ms=CLOCK.now_ms(),
                    nonce=secrets.token_bytes(32),
                    directory=head,
                    chain=chain,
                )
                drafts.append(draft)
                chain = draft.chain
            for one, data in zip(envelopes[first:], sign_statements(signer, drafts), strict=False):
                self.receipt[code].append(data)
                self.about[data[MARK]] = one.number
