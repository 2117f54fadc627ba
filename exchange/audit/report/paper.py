"""The report as blocks for paper: headings, paragraphs, charts and tables, with nothing to open.

The type setter gets strings, never markup: text from a bundle cannot become a command there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from exchange.audit.report import charts as drawn
from exchange.audit.report.blocks import Block, Cell, fit, heading, paragraph, table
from exchange.audit.report.headline import headline, lead
from exchange.audit.report.model import (
    MAX_STEPS,
    Ending,
)
from exchange.audit.report.paper_ledger import Ledger
from exchange.audit.report.reading import (
    Capped,
    figures_of,
    marking_of,
    said,
    ways_of,
)
from exchange.audit.report.sheet import Sheet
from exchange.audit.verdict import Finding, Latency, NoticeEvidence, Step
from exchange.safe import safe_block, safe_line
from exchange.version import VERSION

_WAYS = 14  # what fits on one page
_COUNTS = (
    *("deliveries", "received", "opened", "accepted", "declined", "completed"),
    *("rejected", "undelivered", "silent", "late", "waiting"),
)


class Paper(Sheet):
    """The blocks of one report in one language.

    Args:
        page: What is shown.
        words: The language.
    """

    def document(self) -> Block:
        """Return everything that is printed, every string of it fit for the fonts at hand."""
        page, words, verdict = self.page, self.words, self.page.verdict
        made = words.say("Made by almenara %(version)s from the bundle alone.", version=VERSION)
        marking = marking_of(verdict)
        document: Block = {
            "lang": words.tag.partition("-")[0],
            "region": words.tag.partition("-")[2],
            "title": words.pair(words.say("Audit report"), safe_line(verdict.community.name) or "Almenara"),
            "marking": marking.label if marking else "",
            "outcome": verdict.verdict.value,
            "standing": self.terms.standing(verdict.verdict),
            "headline": headline(verdict, words),
            "lead": lead(page, words),
            "facts": [(words.pair(name, "").strip(), value) for name, value in self._facts()],
            "blocks": list(self._blocks()),
            "made": made,
        }
        printable: Block = fit(document)
        return printable

    def _facts(self) -> Iterator[tuple[str, str]]:
        say, verdict = self.words.say, self.page.verdict
        yield say("Last witnessed"), self.when(self.page.at_ms)
        if verdict.range is not None:
            yield say("Period"), f"{self.when(verdict.range.first_ms)} – {self.when(verdict.range.last_ms)}"
        if verdict.coordinator is not None:
            yield say("Coordinator"), safe_line(f"{verdict.coordinator.name} ({verdict.coordinator.code})")
        yield say("Community id, to compare with the pinned root"), safe_line(verdict.community.id)
        if verdict.statistics is not None:
            total, answer = verdict.statistics.total, verdict.statistics.to_answer
            for name in ("notices", "deliveries", "silent", "declined"):
                yield self.terms.figure(name), self.words.number(getattr(total, name).count)
            yield (
                say("Answered by a named officer"),
                self.words.percent(answer.count, total.deliveries.count),
            )
            yield say("Median to answer"), self.length(answer.median_ms)

    def _blocks(self) -> Iterator[Block]:
        yield from self._checks()
        if self.page.verdict.statistics is not None:
            yield from self._answers()
            yield from self._endings()
        yield from self._evidence()
        yield from self._disclosed()
        yield from Ledger(self.page, self.words).blocks()

    def _checks(self) -> Iterator[Block]:
        say, page = self.words.say, self.page
        yield heading(say("What was checked"))
        rows: list[Sequence[Cell]] = [
            (
                self.rules.rule(check),
                self.terms.check(check),
                *(self.words.number(n) for n in (check.done, check.failed, check.left_out)),
            )
            for check in page.verdict.checks
        ]
        heads = (say("Rule"), say("Outcome"), say("Looked at"), say("Failures"), say("Left out"))
        yield table(say("What was checked"), heads, rows, numbers=3)
        yield heading(say("What could not be checked"))
        nothing = say("Nothing: the bundle held all that was needed.")
        yield from self._findings(page.unchecked, "" if page.partly else nothing)
        for check in page.partly:
            left_out = self.words.say_n("%(n)s left out", "%(n)s left out", check.left_out)
            yield paragraph(self.words.pair(self.rules.rule(check), left_out))
        yield heading(say("Findings and next steps"))
        yield from self._findings(page.failures, "" if page.notes.total else say("There are none."))
        yield from self._findings(page.notes, "")

    def _findings(self, found: Capped[Finding], none: str) -> Iterator[Block]:
        say = self.words.say
        for one in found.shown:
            yield heading(f"{self.rules.finding(one)} ({safe_line(one.code)})", 3)
            yield {"type": "p", "text": safe_line(one.sentence), "lang": "en"}
            place = " ".join((say("Place:"), safe_line(one.where)))
            more = self.words.say_n("and %(n)s more of this kind", "and %(n)s more of this kind", one.more)
            yield paragraph(f"{place} · {more}" if one.more else place)
            yield paragraph(" ".join((say("Next step:"), safe_line(self.rules.next_step(one)))))
        if not found.total and none:
            yield paragraph(none)
        yield from self.left_out(found)

    def _answers(self) -> Iterator[Block]:
        say, page, terms = self.words.say, self.page, self.terms
        yield heading(say("Time line of notices and answers"))
        if page.periods:
            yield self.drawn(drawn.over_time(page.periods, page.period_ms, terms))
            heads = (say("From, UTC"), say("Notices"), say("Answers"))
            rows: list[Sequence[Cell]] = [
                (self.when(one.start_ms), self.words.number(one.notices), self.words.number(one.answers))
                for one in page.periods
                if one.notices or one.answers
            ]
            yield table(say("Notices and answers over time"), heads, rows, numbers=2)
            yield self.drawn(drawn.ways(page.notices.shown[:_WAYS], terms))
            yield paragraph(self._legend())
        yield heading(say("How long answers took"))
        if page.levels.shown:
            yield self.drawn(drawn.latencies(page.levels.shown, terms))
            levels = [
                (terms.level(one.schema, one.version, one.level), one.tally) for one in page.levels.shown
            ]
            yield self._counts(say("Answers by severity"), say("Severity"), levels)
            times = [
                (terms.level(one.schema, one.version, one.level), one.to_received, one.to_answer)
                for one in page.levels.shown
            ]
            yield self._times(say("Times by severity"), say("Severity"), times)
        yield heading(say("Who answered"))
        if page.states.shown:
            yield self.drawn(drawn.outcomes(page.recipients, terms))
            states = [(safe_line(one.state), one.got) for one in page.states.shown]
            yield self._counts(say("Figures by state"), say("State"), states)
            answers = [(safe_line(one.state), one.to_received, one.to_answer) for one in page.states.shown]
            yield self._times(say("Times by state"), say("State"), answers)

    def _counts(self, caption: str, first: str, tallies: Iterable[tuple[str, Any]]) -> Block:
        rows: list[Sequence[Cell]] = []
        for name, tally in tallies:
            figures = dict(figures_of(tally))
            rows.append((name, *(self.words.number(figures[one].count) for one in _COUNTS)))
        heads = (first, *(self.terms.figure(one) for one in _COUNTS))
        return table(caption, heads, rows, numbers=len(_COUNTS), small=True)

    def _times(self, caption: str, first: str, groups: Iterable[tuple[str, Latency, Latency]]) -> Block:
        say = self.words.say
        heads = (
            *(first, say("Median to receipt"), say("Answers"), say("Median to answer")),
            *(say("90 of 100 within"), say("Slowest"), say("Leaf of the slowest")),
        )
        rows: list[Sequence[Cell]] = [
            (
                *(name, self.length(received.median_ms), self.words.number(answer.count)),
                *(self.length(time) for time in (answer.median_ms, answer.p90_ms, answer.max_ms)),
                self.leaf(answer.slowest),
            )
            for name, received, answer in groups
        ]
        return table(caption, heads, rows, numbers=6)

    def _endings(self) -> Iterator[Block]:
        say, page = self.words.say, self.page
        yield heading(say("Silent and declined"))
        if page.silent.total:
            caption = say("Silent: no officer answered by the expected time, by witness time, nor since")
            yield self._ended(caption, say("What is known"), page.silent)
            yield from self.left_out(page.silent)
        else:
            yield paragraph(say("Nobody stayed silent past an expected time."))
        if page.declined.total:
            yield self._ended(say("Declined: an officer said no, and why"), say("Reason"), page.declined)
            yield from self.left_out(page.declined)
        else:
            yield paragraph(say("Nobody declined."))

    def _ended(self, caption: str, last: str, endings: Capped[Ending]) -> Block:
        say, terms = self.words.say, self.terms
        heads = (
            *(say("Notice"), say("From"), say("To"), say("Severity")),
            *(say("Relayed, UTC"), say("Answer expected by, UTC"), last, say("Leaf")),
        )
        rows: list[Sequence[Cell]] = [
            (
                *(
                    terms.short(one.notice.envelope),
                    safe_line(one.notice.sender),
                    safe_line(one.delivery.state),
                ),
                terms.point(one.notice.point),
                *(self.when(one.notice.relayed_ms), self.when(one.notice.respond_by_ms)),
                terms.reason(one.step.code) if one.step and one.step.code else terms.delivery(one.delivery),
                self.leaf(one.step.leaf if one.step else one.notice.leaf),
            )
            for one in endings.shown
        ]
        return table(caption, heads, rows, numbers=1)

    def _evidence(self) -> Iterator[Block]:
        yield heading(self.words.say("Evidence for each notice"))
        for notice in self.page.notices.shown:
            yield from self._notice(notice)
        yield from self.left_out(self.page.notices)

    def _notice(self, notice: NoticeEvidence) -> Iterator[Block]:
        say, terms = self.words.say, self.terms
        ways = ways_of(notice)
        yield heading(
            " · ".join((terms.short(notice.envelope), terms.notice(notice.kind), terms.point(notice.point))),
            3,
        )
        yield paragraph(self.words.pair(say("Envelope"), safe_line(notice.envelope)))
        relayed = self.when(notice.relayed_ms)
        level = terms.level(notice.schema, notice.version, notice.level)
        yield paragraph(
            " · ".join((safe_line(notice.sender), level, self.words.pair(say("Relayed"), relayed)))
        )
        heads = (
            *(say("Statement"), say("By"), say("Logged, UTC"), say("After the relay")),
            *(say("Witnessed between, UTC"), say("Leaf")),
        )
        rows = [self._step(step, notice.relayed_ms) for step in notice.by_sender[:MAX_STEPS]]
        for way in ways.shown:
            rows += [self._step(step, notice.relayed_ms) for step in way.steps[:MAX_STEPS]]
            if not way.steps:
                rows.append((terms.delivery(way), safe_line(way.state), "–", "–", "–", "–"))
        yield table(say("Statements about this notice"), heads, rows, numbers=1)

    def _step(self, step: Step, since_ms: int) -> Sequence[Cell]:
        reason = f" ({self.terms.reason(step.code)})" if step.code else ""
        officer = f", {safe_line(step.officer)}" if step.officer else ""
        return (
            f"{self.terms.statement(said(step))}{reason}",
            f"{safe_line(step.party)}{officer}",
            f"{self.words.date(step.at_ms)}, {self.words.clock(step.at_ms)}",
            self.words.length(step.at_ms - since_ms),
            f"{self.when(step.not_before_ms)} – {self.when(step.not_after_ms)}",
            self.leaf(step.leaf),
        )

    def _disclosed(self) -> Iterator[Block]:
        if not self.page.verdict.disclosed:
            return
        yield heading(self.words.say("Notices that a state disclosed to the auditor"))
        for one in self.page.verdict.disclosed:
            yield heading(safe_line(one.subject), 3)
            yield paragraph(
                f"{self.terms.label(one.tlp)} · {safe_line(one.sender)} · {self.when(one.created_ms)}"
            )
            yield {"type": "p", "text": safe_block(one.text), "lang": _language(one.language)}

    def _legend(self) -> str:
        say, statement = self.words.say, self.terms.statement
        return say(
            "Ring: %(received)s. Square: %(opened)s. Disc: %(accepted)s. Diamond: %(completed)s. "
            "Cross: %(declined)s. Triangle: rejected or undelivered. Upright bar: %(due)s.",
            **{kind: statement(kind) for kind in drawn.MARK_OF},
        )


def _language(tag: str) -> str | None:
    """Return the part of a language's tag that the type setter knows, if there is one."""
    match = re.fullmatch(r"([a-z]{2,3})(-[A-Z]{2})?", tag)
    return match[1] if match else None
