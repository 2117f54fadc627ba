"""The examples of the specification's pages: one notice from XAA to XBB, and XBB's answers."""

from __future__ import annotations

from keys.payload import pad
from keys.sealing import decryption_proof
from protocol.envelope import Delivery, Submission, deliver
from protocol.notice import Header, Manifest, parse_manifest
from protocol.signed import Context, Proof
from protocol.statement import SealedDetail, SignedStatement, Statement, StatementKind
from tests.vectors.kept import KEPT
from tests.vectors.world import Parts, body, fixed, header, packed, prekey, sealed, secret, statement, tag

CONTENT = packed(body())
NOTE = "Recibido; miramos la colina."
SMOKE = (b"smoke in the north", b"smoke in the east", b"smoke in the west")


def envelope() -> Parts:
    """Return the example's envelope."""
    return sealed(KEPT, header("XBB"), CONTENT)


def submission() -> Submission:
    """Return what XAA hands to the coordinator."""
    parts = envelope()
    return Submission(manifest=parts.manifest, proof=parts.proof, wraps=parts.wraps, payload=parts.payload)


def delivery() -> Delivery:
    """Return what XBB gets."""
    return deliver(submission(), 0)


def manifest_and_header() -> tuple[Manifest, Header]:
    """Return its manifest and header."""
    return parse_manifest(envelope().manifest)


def padded() -> bytes:
    """Return its body as it is encrypted."""
    return pad(CONTENT)


def proof_of_decryption() -> bytes:
    """Return what shows that XBB held the content key."""
    return decryption_proof(envelope().content_key, envelope().id, "XBB")


def received() -> Statement:
    """Return the receipt of XBB's node."""
    return statement(StatementKind.RECEIVED, envelope().id, decryption_proof=proof_of_decryption())


def detail() -> SealedDetail:
    """Return the note of XBB's officer, sealed to XAA."""
    key = prekey("XAA")
    return SealedDetail(prekey_id=key.key_id, sealed=KEPT.sealed(key.public, detail_info(), framed_note()))


def detail_info() -> bytes:
    """Return what the note is bound to."""
    return tag("detail") + prekey("XAA").key_id + envelope().id + b"XBB"


def framed_note() -> bytes:
    """Return the note as it is encrypted."""
    text = NOTE.encode()
    return (len(text).to_bytes(2, "big") + text).ljust(512, b"\0")


def accepted() -> Statement:
    """Return the answer of XBB's officer."""
    return statement(
        StatementKind.ACCEPTED,
        envelope().id,
        nonce=fixed("second statement nonce", 32),
        decryption_proof=proof_of_decryption(),
        detail=detail(),
    )


def signed(what: Statement, role: str) -> SignedStatement:
    """Return a statement signed alone by XBB's key of this role."""
    content = packed(what)
    proof = KEPT.proofs(secret("XBB", role), Context.STATEMENT, [content])[0]
    return SignedStatement(body=content, proof=proof)


def batch() -> list[Proof]:
    """Return the proofs of three objects signed at once."""
    return KEPT.proofs(secret("XAA", "node"), Context.NOTICE, list(SMOKE))
