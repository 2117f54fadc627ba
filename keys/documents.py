"""Signing trust documents, and counting who signed them.

A document's signatures stand beside its bytes, sorted by key id. Whether they suffice is
answered by a :class:`Tally`; whether the document may be believed, by :mod:`keys.trust`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keys.signer import Signer, Verifier
from protocol import codec
from protocol.digest import signing_key_id
from protocol.documents import (
    CONTEXTS,
    MAX_DOCUMENT_BYTES,
    Document,
    DocumentSignature,
    Role,
    RoleKeys,
    SignedDocument,
    parse_document,
    parse_signed_document,
)
from protocol.errors import BadSignature, ThresholdNotMet, TooLarge, UnknownSigner
from protocol.signed import Context


@dataclass(frozen=True, slots=True)
class Tally:
    """Who of a role's keys signed a document; true when that is enough.

    Attributes:
        role: The role whose keys were counted.
        needed: The role's threshold.
        signed: The distinct public keys whose signature verifies.
        missing: The listed public keys without a verifying signature, in the listed order.
    """

    role: Role
    needed: int
    signed: frozenset[bytes]
    missing: tuple[bytes, ...]

    @property
    def have(self) -> int:
        """How many distinct keys signed."""
        return len(self.signed)

    def __bool__(self) -> bool:
        return self.have >= self.needed

    def __str__(self) -> str:
        total = self.have + len(self.missing)
        text = f"{self.have} of {total} {self.role} keys signed; {self.needed} are needed"
        absent = ", ".join(signing_key_id(key).hex()[:16] for key in self.missing)
        return f"{text}; without a valid signature: {absent}" if absent else text

    def require(self) -> None:
        """Return only if enough keys signed.

        Raises:
            ThresholdNotMet: too few did; the message says which are missing.
        """
        if not self:
            raise ThresholdNotMet(
                f"the signatures do not suffice: {self}",
                hint="Have the missing custodians sign the same file, then load it again.",
            )


def sign_document(document: Document, signers: Sequence[Signer]) -> bytes:
    """Return the signed form of a document; a signer given twice signs once.

    Raises:
        FormatError: the document breaks its own layout, or no signer is given.
        LocalProtocolError: a signer's role may not sign documents of this kind.
    """
    body = codec.encode(document)
    context = CONTEXTS[type(parse_document(body))]
    return assembled(body, [_signature(context, body, signer) for signer in signers])


def add_signature(data: bytes, signer: Signer) -> bytes:
    """Return a signed document with one signature more; an earlier one by this key is replaced.

    The custodians of a threshold sign one after another: the body's bytes never change.

    Raises:
        FormatError: ``data`` is not a signed document.
        LocalProtocolError: the signer's role may not sign documents of this kind.
    """
    signed = parse_signed_document(data)
    context = CONTEXTS[type(parse_document(signed.body))]
    return assembled(signed.body, [*signed.signatures, _signature(context, signed.body, signer)])


def count_signatures(
    verifier: Verifier, keys: RoleKeys, role: Role, context: Context, signed: SignedDocument
) -> Tally:
    """Count the distinct listed keys that signed a document's received bytes.

    Counted are public keys, never signatures or key ids, each at most once. A signature by an
    unlisted key, or one that does not verify, counts nothing and harms nothing: otherwise
    whoever relays a document could spoil it by adding one (TUF specification, section 4.2.1).
    """
    listed = {signing_key_id(key): key for key in keys.keys}
    valid: set[bytes] = set()
    for signature in signed.signatures:
        key = listed.get(signature.key_id)
        if key is None or key in valid:
            continue
        try:
            verifier.verify(key, role, context, signed.body, signature.proof)
        except BadSignature:
            continue
        valid.add(key)
    missing = tuple(key for key in dict.fromkeys(keys.keys) if key not in valid)
    return Tally(role=role, needed=keys.threshold, signed=frozenset(valid), missing=missing)


def verify_signed_by(
    verifier: Verifier, key: bytes, role: Role, context: Context, signed: SignedDocument
) -> None:
    """Return only if this one key signed the document's received bytes.

    Raises:
        UnknownSigner: no signature names this key.
        BadSignature: one does, and it does not verify.
    """
    key_id = signing_key_id(key)
    if all(signature.key_id != key_id for signature in signed.signatures):
        raise UnknownSigner(f"the {context.value} document is not signed by the {role} key of its state")
    if not count_signatures(verifier, RoleKeys(threshold=1, keys=(key,)), role, context, signed):
        raise BadSignature(f"the signature of the {role} key over the {context.value} document is wrong")


def assembled(body: bytes, signatures: Sequence[DocumentSignature]) -> bytes:
    """Return the signed form of a document's bytes; of several signatures by one key, the last.

    Raises:
        FormatError: there is no signature.
        TooLarge: it is larger than anybody would read.
    """
    latest = {signature.key_id: signature for signature in signatures}
    ordered = tuple(latest[key_id] for key_id in sorted(latest))
    data = codec.encode(SignedDocument(body=body, signatures=ordered))
    if len(data) > MAX_DOCUMENT_BYTES:
        raise TooLarge(f"the signed document has {len(data)} bytes; at most {MAX_DOCUMENT_BYTES} are allowed")
    return data


def _signature(context: Context, body: bytes, signer: Signer) -> DocumentSignature:
    return DocumentSignature(key_id=signer.key_id, signature=signer.sign(context, body).signature)
