"""What an audit finds about a notice: its header, its answers, its deadlines and its keys."""

from __future__ import annotations

import pytest

from exchange.audit.verdict import Outcome, Verdict
from keys.evidence import Saying
from keys.sealing import SealedNotice
from protocol.ledger.bundle import headers_name
from protocol.ledger.pack import encode_pack
from protocol.statement import StatementKind
from tests.audits import K, audit, failures, sealed, writer
from tests.bundles import HOUR_MS, SECOND_MS, Writer, saying
from tests.community import HUB

FIXTURES = (sealed, writer)
"""A ledger that is written, and a notice in it."""


def test_a_statement_about_a_notice_that_was_never_relayed_is_found(writer: Writer) -> None:
    """RELAYED comes first: the coordinator owes what it took."""
    sealed = writer.notice(relay=False)
    leaf = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))
    assert failures(audit(writer.bundle())) == [("never-relayed", leaf)]


def test_a_notice_that_is_relayed_twice_is_found(writer: Writer, sealed: SealedNotice) -> None:
    """Replay: one notice, one promise."""
    leaf = writer.relay(sealed)
    assert failures(audit(writer.bundle())) == [("relayed-twice", leaf)]


def test_a_state_that_was_not_addressed_has_no_say(writer: Writer) -> None:
    """Statements about a notice are by those whom it concerns."""
    sealed = writer.notice("XAA", ("XBB",))
    leaf = writer.say("XCC", saying(K.RECEIVED, sealed, "XCC"))
    assert failures(audit(writer.bundle())) == [("not-addressed", leaf)]


def test_a_header_of_another_notice_is_found(writer: Writer, sealed: SealedNotice) -> None:
    """The manifest's hash is the envelope's id, so nothing of the header can be changed."""
    other = writer.notice()
    headers = {**writer.headers, 1: writer.headers[2]}
    files = writer.bundle()
    files[headers_name(0)] = encode_pack(headers.items())
    assert failures(audit(writer.listed(files))) == [("header", 1)]
    assert other.id != sealed.id


def test_a_missing_header_is_named(writer: Writer, sealed: SealedNotice) -> None:
    """Without the header nobody can say to whom a notice went."""
    writer.headers.clear()
    assert failures(audit(writer.bundle())) == [("header-missing", 1)]
    assert sealed.id


CONTRADICTIONS: dict[str, tuple[StatementKind, StatementKind]] = {
    "refused what it had": (K.RECEIVED, K.REJECTED),
    "received what it refused": (K.REJECTED, K.RECEIVED),
    "declined what was complete": (K.COMPLETED, K.DECLINED),
    "completed what was declined": (K.DECLINED, K.COMPLETED),
    "accepted what was complete": (K.COMPLETED, K.ACCEPTED),
    "opened what it refused": (K.REJECTED, K.OPENED),
}


@pytest.mark.parametrize("said", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_contradictory_statements_are_found(
    writer: Writer, sealed: SealedNotice, said: tuple[StatementKind, StatementKind]
) -> None:
    """Terminal states are terminal; contradictory evidence is itself an alarm."""
    first, second = said
    writer.answer("XBB", first, sealed)
    leaf = writer.answer("XBB", second, sealed)
    assert failures(audit(writer.bundle())) == [("contradiction", leaf)]


def test_the_coordinator_cannot_call_undelivered_what_was_received(
    writer: Writer, sealed: SealedNotice
) -> None:
    """Its own log holds the receipt."""
    writer.answer("XBB", K.RECEIVED, sealed)
    undelivered = Saying(kind=K.UNDELIVERED, envelope=sealed.id, about="XBB", code="expired")
    leaf = writer.say(HUB, undelivered)
    assert failures(audit(writer.bundle())) == [("contradiction", leaf)]


def test_a_late_receipt_after_undelivered_is_no_contradiction(writer: Writer, sealed: SealedNotice) -> None:
    """A recipient may have fetched it at the last moment."""
    writer.say(HUB, Saying(kind=K.UNDELIVERED, envelope=sealed.id, about="XBB", code="expired"))
    writer.answer("XBB", K.RECEIVED, sealed)
    verdict = audit(writer.bundle())
    assert verdict.verdict is Outcome.OK, verdict.findings


def test_a_notice_that_was_sealed_again_is_no_finding(writer: Writer, sealed: SealedNotice) -> None:
    """Its first envelope ends with REJECTED or UNDELIVERED, and the next one is a notice like any other."""
    writer.answer("XBB", K.REJECTED, sealed)
    writer.say(HUB, Saying(kind=K.UNDELIVERED, envelope=sealed.id, about="XCC", code="expired"))
    again = writer.notice("XAA", ("XBB", "XCC"))
    for code in ("XBB", "XCC"):
        writer.answer(code, K.RECEIVED, again)
    # The first one came after all, and the recipient had it already: it has received both.
    writer.answer("XCC", K.RECEIVED, sealed)
    verdict = audit(writer.bundle())
    assert verdict.verdict is Outcome.OK, verdict.findings
    assert failures(verdict) == []


def test_an_expired_notice_without_any_outcome_is_found(writer: Writer, sealed: SealedNotice) -> None:
    """Silence is never a state: the coordinator owes UNDELIVERED."""
    writer.answer("XBB", K.RECEIVED, sealed)
    writer.now_ms += 75 * HOUR_MS
    writer.notice("XBB", ("XAA",))
    assert failures(audit(writer.bundle())) == [("no-outcome", 1)]


def answered_after(wait_ms: int, *, witnessed_ms: int) -> Verdict:
    """One notice with an hour to answer; a checkpoint and then an answer at these times."""
    writer = Writer()
    sealed = writer.notice("XAA", ("XBB",))
    start = writer.now_ms
    writer.now_ms = start + witnessed_ms
    writer.milestone()
    writer.now_ms = start + wait_ms
    writer.answer("XBB", K.ACCEPTED, sealed)
    writer.now_ms = max(writer.now_ms, start + witnessed_ms) + SECOND_MS
    return audit(writer.bundle())


DEADLINES = {
    "in time": (HOUR_MS // 2, HOUR_MS // 4, 0),
    "late, by the witnesses": (2 * HOUR_MS, HOUR_MS + 60_000, 1),
}


@pytest.mark.parametrize("case", DEADLINES.values(), ids=DEADLINES)
def test_deadlines_are_judged_by_the_witnesses(case: tuple[int, int, int]) -> None:
    """An answer that no checkpoint after the deadline holds came late."""
    wait_ms, witnessed_ms, late = case
    verdict = answered_after(wait_ms, witnessed_ms=witnessed_ms)
    assert verdict.verdict is Outcome.OK, verdict.findings
    assert verdict.statistics is not None
    assert verdict.statistics.total.late.count == late


def test_an_open_deadline_is_waiting_and_not_silent(writer: Writer, sealed: SealedNotice) -> None:
    """Nobody is called silent before the witnesses' time has passed the deadline."""
    verdict = audit(writer.bundle())
    assert verdict.statistics is not None
    assert (verdict.statistics.total.waiting.count, verdict.statistics.total.silent.count) == (2, 0)
    assert sealed.id


def test_a_notice_sealed_to_a_key_that_nobody_published_is_found(writer: Writer) -> None:
    """A swapped key shows in the signed header."""
    choice = writer.trusted.prekey("XCC", writer.now_ms)
    writer.trusted.prekey = lambda state, now_ms: choice  # type: ignore[method-assign]
    writer.notice("XAA", ("XBB",))
    assert failures(audit(writer.bundle())) == [("unknown-prekey", 1)]
