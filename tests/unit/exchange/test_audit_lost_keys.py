"""What an audit makes of keys that were revoked, stolen, expired, or of a suspended state."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from exchange.audit.verdict import Grade, Outcome
from keys import governance
from keys.sealing import SealedNotice
from protocol.documents import Compromise, StateStatus
from tests.audits import K, audit, failures, finding, revoke, sealed, writer
from tests.bundles import HOUR_MS, SECOND_MS, Writer, publish, saying
from tests.community import DAY_MS, HUB, YEAR_MS

FIXTURES = (sealed, writer)
"""A ledger that is written, and a notice in it."""


def test_a_revocation_voids_what_is_logged_after_it_whatever_time_it_states(
    writer: Writer, sealed: SealedNotice
) -> None:
    """A stolen key cannot be used by stating an earlier time."""
    earlier = writer.now_ms
    writer.now_ms += HOUR_MS
    revoke(writer, "XBB", writer.now_ms)
    leaf = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"), said_ms=earlier)
    assert failures(audit(writer.bundle())) == [("signer", leaf)]


def test_a_revocation_does_not_void_what_was_logged_before_it(writer: Writer, sealed: SealedNotice) -> None:
    """A state cannot take back what it said by dating its revocation back."""
    writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))
    writer.now_ms += HOUR_MS
    revoke(writer, "XBB", writer.now_ms - 2 * HOUR_MS)
    writer.say("XCC", saying(K.RECEIVED, sealed, "XCC"))
    verdict = audit(writer.bundle())
    assert verdict.verdict is Outcome.OK, verdict.findings
    assert ("revoked", "XBB") in {(one.event, one.party) for one in verdict.keys}


def confirm(writer: Writer, code: str, since_ms: int, key_id: bytes | None = None) -> None:
    """Log a directory that confirms that a key, a state's node key by default, was compromised."""
    key_id = writer.built.members[code].node.key_id if key_id is None else key_id
    trusted = writer.trusted
    document = governance.next_directory(
        trusted,
        trusted.states(),
        trusted.coordinators(),
        now_ms=writer.now_ms,
        life_ms=YEAR_MS,
        compromised=[Compromise(party=code, key_id=key_id, since_ms=since_ms)],
    )
    writer.document(writer.built.signed_by_governance(document))


def stolen(writer: Writer, sealed: SealedNotice) -> tuple[int, int, int]:
    """Log what XBB said before and after a time that witnesses know; return both leaves, and the time."""
    before = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))
    writer.milestone()
    writer.now_ms += HOUR_MS
    since_ms = writer.now_ms
    other = writer.notice("XCC", ("XBB",))
    # The thief dates it back; the witnesses know better.
    after = writer.say("XBB", saying(K.RECEIVED, other, "XBB"), said_ms=since_ms - 2 * SECOND_MS)
    writer.now_ms += SECOND_MS
    return before, after, since_ms


def test_a_confirmed_compromise_makes_doubtful_what_was_witnessed_since(
    writer: Writer, sealed: SealedNotice
) -> None:
    """What the thief may have said counts nothing and is named; what was witnessed before stays valid."""
    before, after, since_ms = stolen(writer, sealed)
    confirm(writer, "XBB", since_ms)
    writer.say("XCC", saying(K.RECEIVED, sealed, "XCC"))
    verdict = audit(writer.bundle())
    assert verdict.verdict is Outcome.OK, verdict.findings
    assert [(one.code, one.leaf) for one in verdict.findings] == [("compromised", after)]
    assert verdict.findings[0].severity is Grade.UNCHECKED
    assert "1 statement(s) and 0 notice(s) are by compromised keys" in verdict.sentence
    assert verdict.statistics is not None
    assert before in verdict.statistics.total.received.leaves
    assert after not in verdict.statistics.total.received.leaves
    assert [step.leaf for one in verdict.notices for step in one.doubtful] == [after]
    assert ("compromised", "XBB", "node") in {(one.event, one.party, one.role) for one in verdict.keys}


