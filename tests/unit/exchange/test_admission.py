"""What the coordinator lets in, and the code it answers when it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from exchange.coordinator.admission import MOST_STATEMENTS, Admission
from exchange.coordinator.budget import DOCUMENT_ALLOWANCE, Allowance, Budgets
from exchange.coordinator.waiting import Answer
from exchange.stores.contract import StoredEnvelope
from keys.documents import sign_document
from protocol import codec
from protocol.documents import Revocation
from protocol.envelope import Submission
from protocol.errors import KeyRevoked, OverQuota, PeerCode
from protocol.session.messages import Accepted, Refused
from protocol.signed import Context
from protocol.statement import StatementKind, parse_statement
from tests.clocks import FixedClock
from tests.community import community
from tests.coordinators import Inside, inside
from tests.envelopes import header, id_of, said, sent, submission

EVERYONE = community()
XAA, XBB = EVERYONE.members["XAA"], EVERYONE.members["XBB"]
HOUR_MS = 3600 * 1000


def code_of(answer: Answer) -> PeerCode | None:
    """Return the code of a refusal, or None."""
    return answer.code if isinstance(answer, Refused) else None


def changed(**changes: object) -> Submission:
    """Return a properly signed submission whose header has these changes."""
    return submission(header(EVERYONE, **changes), XAA.node)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spoiled", "code"),
    [
        (lambda: changed(suite=2), PeerCode.SUITE_REFUSED),
        (lambda: changed(key_id=bytes(32)), PeerCode.NOT_TRUSTED),
        (lambda: submission(header(EVERYONE), XBB.node), PeerCode.NOT_TRUSTED),
        (lambda: sent(EVERYONE, sender="XBB", to=("XCC",)), PeerCode.NOT_TRUSTED),
        (lambda: changed(to=("XBB", "XZZ")), PeerCode.NOT_ADDRESSED),
        (lambda: changed(now_ms=EVERYONE.now_ms - 73 * HOUR_MS), PeerCode.EXPIRED),
        (lambda: changed(now_ms=EVERYONE.now_ms + HOUR_MS), PeerCode.CLOCK_SKEW),
        (lambda: msgspec.structs.replace(changed(), payload=b"other"), PeerCode.TAMPERED),
        (lambda: msgspec.structs.replace(changed(), wraps=changed().wraps), PeerCode.TAMPERED),
        (lambda: msgspec.structs.replace(changed(), manifest=b"\x90"), PeerCode.MALFORMED),
    ],
)
async def test_each_bad_submission_gets_its_code_and_stores_nothing(
    tmp_path: Path, spoiled: Callable[[], Submission], code: PeerCode
) -> None:
    """The sender is told a coarse code, and nothing is kept or passed on."""
    async with inside(tmp_path) as here:
        assert code_of(await here.ask("XAA", spoiled())) is code
        assert (await here.store.cursor("XBB")).head == 0
        assert await here.store.statements(0, 10) == ()


async def relayed(here: Inside) -> bytes:
    """Relay one notice from XAA to XBB and return its id."""
    one = sent(EVERYONE, to=("XBB",))
    assert isinstance(await here.ask("XAA", one), Accepted)
    return id_of(one)


async def test_a_recipients_statements_are_admitted(tmp_path: Path) -> None:
    """A machine's receipt and a person's answer, each signed by its own role."""
    async with inside(tmp_path) as here:
        envelope = await relayed(here)
        for kind, code in ((StatementKind.RECEIVED, None), (StatementKind.DECLINED, "not-affected")):
            made = said(EVERYONE, "XBB", kind, envelope, code=code)
            assert isinstance(await here.ask("XBB", made.data), Accepted)


@pytest.mark.parametrize(
    ("party", "kind", "code"),
    [
        ("XCC", StatementKind.RECEIVED, PeerCode.NOT_ADDRESSED),
        ("XAA", StatementKind.RECEIVED, PeerCode.NOT_ADDRESSED),
        ("XBB", StatementKind.WITHDRAWN, PeerCode.NOT_ADDRESSED),
        ("XBB", StatementKind.SUPERSEDED, PeerCode.NOT_ADDRESSED),
        ("XBB", StatementKind.RELAYED, PeerCode.NOT_TRUSTED),
    ],
)
async def test_who_has_no_say_is_refused(
    tmp_path: Path, party: str, kind: StatementKind, code: PeerCode
) -> None:
    """Recipients answer, the sender withdraws, and nobody but a coordinator promises."""
    async with inside(tmp_path) as here:
        envelope = await relayed(here)
        signer = EVERYONE.hub if kind is StatementKind.RELAYED else None
        made = said(EVERYONE, party, kind, envelope, signer=signer)
        assert code_of(await here.ask(party, made.data)) is code


async def test_a_statement_about_an_unknown_envelope_is_answered_like_one_of_no_concern(
    tmp_path: Path,
) -> None:
    """Whether an envelope exists is not told to strangers."""
    async with inside(tmp_path) as here:
        made = said(EVERYONE, "XBB", StatementKind.RECEIVED, bytes(32))
        assert code_of(await here.ask("XBB", made.data)) is PeerCode.NOT_ADDRESSED


async def test_a_statement_brought_by_another_party_is_refused(tmp_path: Path) -> None:
    """Nobody speaks for another state, not even with its genuine words."""
    async with inside(tmp_path) as here:
        made = said(EVERYONE, "XBB", StatementKind.RECEIVED, await relayed(here))
        assert code_of(await here.ask("XCC", made.data)) is PeerCode.NOT_TRUSTED


async def test_a_changed_statement_is_refused(tmp_path: Path) -> None:
    """The signature covers every byte of it."""
    async with inside(tmp_path) as here:
        made = said(EVERYONE, "XBB", StatementKind.RECEIVED, await relayed(here))
        assert code_of(await here.ask("XBB", made.data[:-1])) is PeerCode.MALFORMED
        other = said(EVERYONE, "XBB", StatementKind.RECEIVED, bytes(32))
        forged = made.data.replace(made.data[-3300:], other.data[-3300:])
        assert code_of(await here.ask("XBB", forged)) is PeerCode.NOT_TRUSTED


async def test_nobody_speaks_of_one_envelope_without_end(tmp_path: Path) -> None:
    """A party's statements about one envelope are bounded; what it said before stands."""
    async with inside(tmp_path) as here:
        envelope = await relayed(here)
        answers = [
            code_of(await here.ask("XBB", said(EVERYONE, "XBB", StatementKind.RECEIVED, envelope).data))
            for _ in range(MOST_STATEMENTS + 1)
        ]
    assert answers == [None] * MOST_STATEMENTS + [PeerCode.OVER_QUOTA]


