"""The page of the audit report: what is shown of a verdict, and what is left out."""

from __future__ import annotations

from msgspec.structs import replace

from exchange.audit.report.model import (
    MAX_LEAVES,
    MAX_NOTICES,
    MAX_PERIODS,
    page_of,
    sources_of,
)
from exchange.audit.report.reading import (
    MAX_MILESTONES,
    MAX_RECIPIENTS_SHOWN,
    checkpoints_of,
    milestones_of,
    missing_witnesses,
    split_of,
    ways_of,
)
from exchange.audit.verdict import Figure, Grade, MilestoneView, Outcome, Verdict
from tests.verdicts import Story, findings, good, statistics


def test_every_leaf_that_the_page_names_has_a_row() -> None:
    """A reader goes from any number to its leaf."""
    page = page_of(replace(good(), findings=findings()))
    rows = {row.index for row in page.leaves.shown}
    named = {leaf for source in sources_of(page) for leaf in source.figure.leaves[:5]}
    named |= {finding.leaf for finding in findings() if finding.leaf is not None}
    named |= {step.leaf for notice in page.notices.shown for way in notice.deliveries for step in way.steps}
    named |= {key.leaf for key in page.keys.shown if key.leaf is not None}
    assert named <= rows
    assert page.leaves.left_out == 0


def test_a_leaf_row_says_what_the_verdict_knows_of_it() -> None:
    """The kind, the party, the time and the notice of a step stand in its row."""
    page = page_of(good())
    notice = page.notices.shown[0]
    step = next(step for way in notice.deliveries for step in way.steps)
    row = next(row for row in page.leaves.shown if row.index == step.leaf)
    assert (row.kind, row.party, row.at_ms) == (step.kind.lower(), step.party, step.at_ms)
    assert row.notice == notice.envelope


def test_kinds_are_known_however_the_verifier_spells_them() -> None:
    """The verifier names kinds as the protocol does, in capitals."""
    plain = good(4)
    shouted = replace(
        plain,
        notices=tuple(
            replace(
                notice,
                deliveries=tuple(
                    replace(way, steps=tuple(replace(step, kind=step.kind.upper()) for step in way.steps))
                    for way in notice.deliveries
                ),
            )
            for notice in plain.notices
        ),
    )
    assert page_of(shouted).periods == page_of(plain).periods
    assert page_of(shouted).leaves == page_of(plain).leaves


def test_the_parts_of_deliveries_add_up() -> None:
    """Each delivery is counted once, so the bars are as long as they say."""
    page = page_of(good())
    for state in page.states.shown:
        split = split_of(state.got, state.to_answer.count)
        assert sum(count for _, count in split.parts()) == state.got.deliveries.count
        assert split.answered == state.to_answer.count


def test_parts_never_get_negative_whatever_a_verdict_says() -> None:
    """Figures that contradict each other are drawn, not crashed on."""
    tally = replace(good(2).statistics.total, silent=Figure(99), late=Figure(99))  # type: ignore[union-attr]
    assert all(count >= 0 for _, count in split_of(tally, 1).parts())


def test_the_lists_are_capped_and_say_so() -> None:
    """A large audit makes a small page, and no figure loses anything."""
    page = page_of(replace(good(MAX_NOTICES + 20), notices_left_out=5000))
    assert len(page.notices.shown) == MAX_NOTICES
    assert page.notices.left_out == 5020
    assert len(page.leaves.shown) <= MAX_LEAVES
    assert len(page.periods) <= MAX_PERIODS


def test_what_troubles_is_listed_before_what_does_not() -> None:
    """Of many recipients, those who were silent are on the page."""
    notice = Story(1).told()[0]
    quiet = replace(notice.deliveries[0], silent=True, state="XZZ")
    many = replace(notice, deliveries=(*notice.deliveries * 40, quiet))
    ways = ways_of(many)
    assert ways.shown[0].state == "XZZ"
    assert len(ways.shown) == MAX_RECIPIENTS_SHOWN
    assert ways.left_out == 121 - MAX_RECIPIENTS_SHOWN


