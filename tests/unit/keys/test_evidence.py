"""A statement counts when the party it names signed it, with a key of the right role and time."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from msgspec.structs import replace

from keys.documents import sign_document
from keys.evidence import (
    NO_STATEMENT_YET,
    Chain,
    Made,
    Saying,
    draft_statement,
    make_statement,
    officer_name,
    sign_statements,
    verify_statement,
)
from keys.signer import Signer
from keys.trust import MAX_SKEW_MS, TrustedDirectory
from protocol import codec
from protocol.documents import Revocation, Role, StateStatus
from protocol.errors import (
    AlmenaraError,
    BadSignature,
    ClockSkew,
    FormatError,
    LocalProtocolError,
    SuiteRefused,
    UnknownSigner,
)
from protocol.signed import Context
from protocol.statement import (
    SIGNER_ROLE,
    SeenCheckpoint,
    SignedStatement,
    Statement,
    StatementKind,
    parse_statement,
    statement_id,
)
from tests.community import DAY_MS, HUB, NOW_MS, YEAR_MS, Community, signer
from tests.members import manifest, with_states

ENVELOPE = hashlib.sha256(b"envelope").digest()
PROOF = hashlib.sha256(b"proof").digest()
NONCE = hashlib.sha256(b"nonce").digest()

SAYINGS: dict[StatementKind, Saying] = {
    StatementKind.RECEIVED: Saying(kind=StatementKind.RECEIVED, envelope=ENVELOPE, decryption_proof=PROOF),
    StatementKind.OPENED: Saying(kind=StatementKind.OPENED, envelope=ENVELOPE, decryption_proof=PROOF),
    StatementKind.ACCEPTED: Saying(kind=StatementKind.ACCEPTED, envelope=ENVELOPE, decryption_proof=PROOF),
    StatementKind.COMPLETED: Saying(kind=StatementKind.COMPLETED, envelope=ENVELOPE, decryption_proof=PROOF),
    StatementKind.DECLINED: Saying(
        kind=StatementKind.DECLINED, envelope=ENVELOPE, decryption_proof=PROOF, code="not-affected"
    ),
    StatementKind.REJECTED: Saying(kind=StatementKind.REJECTED, envelope=ENVELOPE, code="cannot-open"),
    StatementKind.WITHDRAWN: Saying(kind=StatementKind.WITHDRAWN, envelope=ENVELOPE),
    StatementKind.SUPERSEDED: Saying(kind=StatementKind.SUPERSEDED, envelope=ENVELOPE),
    StatementKind.RELAYED: Saying(kind=StatementKind.RELAYED, envelope=ENVELOPE),
    StatementKind.UNDELIVERED: Saying(
        kind=StatementKind.UNDELIVERED, envelope=ENVELOPE, about="XBB", code="expired"
    ),
    StatementKind.DIRECTORY: Saying(
        kind=StatementKind.DIRECTORY,
        envelope=ENVELOPE,
        seen=SeenCheckpoint(origin="hub.example/dir", size=9, root=ENVELOPE),
    ),
}


def who_says(built: Community, kind: StatementKind) -> tuple[str, Signer]:
    mine = built.members["XAA"]
    return {
        Role.NODE: ("XAA", mine.node),
        Role.OFFICER: ("XAA", mine.officer),
        Role.COORDINATOR: (HUB, built.hub),
    }[SIGNER_ROLE[kind]]


def say(
    built: Community,
    trusted: TrustedDirectory,
    kind: StatementKind = StatementKind.RECEIVED,
    *,
    at_ms: int = NOW_MS,
    chain: Chain = NO_STATEMENT_YET,
) -> Made:
    party, one = who_says(built, kind)
    return make_statement(
        SAYINGS[kind],
        party=party,
        signer=one,
        at_ms=at_ms,
        nonce=NONCE,
        directory=trusted.head(),
        chain=chain,
    )


def forged(made: Made, one: Signer, **changes: Any) -> bytes:
    """Return the statement with other fields, signed by a key whatever its role."""
    _, statement = parse_statement(made.data)
    body = codec.encode(replace(statement, **{"key_id": one.key_id, **changes}))
    return codec.encode(SignedStatement(body=body, proof=one.sign(Context.STATEMENT, body)))


def refused(
    built: Community,
    trusted: TrustedDirectory,
    data: bytes,
    error: type[AlmenaraError],
    *,
    now_ms: int = NOW_MS,
) -> None:
    with pytest.raises(error) as caught:
        verify_statement(trusted, built.verifier, data, now_ms)
    assert type(caught.value) is error


@pytest.mark.parametrize("kind", StatementKind)
def test_every_kind_is_made_and_verified(
    built: Community, trusted: TrustedDirectory, kind: StatementKind
) -> None:
    """Each by the role that may say it, over exactly these bytes."""
    made = say(built, trusted, kind)
    statement = verify_statement(trusted, built.verifier, made.data, NOW_MS)
    assert statement.kind is kind
    assert statement.party == who_says(built, kind)[0]
    assert statement.directory == trusted.head()
    assert made.statement_id == statement_id(parse_statement(made.data)[0].body)


@pytest.mark.parametrize("kind", StatementKind)
@pytest.mark.parametrize("role", [Role.NODE, Role.OFFICER, Role.COORDINATOR])
def test_a_key_of_another_role_can_neither_say_it_nor_be_believed(
    built: Community, trusted: TrustedDirectory, kind: StatementKind, role: Role
) -> None:
    """A machine never answers for a person, nor a person for a machine."""
    if role is SIGNER_ROLE[kind]:
        return
    party, one = {
        Role.NODE: ("XAA", built.members["XAA"].node),
        Role.OFFICER: ("XAA", built.members["XAA"].officer),
        Role.COORDINATOR: (HUB, built.hub),
    }[role]
    with pytest.raises(LocalProtocolError, match=f"may not say {kind.name}"):
        make_statement(
            SAYINGS[kind],
            party=party,
            signer=one,
            at_ms=NOW_MS,
            nonce=NONCE,
            directory=trusted.head(),
            chain=NO_STATEMENT_YET,
        )
    refused(built, trusted, forged(say(built, trusted, kind), one, party=party), UnknownSigner)


def test_a_state_cannot_claim_the_relay(built: Community, trusted: TrustedDirectory) -> None:
    """RELAYED is the coordinator's promise; a state's code has no such key."""
    made = say(built, trusted, StatementKind.RELAYED)
    refused(built, trusted, forged(made, built.hub, party="XAA"), UnknownSigner)


def test_a_statement_in_another_states_name_is_refused(built: Community, trusted: TrustedDirectory) -> None:
    """A key speaks for the state that lists it."""
    made = say(built, trusted)
    refused(built, trusted, forged(made, built.members["XBB"].node), UnknownSigner)
    refused(built, trusted, forged(made, built.members["XAA"].node, party="XBB"), UnknownSigner)


def test_a_statement_by_a_key_outside_its_window_is_refused(
    built: Community, trusted: TrustedDirectory
) -> None:
    """Too early or too late by the statement's own time."""
    early = say(built, trusted, at_ms=NOW_MS - 2 * DAY_MS)
    refused(built, trusted, early.data, UnknownSigner)
    late = say(built, trusted, at_ms=NOW_MS + YEAR_MS)
    refused(built, trusted, late.data, UnknownSigner, now_ms=NOW_MS + YEAR_MS)


