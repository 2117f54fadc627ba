"""Joining a community: what a newcomer sends to governance, and the file that members load.

A request proves only that the newcomer holds its keys. Who the newcomer *is* must be confirmed
by people, who compare the fingerprint of its key over two other channels. See
``spec/documents.md``, section "enrolment".
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from protocol import codec
from protocol.documents import MAX_DOCUMENT_BYTES, CoordinatorEntry
from protocol.fields import Bytes32, Line, PublicKeyBytes, StateCode, Wire
from protocol.signed import Proof

MAX_REQUEST_DOCUMENTS = 32
MAX_REQUEST_BYTES = 2 * 1024 * 1024
MAX_COMMUNITY_DOCUMENTS = 200_000
MAX_COMMUNITY_BYTES = 512 * 1024 * 1024
"""Ten years of 33 states, each of which publishes a list of daily keys a week, have some 18,000 documents."""

SignedDocumentBytes = Annotated[bytes, Meta(min_length=1, max_length=MAX_DOCUMENT_BYTES)]


class StateRequest(Wire, frozen=True, tag="alm1-state-request"):
    """A state asks to be listed: its identity key, the proof that it holds it, its documents.

    ``documents`` are signed documents in the order in which they are to be accepted once the
    state is listed: the manifest first, then the prekey list and any publications.
    """

    v: Literal[1]
    community: Bytes32
    code: StateCode
    name: Line
    identity: PublicKeyBytes
    possession: Proof
    documents: Annotated[
        tuple[SignedDocumentBytes, ...], Meta(min_length=1, max_length=MAX_REQUEST_DOCUMENTS)
    ]


class CoordinatorRequest(Wire, frozen=True, tag="alm1-coordinator-request"):
    """A coordinator asks to be listed, with the entry it asks for."""

    v: Literal[1]
    community: Bytes32
    entry: CoordinatorEntry


class Community(Wire, frozen=True, tag="alm1-community"):
    """Signed documents in the order of their acceptance, from the first root on."""

    v: Literal[1]
    documents: Annotated[
        tuple[SignedDocumentBytes, ...], Meta(min_length=1, max_length=MAX_COMMUNITY_DOCUMENTS)
    ]


Request = StateRequest | CoordinatorRequest
_REQUESTS: dict[int | str, type[Request]] = codec.tags_of(StateRequest, CoordinatorRequest)


def parse_request(data: bytes) -> Request:
    """Parse a request to join; nothing in it is verified.

    Raises:
        UnknownKind: it is neither a state's nor a coordinator's request.
        FormatError: a bound is broken.
    """
    return codec.decode_one_of(data, _REQUESTS, limit=MAX_REQUEST_BYTES, what="request")


def parse_community(data: bytes) -> Community:
    """Parse a community file; no document in it is verified.

    Raises:
        FormatError: a bound is broken.
    """
    return codec.decode(data, Community, limit=MAX_COMMUNITY_BYTES, what="community file")
