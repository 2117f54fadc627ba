"""The frozen community of the vectors, and a second way of making envelopes and statements.

:func:`sealed` is written from ``spec/envelope.md`` alone and does not call ``keys.sealing``: that
the vectors open shows that two implementations agree, and a scenario may break any one step.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from keys.opening import RecipientKey
from keys.payload import pad, seal_payload
from keys.signature import SecretKey
from keys.signer import Verifier
from keys.trust import TrustedDirectory
from protocol.envelope import Delivery, Submission
from protocol.fields import Wire
from protocol.marking import Tlp
from protocol.notice import Addressee, Attachment, Body, DirectoryHead, Header, Kind, Manifest
from protocol.severity import SeverityTag
from protocol.signed import Context, Proof
from protocol.statement import CHAIN_START, SignedStatement, Statement, StatementKind
from tests.vectors.kept import FIXTURES, Kept

COMMUNITY: dict[str, Any] = json.loads((FIXTURES / "community.json").read_text())
NOW_MS: int = COMMUNITY["now_ms"]
HOUR_MS = 3600 * 1000
VERIFIER = Verifier()


def fixed(name: str, size: int) -> bytes:
    """Return bytes that anybody can make again: SHAKE256 of a name."""
    return hashlib.shake_256(b"almenara test vector: " + name.encode()).digest(size)


@lru_cache
def directory() -> TrustedDirectory:
    """Return the directory after every document of the frozen community."""
    trusted = TrustedDirectory(bytes.fromhex(COMMUNITY["community"]), VERIFIER)
    for document in COMMUNITY["documents"]:
        trusted.update(bytes.fromhex(document), NOW_MS)
    return trusted


@lru_cache
def secret(party: str, role: str) -> SecretKey:
    """Return a party's signing key: role ``identity``, ``node``, ``officer`` or ``coordinator``."""
    listed = COMMUNITY["states"].get(party) or COMMUNITY["coordinator"]
    return SecretKey.from_seed(bytes.fromhex(listed[role]))


@lru_cache
def prekey(state: str) -> RecipientKey:
    """Return a state's prekey of the day."""
    return RecipientKey.from_seed(bytes.fromhex(COMMUNITY["states"][state]["prekey"]))


def head() -> DirectoryHead:
    """Return the head of the directory that everybody in the vectors knows."""
    return directory().head()


def header(*recipients: str, **changes: Any) -> Header:
    """Return XAA's header to these states, with some fields changed."""
    plain = Header(
        v=1,
        suite=1,
        kind=Kind.REPORT,
        exercise=True,
        sender="XAA",
        key_id=secret("XAA", "node").key_id,
        nonce=fixed("header nonce", 16),
        created_ms=NOW_MS,
        expires_ms=NOW_MS + 72 * HOUR_MS,
        directory=head(),
        recipients=tuple(Addressee(state=code, prekey_id=prekey(code).key_id) for code in recipients),
        severity=SeverityTag(schema="xaa-national", version=1, level="grave", point=4),
        respond_by_ms=NOW_MS + 4 * HOUR_MS,
    )
    return msgspec.structs.replace(plain, **changes)


def body(**changes: Any) -> Body:
    """Return XAA's body, with some fields changed."""
    plain = Body(
        v=1,
        sender="XAA",
        notice=fixed("notice", 16),
        incident=fixed("incident", 16),
        refers_to=None,
        tlp=Tlp.AMBER,
        language="es",
        subject="Incendio en la colina",
        text="Una señal de humo.\n",
        attachments=(Attachment(name="humo.txt", media_type="text/plain", content=b"humo\n"),),
    )
    return msgspec.structs.replace(plain, **changes)


def tag(label: str) -> bytes:
    """Return the prefix that keeps one hash or derivation from every other."""
    return b"almenara/1/" + label.encode() + b"\0"


