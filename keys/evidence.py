"""Making and verifying statements: who says what about an envelope.

No content is opened here: a coordinator uses this module, and cannot read. Nor is a statement's
``decryption_proof`` checked, which only the notice's sender can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from keys.roster import Roster
from keys.signer import Signer, Verifier
from keys.trust import MAX_SKEW_MS
from protocol import codec
from protocol.documents import Role
from protocol.errors import ClockSkew, LocalProtocolError
from protocol.notice import DirectoryHead
from protocol.signed import Context
from protocol.statement import (
    CHAIN_START,
    SIGNER_ROLE,
    SealedDetail,
    SeenCheckpoint,
    SignedStatement,
    Statement,
    StatementKind,
    check_layout,
    parse_statement,
    statement_id,
)
from protocol.suite import SUITE_1
from protocol.text import format_utc


class Chain(NamedTuple):
    """The last statement of one key: its sequence number, and its id.

    It must be stored together with the statement, and before the statement is sent: a number
    used twice looks to everyone like a fork.
    """

    sequence: int
    previous: bytes


NO_STATEMENT_YET = Chain(sequence=0, previous=CHAIN_START)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """What is to be said about an envelope; the fields as in :class:`Statement`."""

    kind: StatementKind
    envelope: bytes
    about: str | None = None
    code: str | None = None
    decryption_proof: bytes | None = None
    detail: SealedDetail | None = None
    seen: SeenCheckpoint | None = None


class Draft(NamedTuple):
    """A statement's bytes before they are signed, its id, and the chain after it."""

    body: bytes
    statement_id: bytes
    chain: Chain


class Made(NamedTuple):
    """A signed statement's bytes, its id, and the chain after it."""

    data: bytes
    statement_id: bytes
    chain: Chain


def draft_statement(
    saying: Saying,
    *,
    party: str,
    signer: Signer,
    at_ms: int,
    nonce: bytes,
    directory: DirectoryHead,
    chain: Chain,
) -> Draft:
    """Write a statement for this key, to be signed alone or in a batch.

    Args:
        saying: What is said.
        party: The code of the state or coordinator that says it.
        signer: The key that will sign; its role must be the one for this kind.
        at_ms: The time now, milliseconds UTC.
        nonce: 32 fresh random bytes, so that the statement's hash tells nothing about it.
        directory: The head of the directory from which this party resolves keys.
        chain: This key's last statement, or :data:`NO_STATEMENT_YET`.

    Raises:
        LocalProtocolError: a key of this role may not say this.
        FormatError: a field does not fit the kind.
    """
    if SIGNER_ROLE[saying.kind] is not signer.role:
        raise LocalProtocolError(f"a {signer.role} key may not say {saying.kind.name}")
    statement = Statement(
        v=1,
        suite=SUITE_1,
        kind=saying.kind,
        party=party,
        key_id=signer.key_id,
        nonce=nonce,
        envelope=saying.envelope,
        at_ms=at_ms,
        sequence=chain.sequence + 1,
        previous=chain.previous,
        directory=directory,
        seen=saying.seen,
        about=saying.about,
        code=saying.code,
        decryption_proof=saying.decryption_proof,
        detail=saying.detail,
    )
    check_layout(statement)
    body = codec.encode(statement)
    name = statement_id(body)
    return Draft(body, name, Chain(statement.sequence, name))


def sign_statements(signer: Signer, drafts: Sequence[Draft]) -> list[bytes]:
    """Return the signed form of 1..256 drafts of this key, at the cost of one signature."""
    bodies = [draft.body for draft in drafts]
    proofs = signer.sign_batch(Context.STATEMENT, bodies)
    return [
        codec.encode(SignedStatement(body=body, proof=proof))
        for body, proof in zip(bodies, proofs, strict=True)
    ]


def make_statement(
    saying: Saying,
    *,
    party: str,
    signer: Signer,
    at_ms: int,
    nonce: bytes,
    directory: DirectoryHead,
    chain: Chain,
) -> Made:
    """Write and sign one statement; arguments and errors as :func:`draft_statement`."""
    draft = draft_statement(
        saying, party=party, signer=signer, at_ms=at_ms, nonce=nonce, directory=directory, chain=chain
    )
    return Made(sign_statements(signer, [draft])[0], draft.statement_id, draft.chain)


def verify_statement(directory: Roster, verifier: Verifier, data: bytes, now_ms: int | None) -> Statement:
    """Return a statement that the party it names has truly signed.

    The key must have the role that this kind asks for, be the party's own in the trusted
    directory, and be valid at the time that the statement states. A revocation counts from its
    place in the log on: whoever admits a new statement asks for that beside this. Whether the statement is
    news, and continues its key's chain, is for the caller's records to say.

    Args:
        directory: Where keys are looked up.
        verifier: Checks the signature over the received bytes.
        data: The signed statement exactly as received.
        now_ms: The time now, milliseconds UTC; or None where the reader's own clock is no judge:
            a node whose clock is a day behind must not lose what others truly said.

    Raises:
        FormatError: it is not well formed, or a field does not fit the kind.
        SuiteRefused, UnknownSigner, BadSignature: it may not be believed.
        ClockSkew: it claims to be made more than ten minutes from ``now_ms``.
    """
    signed, statement = parse_statement(data)
    check_statement(directory, verifier, signed, statement, now_ms)
    return statement


def check_statement(
    directory: Roster,
    verifier: Verifier,
    signed: SignedStatement,
    statement: Statement,
    now_ms: int | None,
    *,
    late: bool = False,
) -> None:
    """Return only if a statement that was parsed already is truly signed; errors as above.

    Args:
        directory: Where keys are looked up.
        verifier: Checks the signature over the received bytes.
        signed: What :func:`protocol.statement.parse_statement` returned,
        statement: both parts together.
        now_ms: As above.
        late: A coordinator has recorded it, and it only arrives now: its party may have been suspended
            since, by a later directory than the one that the statement names.
    """
    directory.require_suite(statement.suite)
    if now_ms is not None and statement.at_ms > now_ms + MAX_SKEW_MS:
        raise ClockSkew(f"the statement claims to be made at {format_utc(statement.at_ms)}")
    role = SIGNER_ROLE[statement.kind]
    # The coordinator's kinds ask for the role COORDINATOR, which only coordinators' codes have.
    key = directory.signer_key(
        statement.party,
        statement.key_id,
        role,
        statement.at_ms,
        knew=statement.directory.version,
        late=late,
    )
    verifier.verify(key, role, Context.STATEMENT, signed.body, signed.proof)


def officer_name(directory: Roster, statement: Statement, *, late: bool = False) -> str | None:
    """Return who answered, as the state's manifest names the officer; None for a machine's.

    ``late`` as in :func:`check_statement`.

    Raises:
        UnknownSigner: the manifest no longer lists that key for that time.
    """
    if SIGNER_ROLE[statement.kind] is not Role.OFFICER:
        return None
    knew = statement.directory.version if late else None
    return directory.officer_name(statement.party, statement.key_id, statement.at_ms, knew=knew)
