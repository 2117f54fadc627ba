"""The files of a ceremony: a proposal, a signature over it, a custodian's new key; and attestations.

They travel by mail or on a stick, between people who may never meet. Nothing in them is trusted:
whoever reads one checks it against the documents that follow from the pinned root hash. See
``spec/governance.md``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from protocol import codec
from protocol.documents import (
    MAX_DOCUMENT_BYTES,
    Directory,
    DocumentSignature,
    Publication,
    Role,
    Root,
    document_hash,
    parse_document,
    parse_signed_document,
)
from protocol.enrolment import SignedDocumentBytes
from protocol.errors import FormatError
from protocol.fields import Bytes32, Line, Millis, PublicKeyBytes, StateCode, Wire
from protocol.signed import Proof

MAX_PROPOSAL_BYTES = 16 * 1024 * 1024
MAX_FOLLOWING = 512
MAX_SIGNATURE_FILE_BYTES = 8 * 1024
MAX_CUSTODIAN_KEY_BYTES = 16 * 1024
MAX_ATTESTATION_BYTES = 2 * 1024

ATTESTATION = "attestation"
"""The topic of the publications by which members attest who holds a key."""
GOVERNANCE = "governance"
"""In whose name custodians prove possession; no state has it, because codes are in capitals."""


class Proposal(Wire, frozen=True, tag="alm1-proposal"):
    """A root or directory for custodians to sign, and what is to be accepted after it.

    ``documents`` are signed documents in the order of their acceptance: a new member's, and
    attestations. ``reason`` and ``unattested`` say why, and why attestations are missing.
    """

    v: Literal[1]
    body: Annotated[bytes, Meta(min_length=1, max_length=MAX_DOCUMENT_BYTES)]
    documents: Annotated[tuple[SignedDocumentBytes, ...], Meta(max_length=MAX_FOLLOWING)]
    reason: Line | None
    unattested: Line | None

    @property
    def hash(self) -> bytes:
        """The 32-byte hash of the body, by which signatures name the proposal."""
        return document_hash(self.body)


class ProposalSignature(Wire, frozen=True, tag="alm1-signature"):
    """One custodian's signature over the body of the proposal with this hash."""

    v: Literal[1]
    proposal: Bytes32
    signature: DocumentSignature


class CustodianKey(Wire, frozen=True, tag="alm1-custodian-key"):
    """The public half of a custodian's new key, with the proof that somebody holds the secret one."""

    v: Literal[1]
    community: Bytes32
    role: Role
    name: Line
    key: PublicKeyBytes
    possession: Proof


class Attestation(Wire, frozen=True, tag="attestation"):
    """What a member says of another: over which two channels it confirmed the identity key's fingerprint."""

    v: Literal[1]
    state: StateCode
    identity: Bytes32
    channels: tuple[Line, Line]
    at_ms: Millis


def parse_proposal(data: bytes) -> Proposal:
    """Parse a proposal; nothing in it is verified.

    Raises:
        FormatError: a bound is broken, the body is no root or directory, or a further document is one.
    """
    proposal = codec.decode(data, Proposal, limit=MAX_PROPOSAL_BYTES, what="proposal")
    document = proposed(proposal)
    if isinstance(document, Root) and (document.version == 1 or proposal.documents):
        raise FormatError("a proposed root is not the first one, and nothing follows it")
    for following in proposal.documents:
        if isinstance(parse_document(parse_signed_document(following).body), Root | Directory):
            raise FormatError("a proposal holds one root or directory, and only states' documents behind it")
    return proposal


def proposed(proposal: Proposal) -> Root | Directory:
    """Return the document that is to be signed.

    Raises:
        FormatError: it is no well-formed root or directory.
    """
    document = parse_document(proposal.body)
    if not isinstance(document, Root | Directory):
        raise FormatError("custodians sign root and directory documents only")
    return document


def parse_proposal_signature(data: bytes) -> ProposalSignature:
    """Parse a signature's file; nothing in it is verified.

    Raises:
        FormatError: a bound is broken.
    """
    return codec.decode(data, ProposalSignature, limit=MAX_SIGNATURE_FILE_BYTES, what="signature file")


def parse_custodian_key(data: bytes) -> CustodianKey:
    """Parse the public file of a custodian's key; nothing in it is verified.

    Raises:
        FormatError: a bound is broken, or custodians have no keys of this role.
    """
    key = codec.decode(data, CustodianKey, limit=MAX_CUSTODIAN_KEY_BYTES, what="custodian's key")
    if key.role not in (Role.ROOT, Role.DIRECTORY):
        raise FormatError("a custodian's key is a root or a directory key")
    return key


def parse_attestation(publication: Publication) -> Attestation:
    """Parse what a publication on the topic ``attestation`` says.

    Raises:
        FormatError: it is none, a bound is broken, or the publication has another name.
    """
    content = codec.decode(publication.content, Attestation, limit=MAX_ATTESTATION_BYTES, what="attestation")
    if (publication.topic, publication.name) != (ATTESTATION, attestation_name(content.state)):
        raise FormatError("an attestation is published under the code of the state that it is about")
    if content.channels[0] == content.channels[1]:
        raise FormatError("a fingerprint is confirmed over two different channels")
    return content


def attestation_name(state: str) -> str:
    """Return the name of publications that attest a state's key: its code in lower case."""
    return state.lower()