async def test_a_statement_by_the_wrong_role_is_refused(tmp_path: Path) -> None:
    """A node key cannot answer for a person, whatever the statement names as its key."""
    async with inside(tmp_path) as here:
        officers = said(EVERYONE, "XBB", StatementKind.ACCEPTED, await relayed(here))
        signed, statement = parse_statement(officers.data)
        for key_id in (statement.key_id, XBB.node.key_id):
            body = codec.encode(msgspec.structs.replace(statement, key_id=key_id))
            proof = XBB.node.sign(Context.STATEMENT, body)
            forged = codec.encode(msgspec.structs.replace(signed, body=body, proof=proof))
            assert code_of(await here.ask("XBB", forged)) is PeerCode.NOT_TRUSTED


@pytest.mark.parametrize("at_ms", [0, EVERYONE.now_ms])
def test_a_statement_by_a_revoked_key_is_refused_whatever_time_it_states(at_ms: int) -> None:
    """A stolen officer's key answers nothing from the revocation on, dated back or not."""
    trusted = EVERYONE.directory()
    held = trusted.documents.manifests["XBB"]
    revocation = Revocation(key_id=XBB.officer.key_id, reason="lost", at_ms=at_ms)
    document = msgspec.structs.replace(held.document, version=2, previous=held.hash, revoked=(revocation,))
    made = said(EVERYONE, "XBB", StatementKind.ACCEPTED, id_of(sent(EVERYONE)))
    clock = FixedClock(EVERYONE.now_ms)
    admission = Admission(trusted, EVERYONE.verifier, Budgets(DOCUMENT_ALLOWANCE), clock)
    unverified = admission.read_statement("XBB", made.data)
    envelope = StoredEnvelope(unverified.statement.envelope, "XAA", ("XBB",), 2**62, 0, b"", {})
    assert admission.admit_statement(unverified, envelope)
    trusted.update(sign_document(document, [XBB.identity]), EVERYONE.now_ms)
    with pytest.raises(KeyRevoked):
        admission.admit_statement(unverified, envelope)


async def test_a_member_that_floods_is_told_to_come_later(tmp_path: Path) -> None:
    """Its budget fills again with time; others are not touched."""
    small = Allowance(items_per_second=1, items_at_once=2, bytes_per_second=2**20, bytes_at_once=2**20)
    async with inside(tmp_path, allowance=small) as here:
        answers = [await here.ask("XAA", sent(EVERYONE, to=("XBB",))) for _ in range(3)]
        assert [code_of(answer) for answer in answers] == [None, None, PeerCode.OVER_QUOTA]
        other = sent(EVERYONE, sender="XBB", to=("XCC",))
        assert code_of(await here.ask("XBB", other)) is None
        here.clock.advance(1000)
        assert code_of(await here.ask("XAA", sent(EVERYONE, to=("XBB",)))) is None


def test_a_budget_counts_bytes_too() -> None:
    """Few large things weigh as much as many small ones."""
    budgets = Budgets(Allowance(items_per_second=9, items_at_once=9, bytes_per_second=10, bytes_at_once=100))
    budgets.charge("XAA", 100, 0.0)
    with pytest.raises(OverQuota):
        budgets.charge("XAA", 11, 1.0)
    budgets.charge("XAA", 20, 2.0)


def test_a_day_has_a_budget_of_its_own() -> None:
    """A member within its pace for hours still cannot fill everybody's disk; the day gives it back slowly."""
    pace = Allowance(items_per_second=9, items_at_once=9, bytes_per_second=100, bytes_at_once=100)
    day = Allowance(items_per_second=9, items_at_once=9, bytes_per_second=1, bytes_at_once=250)
    budgets = Budgets(pace, day)
    budgets.charge("XAA", 100, 0.0)
    budgets.charge("XAA", 100, 1.0)
    with pytest.raises(OverQuota):
        budgets.charge("XAA", 100, 2.0)
    budgets.charge("XAA", 50, 3.0)
    budgets.charge("XAA", 100, 150.0)