def test_a_compromise_that_only_its_own_state_claims_voids_nothing(
    writer: Writer, sealed: SealedNotice
) -> None:
    """A state alone cannot make its own past doubtful, whatever reason and time it states."""
    _, _, since_ms = stolen(writer, sealed)
    revoke(writer, "XBB", since_ms)
    writer.say("XCC", saying(K.RECEIVED, sealed, "XCC"))
    verdict = audit(writer.bundle())
    assert (verdict.verdict, verdict.findings) == (Outcome.OK, ())


def test_a_key_that_was_confirmed_as_compromised_says_nothing_from_there_on(
    writer: Writer, sealed: SealedNotice
) -> None:
    """The coordinator had to refuse it, also if its state has not revoked it."""
    confirm(writer, "XBB", writer.now_ms + HOUR_MS)
    leaf = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))
    assert failures(audit(writer.bundle())) == [("signer", leaf)]


def test_a_notice_by_a_thief_is_named_and_its_answers_stand(writer: Writer) -> None:
    """Who was told a lie has answered truly all the same."""
    since_ms = writer.now_ms
    forged = writer.notice("XAA", ("XBB",))
    leaf = len(writer.leaves) - 1
    writer.answer("XBB", K.ACCEPTED, forged)
    confirm(writer, "XAA", since_ms)
    writer.announce()
    verdict = audit(writer.bundle())
    assert [(one.code, one.leaf) for one in verdict.findings] == [("compromised", leaf)]
    (notice,) = [one for one in verdict.notices if one.leaf == leaf]
    assert notice.sender_doubtful
    assert notice.deliveries[0].outcome == "accepted"


def test_a_compromised_coordinators_promises_are_doubtful_and_nobody_is_blamed(
    writer: Writer, sealed: SealedNotice
) -> None:
    """Without its promise a notice was never relayed; that is not the failure of the honest."""
    writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))
    writer.now_ms += 75 * HOUR_MS
    document = governance.next_directory(
        writer.trusted,
        writer.trusted.states(),
        writer.trusted.coordinators(),
        now_ms=writer.now_ms,
        life_ms=YEAR_MS,
        compromised=[Compromise(party=HUB, key_id=writer.built.hub.key_id, since_ms=0)],
    )
    # It is the last word of this ledger: nothing of the compromised coordinator counts behind it.
    writer.document(writer.built.signed_by_governance(document))
    verdict = audit(writer.bundle())
    assert {one.code for one in verdict.findings} == {"compromised", "never-relayed"}
    assert all(one.severity is Grade.UNCHECKED for one in verdict.findings)


@pytest.mark.parametrize("moved_ms", [-2 * DAY_MS, 2 * YEAR_MS])
def test_a_statement_outside_the_life_of_its_key_counts_nothing(
    writer: Writer, sealed: SealedNotice, moved_ms: int
) -> None:
    """Before its first day and after its last, a key says nothing."""
    leaf = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"), said_ms=writer.now_ms + moved_ms)
    assert failures(audit(writer.bundle())) == [("signer", leaf)]


def test_a_statement_logged_after_the_life_of_its_key_could_not_be_checked(
    writer: Writer, sealed: SealedNotice
) -> None:
    """Whether it was signed in time, the ledger cannot say; that is not the same as wrong."""
    said_ms = writer.now_ms
    member = writer.built.members["XBB"]
    ends = tuple(replace(key, until_ms=said_ms + HOUR_MS) for key in member.keys)
    publish(writer, "XBB", keys=ends)
    writer.now_ms += 2 * HOUR_MS
    leaf = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"), said_ms=said_ms)
    verdict = audit(writer.bundle())
    assert verdict.verdict is Outcome.OK, verdict.findings
    assert finding(verdict, "key-life").leaf == leaf


def test_a_suspended_state_says_nothing_from_there_on(writer: Writer, sealed: SealedNotice) -> None:
    """Membership is judged at the place of the statement."""
    trusted = writer.trusted
    states = [
        replace(one, status=StateStatus.SUSPENDED) if one.code == "XBB" else one for one in trusted.states()
    ]
    document = governance.next_directory(
        trusted, states, trusted.coordinators(), now_ms=writer.now_ms, life_ms=YEAR_MS
    )
    writer.document(writer.built.signed_by_governance(document))
    leaf = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))
    assert ("signer", leaf) in failures(audit(writer.bundle(witnesses=("XAA", "XCC"))))