def test_a_statement_that_arrives_after_a_revocation_is_judged_by_its_place(
    built: Community, trusted: TrustedDirectory
) -> None:
    """What an officer answered stays an answer, whatever time the state's revocation claims (threat 22)."""
    answer = say(built, trusted, StatementKind.ACCEPTED, at_ms=NOW_MS - 25)
    revoked = Revocation(key_id=built.members["XAA"].officer.key_id, reason="lost", at_ms=NOW_MS - 50)
    document = manifest(trusted, revoked=(revoked,))
    trusted.update(sign_document(document, [built.members["XAA"].identity]), NOW_MS)
    assert verify_statement(trusted, built.verifier, answer.data, NOW_MS)


def test_a_statement_by_a_key_nobody_listed_is_refused(built: Community, trusted: TrustedDirectory) -> None:
    """A good signature by an unknown key is worth nothing."""
    refused(built, trusted, forged(say(built, trusted), signer("XZZ", Role.NODE)), UnknownSigner)


def test_a_suspended_states_statement_is_refused(built: Community, trusted: TrustedDirectory) -> None:
    """While suspended it takes no part."""
    made = say(built, trusted)
    first, *rest = trusted.states()
    with_states(built, trusted, replace(first, status=StateStatus.SUSPENDED), *rest)
    refused(built, trusted, made.data, UnknownSigner)


