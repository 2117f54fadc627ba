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
from protocol.ledger.origins import Log
from protocol.notice import DirectoryHead
from protocol.signed import Proof
from protocol.statement import MAX_SIGNED_STATEMENT_BYTES

VERSIONS: tuple[int, ...] = (1,)
MAX_MESSAGE_BYTES = 2 * 1024 * 1024
MAX_HANDSHAKE_BYTES = 16 * 1024
MAX_DOCUMENTS_BYTES = 1024 * 1024
MAX_WITNESS_BYTES = 256 * 1024
MAX_COSIGNED_BYTES = 16 * 1024
MAX_CHECKPOINT_BYTES = 1024 * 1024
MAX_LOCATE = 64
MAX_PROOF_HASHES = 63
"""The longest proof of C2SP tlog-witness and tlog-proof: one hash for each level of the tree."""


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


class Witness(Wire, frozen=True, tag=15):
    """The coordinator asks the node to cosign a checkpoint: the body of a C2SP ``add-checkpoint``."""

    log: Log
    body: Annotated[bytes, Meta(max_length=MAX_WITNESS_BYTES)]


class Cosigned(Wire, frozen=True, tag=16):
    """The node's answer as a witness: the status and body of C2SP ``add-checkpoint``.

    ``held`` is the checkpoint that the node cosigned last, with the log's own signatures, where the
    answer contradicts the coordinator: the log stops for what it has signed, not for what is said.
    """

    log: Log
    status: U16
    body: Annotated[bytes, Meta(max_length=MAX_COSIGNED_BYTES)]
    held: Annotated[bytes, Meta(max_length=MAX_COSIGNED_BYTES)] | None


class Witnessed(Wire, frozen=True, tag=17):
    """The newest checkpoint that a quorum of witnesses has cosigned. Sent unasked."""

    log: Log
    checkpoint: Annotated[bytes, Meta(max_length=MAX_CHECKPOINT_BYTES)]


class Locate(Wire, frozen=True, tag=18):
    """The node asks where these statements stand in the log of statements."""

    statements: Annotated[tuple[Bytes32, ...], Meta(min_length=1, max_length=MAX_LOCATE)]


class Place(Wire, frozen=True):
    """Where one statement stands: its leaf's index and time, and the path from there to the root."""

    statement: Bytes32
    index: Uint
    at_ms: Millis
    path: Annotated[tuple[Bytes32, ...], Meta(max_length=MAX_PROOF_HASHES)]


class Located(Wire, frozen=True, tag=19):
    """Those of the statements asked for that stand under this checkpoint, with their proofs."""

    checkpoint: Annotated[bytes, Meta(max_length=MAX_CHECKPOINT_BYTES)]
    places: Annotated[tuple[Place, ...], Meta(max_length=MAX_LOCATE)]


class Compare(Wire, frozen=True, tag=23):
    """The node asks how a log grew from one size to another."""

    log: Log
    old: Uint
    new: Uint


class Compared(Wire, frozen=True, tag=24):
    """The proof that the log of ``new`` leaves begins with that of ``old``; ``new`` 0: not told."""

    log: Log
    old: Uint
    new: Uint
    proof: Annotated[tuple[Bytes32, ...], Meta(max_length=MAX_PROOF_HASHES)]


class Ahead(Wire, frozen=True, tag=25):
    """An urgent envelope of the node's mailbox before its turn; it is delivered again in its turn."""

    content: Annotated[bytes, Meta(max_length=MAX_SUBMISSION_BYTES)]


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
    | Witness
    | Cosigned
    | Witnessed
    | Locate
    | Located
    | Ping
    | Pong
    | Bye
    | Compare
    | Compared
    | Ahead
)
Request: TypeAlias = Submit | Attest | Publish
_KINDS: dict[int | str, type[Message]] = codec.tags_of(*get_args(Message))


def parse_message(data: bytes, *, limit: int = MAX_MESSAGE_BYTES) -> Message:
    """Parse one message; raises :class:`~protocol.errors.FormatError` and nothing else."""
    return codec.decode_one_of(data, _KINDS, limit=limit, what="message")
