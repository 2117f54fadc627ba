"""What an auditor learns of a ledger that holds, of a part of one, and of a large one."""

from __future__ import annotations

import time

import pytest

from exchange.audit.verdict import Outcome
from exchange.audit.verify.bundle import verify_bundle
from protocol.text import format_utc
from tests.audits import K, audit, failures, sealed, writer
from tests.bundles import SECOND_MS, Memory, Writer, lively, saying
from tests.community import community

FIXTURES = (sealed, writer)
"""A ledger that is written, and a notice in it."""


# --- A ledger that holds ---


def test_a_whole_day_holds_from_the_pinned_root_hash_alone() -> None:
    """Promise 7: every receipt verifies offline."""
    writer, _ = lively()
    verdict = audit(writer.bundle())
    assert verdict.verdict is Outcome.OK, verdict.findings
    assert verdict.sentence.startswith("OK: 13 leaves and 8 documents")
    assert verdict.checkpoint is not None
    assert verdict.sentence.endswith(f"as of {format_utc(verdict.checkpoint.quorum_ms or 0)}")
    assert verdict.findings == ()
    assert {check.code for check in verdict.checks if check.outcome is not Outcome.OK} == {"disclosures"}


def test_the_figures_name_their_leaves() -> None:
    """Every figure is traceable to a leaf."""
    writer, _ = lively()
    statistics = audit(writer.bundle()).statistics
    assert statistics is not None
    total = statistics.total
    assert (total.notices.count, total.deliveries.count) == (3, 5)
    assert (total.received.leaves, total.accepted.leaves, total.declined.leaves) == ((2, 3, 7), (5,), (8,))
    assert (total.rejected.leaves, total.undelivered.leaves, total.completed.leaves) == ((9,), (12,), (10,))
    assert (total.silent.count, total.silent.leaves) == (1, (1,))


def test_the_figures_are_kept_by_state_and_by_level() -> None:
    """Acknowledgement statistics by state and severity."""
    writer, _ = lively()
    statistics = audit(writer.bundle()).statistics
    assert statistics is not None
    by_state = {one.state: one for one in statistics.states}
    assert by_state["XBB"].sent.leaves == (6,)
    assert by_state["XCC"].got.silent.count == 1
    assert by_state["XBB"].to_answer.median_ms == 62 * SECOND_MS
    (level,) = statistics.severities
    assert (level.schema, level.level, level.tally.deliveries.count) == ("xaa-national", "grave", 5)


def test_the_evidence_tree_brackets_every_step_with_the_witnesses_times() -> None:
    """The recorded time is the coordinator's word; the witnesses bound it."""
    writer, _ = lively()
    notice = audit(writer.bundle()).notices[0]
    step = notice.deliveries[0].steps[1]
    assert (step.kind, step.leaf, step.officer) == ("OPENED", 4, "officer of XBB")
    assert step.not_before_ms is not None
    assert step.not_after_ms is not None
    assert step.not_before_ms <= step.at_ms <= step.not_after_ms


def test_the_history_of_keys_names_documents_and_leaves() -> None:
    """Who could sign what, since which place of the ledger."""
    writer, _ = lively()
    keys = audit(writer.bundle()).keys
    assert {one.role for one in keys} == {
        *("root", "directory", "identity", "coordinator", "log", "node", "officer", "witness")
    }
    assert all(one.leaf == 0 and one.event == "added" for one in keys)


def test_a_sample_verifies_some_signatures_and_says_so(writer: Writer) -> None:
    """Sample mode states what it left out."""
    for _ in range(30):
        writer.notice()
    view = audit(writer.bundle(), sample=8).signatures
    assert view is not None
    assert view.mode == "sample"
    assert 1 <= view.statements_checked < view.statements == 31


def test_the_sample_is_chosen_by_the_root(writer: Writer) -> None:
    """The same bundle gives the same verdict; another ledger gives another sample."""
    for _ in range(30):
        writer.notice()
    files = writer.bundle()
    assert audit(files, sample=8) == audit(files, sample=8)


ZONES = ("UTC", "Pacific/Kiritimati", "America/Caracas")


@pytest.mark.parametrize("zone", ZONES)
def test_the_verdict_is_the_same_in_every_time_zone(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """I10: the same verdict on any machine, in any locale and time zone."""
    writer, _ = lively()
    files = writer.bundle()
    expected = audit(files)
    monkeypatch.setenv("TZ", zone)
    monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")
    time.tzset()
    try:
        assert audit(files) == expected
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_leap_second_is_nothing_special() -> None:
    """Times are POSIX milliseconds: the end of 2016-12-31, which had 61 seconds, is a time like others."""
    built = community(1_483_228_799_000)
    writer = Writer(built)
    sealed = writer.notice()
    for _ in range(4):
        writer.now_ms += 500
        writer.answer("XBB", K.OPENED, sealed)
        writer.milestone()
    verdict = verify_bundle(Memory(writer.bundle()), built.id)
    assert verdict.verdict is Outcome.OK, verdict.findings


# --- Part of a ledger ---


def test_statements_before_a_date_are_not_checked_and_nothing_fails() -> None:
    """What is not in the bundle could not be checked; that is not the same as wrong."""
    writer, _ = lively()
    verdict = audit(writer.bundle(bodies_from=6))
    assert verdict.verdict is Outcome.OK, verdict.findings
    assert next(check for check in verdict.checks if check.code == "statements").left_out == 5
    assert verdict.range is not None
    assert (verdict.range.bodies_from, verdict.range.bodies) == (6, 8)


def test_a_member_exports_only_what_concerns_it() -> None:
    """The leaves of all are there; the statements of others are not."""
    writer, _ = lively()
    verdict = audit(writer.bundle(member="XBB", concerns=[1, 2, 4, 5, 6, 8, 9, 10, 11]))
    assert verdict.verdict is Outcome.OK, verdict.findings
    statistics = verdict.statistics
    assert statistics is not None
    assert statistics.total.silent.count == 0


def test_without_member_a_missing_statement_is_a_failure() -> None:
    """An auditor's bundle says that it is complete, and is held to it."""
    writer, _ = lively()
    files = writer.listed({**writer.bundle(concerns=[1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12])})
    assert ("statement-missing", 5) in failures(audit(files))


# --- Much of it ---


def test_findings_are_listed_a_few_times_and_counted_for_the_rest(writer: Writer) -> None:
    """A bundle that is wrong in a thousand places gives a short answer."""
    for _ in range(30):
        sealed = writer.notice(relay=False)
        writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))
    verdict = audit(writer.bundle())
    listed = [one for one in verdict.findings if one.code == "never-relayed"]
    assert len(listed) == 20
    assert listed[-1].more == 10


def test_evidence_trees_are_capped_and_notable_ones_are_kept() -> None:
    """A report of a million notices still shows who was silent."""
    writer, _ = lively()
    for _ in range(5):
        writer.notice(respond_in_ms=None)
    verdict = audit(writer.bundle(), notices_listed=3)
    assert [one.leaf for one in verdict.notices] == [1, 6, 11]
    assert verdict.notices_left_out == 5


def test_more_than_one_file_of_leaves_holds(writer: Writer) -> None:
    """Files hold 256 leaves each."""
    sealed = writer.notice()
    for _ in range(260):
        writer.answer("XBB", K.OPENED, sealed)
    writer.milestone()
    verdict = audit(writer.bundle())
    assert verdict.verdict is Outcome.OK, verdict.findings