def test_a_statement_from_the_future_is_refused(built: Community, trusted: TrustedDirectory) -> None:
    """Ten minutes are allowed for two clocks to differ."""
    assert verify_statement(
        trusted, built.verifier, say(built, trusted, at_ms=NOW_MS + MAX_SKEW_MS).data, NOW_MS
    )
    refused(built, trusted, say(built, trusted, at_ms=NOW_MS + MAX_SKEW_MS + 1).data, ClockSkew)


def test_a_statement_of_a_suite_not_allowed_is_refused(built: Community, trusted: TrustedDirectory) -> None:
    """A downgrade would need the root's custodians."""
    made = say(built, trusted)
    refused(built, trusted, forged(made, built.members["XAA"].node, suite=2), SuiteRefused)


def test_a_statement_with_another_statements_proof_is_refused(
    built: Community, trusted: TrustedDirectory
) -> None:
    """The signature covers the bytes, not the sender."""
    one = parse_statement(say(built, trusted).data)[0]
    two = parse_statement(say(built, trusted, StatementKind.REJECTED).data)[0]
    mixed = codec.encode(SignedStatement(body=one.body, proof=two.proof))
    refused(built, trusted, mixed, BadSignature)


def test_a_batch_costs_one_signature_and_each_statement_stands_alone(
    built: Community, trusted: TrustedDirectory
) -> None:
    """A burst is signed once; every one verifies without the others."""
    drafts, chain = [], NO_STATEMENT_YET
    for number in range(5):
        draft = draft_statement(
            SAYINGS[StatementKind.RECEIVED],
            party="XAA",
            signer=built.members["XAA"].node,
            at_ms=NOW_MS + number,
            nonce=NONCE,
            directory=trusted.head(),
            chain=chain,
        )
        drafts.append(draft)
        chain = draft.chain
    signed = sign_statements(built.members["XAA"].node, drafts)
    assert len({parse_statement(data)[0].proof.signature for data in signed}) == 1
    for data in reversed(signed):
        assert verify_statement(trusted, built.verifier, data, NOW_MS)


def test_statements_of_one_key_are_chained(built: Community, trusted: TrustedDirectory) -> None:
    """A missing statement shows at the next one."""
    first = say(built, trusted)
    second = say(built, trusted, chain=first.chain)
    statements: list[Statement] = [parse_statement(made.data)[1] for made in (first, second)]
    assert [item.sequence for item in statements] == [1, 2]
    assert statements[1].previous == first.statement_id == first.chain.previous
    assert second.chain == Chain(2, second.statement_id)


def test_a_saying_that_does_not_fit_its_kind_is_not_made(built: Community, trusted: TrustedDirectory) -> None:
    """What is sent from here is never refused for its form there."""
    with pytest.raises(FormatError):
        make_statement(
            Saying(kind=StatementKind.RECEIVED, envelope=ENVELOPE),
            party="XAA",
            signer=built.members["XAA"].node,
            at_ms=NOW_MS,
            nonce=NONCE,
            directory=trusted.head(),
            chain=NO_STATEMENT_YET,
        )


def test_an_officers_answer_has_a_name_and_a_machines_has_none(
    built: Community, trusted: TrustedDirectory
) -> None:
    """The sender sees who answered, as the answering state names its officer."""
    for kind, name in ((StatementKind.ACCEPTED, "officer of XAA"), (StatementKind.RECEIVED, None)):
        statement = verify_statement(trusted, built.verifier, say(built, trusted, kind).data, NOW_MS)
        assert officer_name(trusted, statement) == name
