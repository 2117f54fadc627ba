"""Every message of a session. One binary WebSocket message carries exactly one of them.

The first array member is the message's number. See ``protocol/spec/session.md``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, TypeAlias, get_args

from msgspec import Meta

from protocol import codec
from protocol.documents import MAX_DOCUMENT_BYTES
from protocol.envelope import MAX_SUBMISSION_BYTES
from protocol.errors import PeerCode
from protocol.fields import U16, Bytes32, Millis, StateCode, Uint, Wire
from protocol.notice import DirectoryHead
from protocol.signed import Proof
from protocol.statement import MAX_SIGNED_STATEMENT_BYTES

VERSIONS: tuple[int, ...] = (1,)
MAX_MESSAGE_BYTES = 2 * 1024 * 1024
MAX_HANDSHAKE_BYTES = 16 * 1024
MAX_DOCUMENTS_BYTES = 1024 * 1024


class ItemKind(IntEnum):
    """What a mailbox item is."""

    ENVELOPE = 1
    STATEMENT = 2


class Hello(Wire, frozen=True, tag=1):
    """The node opens: who it says it is, what it speaks, what it has seen."""

    versions: Annotated[tuple[U16, ...], Meta(min_length=1, max_length=16)]
    community: Bytes32
    party: StateCode
    nonce: Bytes32
    time_ms: Millis
    directory: DirectoryHead


class Challenge(Wire, frozen=True, tag=2):
    """The coordinator picks a version and proves who it is, over both nonces and certificates."""

    version: U16
    party: StateCode
    nonce: Bytes32
    time_ms: Millis
    key_id: Bytes32
    proof: Proof


class Prove(Wire, frozen=True, tag=3):
    """The node proves who it is, over the same transcript with the other side's mark."""

    key_id: Bytes32
    proof: Proof


class Welcome(Wire, frozen=True, tag=4):
    """The session is open; these are the coordinator's limits for it."""

    request_window: Annotated[int, Meta(ge=1, le=65536)]
    delivery_window: Annotated[int, Meta(ge=1, le=65536)]
    heartbeat_ms: Annotated[int, Meta(ge=100, le=600_000)]
    documents: Uint


class Submit(Wire, frozen=True, tag=5):
    """The node asks the coordinator to relay an envelope."""

    ref: Uint
    submission: Annotated[bytes, Meta(max_length=MAX_SUBMISSION_BYTES)]


class Attest(Wire, frozen=True, tag=6):
    """The node hands over a signed statement to be recorded and passed on."""

    ref: Uint
    statement: Annotated[bytes, Meta(max_length=MAX_SIGNED_STATEMENT_BYTES)]


class Publish(Wire, frozen=True, tag=7):
    """The node hands over a signed document for all members."""

    ref: Uint
    document: Annotated[bytes, Meta(max_length=MAX_DOCUMENT_BYTES)]


class Accepted(Wire, frozen=True, tag=8):
    """The request is durable. For an envelope, ``statement`` is the signed RELAYED promise."""

    ref: Uint
    index: Uint
    statement: Annotated[bytes, Meta(max_length=MAX_SIGNED_STATEMENT_BYTES)] | None


class Refused(Wire, frozen=True, tag=9):
    """The request was not carried out; a code, never a text."""

    ref: Uint
    code: PeerCode


class Deliver(Wire, frozen=True, tag=10):
    """One item of the node's mailbox, by its place in it."""

    sequence: Uint
    item: ItemKind
    content: Annotated[bytes, Meta(max_length=MAX_SUBMISSION_BYTES)]


class Collected(Wire, frozen=True, tag=11):
    """Every item up to and including ``sequence`` is dealt with durably; move the cursor."""

    sequence: Uint


class Unusable(Wire, frozen=True, tag=12):
    """An item could not be used as delivered; it stays in the mailbox's history."""

    sequence: Uint
    code: PeerCode


class Mirror(Wire, frozen=True, tag=13):
    """The node asks for the community's documents from this index on."""

    index: Uint


class Documents(Wire, frozen=True, tag=14):
    """Documents from index ``first`` on; ``head`` is how many there are. Also sent unasked."""

    first: Uint
    documents: Annotated[
        tuple[Annotated[bytes, Meta(max_length=MAX_DOCUMENT_BYTES)], ...], Meta(max_length=256)
    ]
    head: Uint


class Ping(Wire, frozen=True, tag=20):
    """Are you there?"""

    token: Uint


class Pong(Wire, frozen=True, tag=21):
    """Yes."""

    token: Uint


class Bye(Wire, frozen=True, tag=22):
    """The session ends, with the reason's code."""

    code: PeerCode


Message: TypeAlias = (
    Hello
    | Challenge
    | Prove
    | Welcome
    | Submit
    | Attest
    | Publish
    | Accepted
    | Refused
    | Deliver
    | Collected
    | Unusable
    | Mirror
    | Documents
    | Ping
    | Pong
    | Bye
)
Request: TypeAlias = Submit | Attest | Publish
_KINDS: dict[int | str, type[Message]] = codec.tags_of(*get_args(Message))


def parse_message(data: bytes, *, limit: int = MAX_MESSAGE_BYTES) -> Message:
    """Parse one message; raises :class:`~protocol.errors.FormatError` and nothing else."""
    return codec.decode_one_of(data, _KINDS, limit=limit, what="message")