@dataclass(frozen=True)
class Parts:
    """An envelope in its parts, before they are put together."""

    manifest: bytes
    proof: Proof
    wraps: tuple[bytes, ...]
    payload: bytes
    content_key: bytes

    @property
    def id(self) -> bytes:
        """The envelope's id."""
        return hashlib.sha256(tag("eid") + self.manifest).digest()

    def submission(self, **changes: Any) -> bytes:
        """Return the submission's bytes, with some members changed."""
        whole = Submission(manifest=self.manifest, proof=self.proof, wraps=self.wraps, payload=self.payload)
        return packed(msgspec.structs.replace(whole, **changes))

    def delivery(self, number: int = 0, /, **changes: Any) -> bytes:
        """Return one recipient's delivery, with some members changed."""
        whole = Delivery(
            manifest=self.manifest,
            proof=self.proof,
            index=number,
            wrap=self.wraps[number],
            payload=self.payload,
        )
        return packed(msgspec.structs.replace(whole, **changes))


def packed(value: Wire) -> bytes:
    """Return MessagePack of a structure without asking whether it may be sent."""
    return msgspec.msgpack.encode(value)


def info(header_hash: bytes, payload_hash: bytes, state: str, prekey_id: bytes, suite: int = 1) -> bytes:
    """Return what a wrap is bound to."""
    bound = tag("wrap") + suite.to_bytes(2, "big") + header_hash + payload_hash
    return bound + bytes([len(state)]) + state.encode() + prekey_id


def sealed(
    kept: Kept,
    head_of: Header,
    content: bytes,
    *,
    name: str = "envelope",
    padded: bytes | None = None,
    payload: bytes | None = None,
    wrapped_key: bytes | None = None,
    position: bytes = (1).to_bytes(8, "big") + bytes(32),
    bound_to: bytes | None = None,
    signer: SecretKey | None = None,
    context: Context = Context.NOTICE,
    manifest_changes: dict[str, Any] | None = None,
) -> Parts:
    """Seal ``content`` under a header, with any one step done wrong on request."""
    header_bytes = packed(head_of)
    header_hash = hashlib.sha256(tag("hdr") + header_bytes).digest()
    key = fixed(f"content key of {name}", 32)
    if payload is None:
        context_bytes = tag("payload") + header_hash
        payload = seal_payload(key, padded or pad(content), context_bytes, fixed(f"salt of {name}", 24))
    payload_hash = hashlib.sha256(payload).digest()
    wraps = tuple(
        kept.sealed(
            prekey(to.state).public if to.state in COMMUNITY["states"] else prekey("XBB").public,
            info(bound_to or header_hash, payload_hash, to.state, to.prekey_id, head_of.suite),
            (wrapped_key or key) + position,
        )
        for to in head_of.recipients
    )
    manifest = Manifest(
        header=header_bytes,
        wrap_hashes=tuple(hashlib.sha256(wrap).digest() for wrap in wraps),
        payload_hash=payload_hash,
        payload_length=len(payload),
        blobs=(),
    )
    manifest_bytes = packed(msgspec.structs.replace(manifest, **(manifest_changes or {})))
    proof = kept.proofs(signer or secret("XAA", "node"), context, [manifest_bytes])[0]
    return Parts(manifest_bytes, proof, wraps, payload, key)


def statement(kind: StatementKind, envelope: bytes, **changes: Any) -> Statement:
    """Return XBB's statement about an envelope, with some fields changed."""
    role = {True: "node", False: "officer"}[kind in (1, 6, 16, 17)]
    plain = Statement(
        v=1,
        suite=1,
        kind=kind,
        party="XBB",
        key_id=secret("XBB", role).key_id,
        nonce=fixed("statement nonce", 32),
        envelope=envelope,
        at_ms=NOW_MS + 1000,
        sequence=1,
        previous=CHAIN_START,
        directory=head(),
        seen=None,
        about=None,
        code=None,
        decryption_proof=None,
        detail=None,
    )
    return msgspec.structs.replace(plain, **changes)


def said(kept: Kept, content: bytes, signer: SecretKey, context: Context = Context.STATEMENT) -> bytes:
    """Return the signed form of a statement's bytes."""
    return packed(SignedStatement(body=content, proof=kept.proofs(signer, context, [content])[0]))