def test_the_periods_hold_every_notice_and_every_answer() -> None:
    """Nothing falls off the edge of the time line."""
    page = page_of(good())
    answers = sum(
        step.kind in ("accepted", "declined", "completed")
        for notice in page.notices.shown
        for way in notice.deliveries
        for step in way.steps
    )
    assert sum(period.notices for period in page.periods) == 24
    assert sum(period.answers for period in page.periods) == answers


def test_a_century_between_two_notices_is_still_one_time_line() -> None:
    """A hostile time does not make a million bars."""
    first, second = Story(2).told()
    late = replace(second, relayed_ms=first.relayed_ms + 10**14)
    page = page_of(replace(good(2), notices=(first, late)))
    assert len(page.periods) <= MAX_PERIODS
    assert sum(period.notices for period in page.periods) == 2


def test_the_report_is_dated_by_its_witnesses() -> None:
    """The date of the page is when a quorum last vouched for the log, not when the page was made."""
    verdict = good()
    times = [one.quorum_ms for one in checkpoints_of(verdict)]
    assert page_of(verdict).at_ms == max(time for time in times if time is not None)


def test_a_verdict_on_nothing_makes_a_page() -> None:
    """A bundle that could hardly be read is reported on as well."""
    page = page_of(nothing())
    assert page.at_ms is None
    assert (page.notices.total, page.leaves.total, page.keys.total) == (0, 0, 0)
    assert list(sources_of(page)) == []


def test_a_witness_that_did_not_cosign_is_named() -> None:
    """Who is missing under a checkpoint is as telling as who is there."""
    verdict = good()
    checkpoint = verdict.checkpoint
    assert checkpoint is not None
    assert missing_witnesses(verdict, checkpoint) == ("XDD",)


def test_a_removed_witness_is_not_missed() -> None:
    """Whoever is no witness any more need not cosign."""
    verdict = good()
    gone = [
        replace(key, event="removed") for key in verdict.keys if (key.party, key.role) == ("XDD", "witness")
    ]
    checkpoint = verdict.checkpoint
    assert checkpoint is not None
    assert missing_witnesses(replace(verdict, keys=(*verdict.keys, *gone)), checkpoint) == ()


def test_the_newest_of_many_milestones_is_shown() -> None:
    """Many checkpoints are thinned out evenly, and the last one always stays."""
    many = tuple(MilestoneView(size, size * 1000) for size in range(1, 5 * MAX_MILESTONES))
    shown = milestones_of(replace(good(), milestones=many))
    assert shown.shown[-1] == many[-1]
    assert len(shown.shown) <= MAX_MILESTONES
    assert shown.total == len(many)


def test_findings_are_shown_by_weight_and_counted_with_those_not_listed() -> None:
    """A finding that stands for more says how many."""
    page = page_of(replace(good(), findings=findings()))
    assert [one.severity for one in page.failures.shown] == [Grade.FAILED]
    assert page.unchecked.total == 5
    assert page.notes.total == 1


def test_the_declined_are_those_who_ended_so() -> None:
    """A state that declined first and accepted later is not listed as having declined."""
    notice = Story(1).told()[0]
    told = (replace(notice, deliveries=tuple(replace(way, outcome="accepted") for way in notice.deliveries)),)
    page = page_of(replace(good(), notices=told, statistics=statistics(told)))
    assert page.declined.total == 0


def nothing() -> Verdict:
    """Return the verdict on a bundle of which nothing could be read."""
    return replace(
        good(0),
        verdict=Outcome.FAILED,
        coordinator=None,
        range=None,
        checkpoint=None,
        directory_checkpoint=None,
        milestones=(),
        keys=(),
        signatures=None,
        statistics=None,
    )
