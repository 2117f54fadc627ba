"""Statements: which fields belong to which kind, and which role may say it."""

from __future__ import annotations

from typing import Any

import pytest

from protocol import codec
from protocol.documents import Role
from protocol.errors import FormatError, TooLarge
from protocol.statement import (
    CHAIN_START,
    MAX_DETAIL_BYTES,
    MAX_SIGNED_STATEMENT_BYTES,
    MAX_STATEMENT_BYTES,
    NEEDS_CODE,
    PROVES_DECRYPTION,
    SIGNER_ROLE,
    DeclineReason,
    SealedDetail,
    SeenCheckpoint,
    SignedStatement,
    Statement,
    StatementKind,
    check_layout,
    parse_statement,
    statement_id,
)
from tests.vectors import examples
from tests.vectors.world import packed, statement

K = StatementKind
HASH = bytes(range(32))
NOTE = SealedDetail(prekey_id=HASH, sealed=bytes(1648))


def right(kind: StatementKind, **changes: Any) -> Statement:
    """Return a statement whose fields are the ones that its kind asks for."""
    fields: dict[str, Any] = {}
    if kind in NEEDS_CODE:
        fields["code"] = "not-affected" if kind is K.DECLINED else "expired"
    if kind in PROVES_DECRYPTION:
        fields["decryption_proof"] = HASH
    if kind is K.UNDELIVERED:
        fields["about"] = "XCC"
    if kind is K.DIRECTORY:
        fields["seen"] = SeenCheckpoint(origin="hub.example/dir", size=9, root=HASH)
    return statement(kind, HASH, **{**fields, **changes})


def refused(wrong: Statement, match: str) -> None:
    with pytest.raises(FormatError, match=match):
        check_layout(wrong)


def test_a_signed_statement_comes_back() -> None:
    """With its exact body bytes, whose hash is its id."""
    sent = examples.signed(examples.received(), "node")
    signed, said = parse_statement(packed(sent))
    assert (signed, said) == (sent, examples.received())
    assert statement_id(signed.body) == statement_id(codec.encode(said))


@pytest.mark.parametrize("kind", StatementKind)
def test_every_kind_has_one_role_and_a_right_form(kind: StatementKind) -> None:
    """No kind is forgotten in the tables."""
    assert SIGNER_ROLE[kind] in {Role.NODE, Role.OFFICER, Role.COORDINATOR}
    check_layout(right(kind))


def test_a_machine_never_answers_for_a_person() -> None:
    """What a person decides is signed by an officer's key, and nothing else is."""
    persons = {kind for kind, role in SIGNER_ROLE.items() if role is Role.OFFICER}
    assert persons == {K.OPENED, K.ACCEPTED, K.COMPLETED, K.DECLINED}


@pytest.mark.parametrize("kind", StatementKind)
def test_a_field_too_many_or_too_few_is_refused(kind: StatementKind) -> None:
    """There are no optional fields but the note and the checkpoint."""
    refused(right(kind, code=None if kind in NEEDS_CODE else "expired"), "code")
    refused(right(kind, decryption_proof=None if kind in PROVES_DECRYPTION else HASH), "decryption_proof")
    refused(right(kind, about=None if kind is K.UNDELIVERED else "XCC"), "about")


@pytest.mark.parametrize("kind", StatementKind)
def test_only_a_person_writes_a_note(kind: StatementKind) -> None:
    """A machine has nothing to add."""
    noted = right(kind, detail=NOTE)
    if SIGNER_ROLE[kind] is Role.OFFICER:
        check_layout(noted)
    else:
        refused(noted, "note")


def test_a_word_about_the_directory_log_names_its_checkpoint() -> None:
    """Without the checkpoint, or with another root in it, nobody knows which documents count."""
    refused(right(K.DIRECTORY, seen=None), "DIRECTORY")
    refused(
        right(K.DIRECTORY, seen=SeenCheckpoint(origin="hub.example/dir", size=9, root=bytes(32))), "DIRECTORY"
    )


def test_declining_has_one_of_seven_reasons() -> None:
    """A reason that nobody else knows helps nobody."""
    for reason in DeclineReason:
        check_layout(right(K.DECLINED, code=reason.value))
    refused(right(K.DECLINED, code="expired"), "reason")


def test_only_the_first_statement_of_a_key_follows_nothing() -> None:
    """The chain has one beginning."""
    check_layout(right(K.WITHDRAWN, sequence=2, previous=HASH))
    refused(right(K.WITHDRAWN, sequence=2, previous=CHAIN_START), "sequence")
    refused(right(K.WITHDRAWN, sequence=1, previous=HASH), "sequence")


def test_a_wrong_layout_does_not_parse() -> None:
    """The rules are asked on the way in."""
    proof = examples.signed(examples.received(), "node").proof
    with pytest.raises(FormatError, match="decryption_proof"):
        parse_statement(packed(SignedStatement(body=packed(statement(K.RECEIVED, HASH)), proof=proof)))


def test_the_longest_statement_fits_and_a_longer_one_is_not_parsed() -> None:
    """The longest note, line and code, and the longest path."""
    longest = right(
        K.DECLINED,
        party="X" * 16,
        sequence=2**63 - 1,
        previous=HASH,
        seen=SeenCheckpoint(origin="日" * 200, size=2**63 - 1, root=HASH),
        detail=SealedDetail(prekey_id=HASH, sealed=bytes(MAX_DETAIL_BYTES)),
    )
    body = codec.encode(longest)
    assert len(body) <= MAX_STATEMENT_BYTES
    proof = examples.signed(examples.received(), "node").proof
    assert len(packed(SignedStatement(body=body, proof=proof))) + 8 * 34 <= MAX_SIGNED_STATEMENT_BYTES
    with pytest.raises(TooLarge):
        parse_statement(bytes(MAX_SIGNED_STATEMENT_BYTES + 1))
