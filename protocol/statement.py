"""Statements: small signed facts about an envelope. See ``spec/statement.md``.

A machine's RECEIVED and a person's OPENED, ACCEPTED, DECLINED or COMPLETED are different
kinds, signed by keys of different roles.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Annotated, Literal

from msgspec import Meta

from protocol import codec
from protocol.digest import tagged
from protocol.documents import Role
from protocol.errors import FormatError
from protocol.fields import U16, Bytes32, Line, Millis, Slug, StateCode, Uint, Wire
from protocol.notice import DirectoryHead
from protocol.signed import Proof

MAX_DETAIL_BYTES = 16 * 1024
MAX_STATEMENT_BYTES = MAX_DETAIL_BYTES + 2048
MAX_SIGNED_STATEMENT_BYTES = MAX_STATEMENT_BYTES + 4096
CHAIN_START = bytes(32)
MERGE_DELAY_MS = 60_000
"""What RELAYED promises: the statement is in a signed checkpoint of the ledger so soon after its time."""


class StatementKind(IntEnum):
    """What is being said about the envelope."""

    RECEIVED = 1
    OPENED = 2
    ACCEPTED = 3
    COMPLETED = 4
    DECLINED = 5
    REJECTED = 6
    WITHDRAWN = 16
    SUPERSEDED = 17
    RELAYED = 32
    UNDELIVERED = 33
    DIRECTORY = 48


class DeclineReason(StrEnum):
    """Why a state declines. Declining is a valid answer."""

    NOT_AFFECTED = "not-affected"
    NOT_COMPETENT = "not-competent"
    NO_CAPACITY = "no-capacity"
    NOT_ENOUGH_INFORMATION = "not-enough-information"
    LEGAL_OBSTACLE = "legal-obstacle"
    HANDLED_ELSEWHERE = "handled-elsewhere"
    OTHER = "other"


SIGNER_ROLE: dict[StatementKind, Role] = {
    StatementKind.RECEIVED: Role.NODE,
    StatementKind.REJECTED: Role.NODE,
    StatementKind.WITHDRAWN: Role.NODE,
    StatementKind.SUPERSEDED: Role.NODE,
    StatementKind.OPENED: Role.OFFICER,
    StatementKind.ACCEPTED: Role.OFFICER,
    StatementKind.COMPLETED: Role.OFFICER,
    StatementKind.DECLINED: Role.OFFICER,
    StatementKind.RELAYED: Role.COORDINATOR,
    StatementKind.UNDELIVERED: Role.COORDINATOR,
    StatementKind.DIRECTORY: Role.COORDINATOR,
}
"""Which role signs which kind: a machine can never answer for a person."""

NEEDS_CODE = frozenset({StatementKind.DECLINED, StatementKind.REJECTED, StatementKind.UNDELIVERED})
PROVES_DECRYPTION = frozenset(
    {
        StatementKind.RECEIVED,
        StatementKind.OPENED,
        StatementKind.ACCEPTED,
        StatementKind.COMPLETED,
        StatementKind.DECLINED,
    }
)


class SeenCheckpoint(Wire, frozen=True):
    """The newest ledger checkpoint that the signer had verified; nil before the first."""

    origin: Line
    size: Uint
    root: Bytes32


class SealedDetail(Wire, frozen=True):
    """Free text for the notice's sender only: HPKE output under the prekey with this id."""

    prekey_id: Bytes32
    sealed: Annotated[bytes, Meta(max_length=MAX_DETAIL_BYTES)]


class Statement(Wire, frozen=True):
    """One fact about one envelope, by one key, chained to that key's statement before.

    DIRECTORY alone speaks of no envelope: from its leaf on, statements are judged by the documents
    of the directory log up to the checkpoint in ``seen``, and ``envelope`` is that checkpoint's root.

    ``sequence`` starts at 1 and ``previous`` is the id of the same key's statement before, or
    32 zero bytes for the first: a missing statement shows at the next one.
    """

    v: Literal[1]
    suite: U16
    kind: StatementKind
    party: StateCode
    key_id: Bytes32
    nonce: Bytes32
    envelope: Bytes32
    at_ms: Millis
    sequence: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    previous: Bytes32
    directory: DirectoryHead
    seen: SeenCheckpoint | None
    about: StateCode | None
    code: Slug | None
    decryption_proof: Bytes32 | None
    detail: SealedDetail | None


class SignedStatement(Wire, frozen=True, tag="alm1-statement"):
    """A statement's exact bytes with the signature over them."""

    body: Annotated[bytes, Meta(max_length=MAX_STATEMENT_BYTES)]
    proof: Proof


def parse_statement(data: bytes) -> tuple[SignedStatement, Statement]:
    """Parse a signed statement and check what its layout promises; the signature is not checked.

    Raises:
        FormatError: a bound is broken, or a field does not fit the kind.
    """
    signed = codec.decode(data, SignedStatement, limit=MAX_SIGNED_STATEMENT_BYTES, what="statement")
    statement = codec.decode(signed.body, Statement, limit=MAX_STATEMENT_BYTES, what="statement body")
    check_layout(statement)
    return signed, statement


def check_layout(statement: Statement) -> None:
    """Check that the optional fields are the ones this kind has.

    Raises:
        FormatError: one is missing, or one is there that must not be.
    """
    kind = statement.kind
    if (statement.code is not None) != (kind in NEEDS_CODE):
        raise FormatError(f"{kind.name} and the field code do not fit")
    if (statement.decryption_proof is not None) != (kind in PROVES_DECRYPTION):
        raise FormatError(f"{kind.name} and the field decryption_proof do not fit")
    if (statement.about is not None) != (kind is StatementKind.UNDELIVERED):
        raise FormatError(f"{kind.name} and the field about do not fit")
    if statement.detail is not None and SIGNER_ROLE[kind] is not Role.OFFICER:
        raise FormatError(f"{kind.name} cannot carry a note")
    if kind is StatementKind.DIRECTORY and (
        statement.seen is None or statement.seen.root != statement.envelope
    ):
        raise FormatError("DIRECTORY and the fields seen and envelope do not fit")
    if kind is StatementKind.DECLINED and statement.code not in set(DeclineReason):
        raise FormatError("the reason for declining is not one of the known reasons")
    if (statement.sequence == 1) != (statement.previous == CHAIN_START):
        raise FormatError("sequence and previous do not fit each other")


def statement_id(body: bytes) -> bytes:
    """Return the statement's name: the hash of its bytes, signature excluded."""
    return tagged("aid", body)
