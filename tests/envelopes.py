"""Envelopes with real signatures and nothing inside: whoever cannot open them cannot tell."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

import msgspec

from keys.evidence import NO_STATEMENT_YET, Chain, Made, Saying, make_statement
from keys.signer import Signer
from protocol import codec
from protocol.documents import Role
from protocol.envelope import Submission
from protocol.marking import Tlp
from protocol.notice import DEFAULT_LIFE_MS, Addressee, Body, Header, Kind, Manifest, envelope_id
from protocol.severity import SeverityTag
from protocol.signed import Context
from protocol.statement import PROVES_DECRYPTION, SIGNER_ROLE, StatementKind
from protocol.suite import SUITE_1, WRAP_BYTES
from tests.community import Community

TAG = SeverityTag(schema="xaa-national", version=1, level="grave", point=4)
BODY = Body(
    v=1,
    sender="XAA",
    notice=bytes(16),
    incident=bytes(16),
    refers_to=None,
    tlp=Tlp.AMBER,
    language="en",
    subject="Wiper",
    text="Please look.",
    attachments=(),
)


def header(
    everyone: Community,
    *,
    sender: str = "XAA",
    to: Sequence[str] = ("XBB", "XCC"),
    now_ms: int | None = None,
    **changes: object,
) -> Header:
    """Return a header that the coordinator accepts, unless ``changes`` spoil it."""
    created_ms = everyone.now_ms if now_ms is None else now_ms
    plain = Header(
        v=1,
        suite=SUITE_1,
        kind=Kind.REPORT,
        exercise=False,
        sender=sender,
        key_id=everyone.members[sender].node.key_id if sender in everyone.members else bytes(32),
        nonce=secrets.token_bytes(16),
        created_ms=created_ms,
        expires_ms=created_ms + DEFAULT_LIFE_MS,
        directory=everyone.directory().head(),
        recipients=tuple(Addressee(state=code, prekey_id=secrets.token_bytes(32)) for code in to),
        severity=TAG,
        respond_by_ms=None,
    )
    return msgspec.structs.replace(plain, **changes)


def submission(head: Header, signer: Signer, *, payload_bytes: int = 2048) -> Submission:
    """Return a submission with random wraps and payload, signed by ``signer``."""
    wraps = tuple(secrets.token_bytes(WRAP_BYTES) for _ in head.recipients)
    payload = secrets.token_bytes(payload_bytes)
    manifest = codec.encode(
        Manifest(
            header=codec.encode(head),
            wrap_hashes=tuple(hashlib.sha256(wrap).digest() for wrap in wraps),
            payload_hash=hashlib.sha256(payload).digest(),
            payload_length=len(payload),
            blobs=(),
        )
    )
    proof = signer.sign(Context.NOTICE, manifest)
    return Submission(manifest=manifest, proof=proof, wraps=wraps, payload=payload)


def sent(everyone: Community, sender: str = "XAA", to: Sequence[str] = ("XBB", "XCC")) -> Submission:
    """Return a submission that the coordinator accepts."""
    return submission(header(everyone, sender=sender, to=to), everyone.members[sender].node)


def id_of(one: Submission) -> bytes:
    """Return the id of a submission's envelope."""
    return envelope_id(one.manifest)


def said(
    everyone: Community,
    party: str,
    kind: StatementKind,
    envelope: bytes,
    *,
    chain: Chain = NO_STATEMENT_YET,
    code: str | None = None,
    about: str | None = None,
    signer: Signer | None = None,
    at_ms: int | None = None,
) -> Made:
    """Return a statement by a state's node or officer, or by the coordinator, as the kind asks."""
    if signer is None:
        role = SIGNER_ROLE[kind]
        member = everyone.members.get(party)
        if member is None or role is Role.COORDINATOR:
            signer = everyone.hub
        else:
            signer = member.officer if role is Role.OFFICER else member.node
    saying = Saying(
        kind=kind,
        envelope=envelope,
        about=about,
        code=code,
        decryption_proof=bytes(32) if kind in PROVES_DECRYPTION else None,
    )
    return make_statement(
        saying,
        party=party,
        signer=signer,
        at_ms=everyone.now_ms if at_ms is None else at_ms,
        nonce=secrets.token_bytes(32),
        directory=everyone.directory().head(),
        chain=chain,
    )
