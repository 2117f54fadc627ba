"""The page as values without words: what is shown of a verdict, in which order, what is left out.

The verdict is complete in its figures and bounded in its lists; the page is smaller still. A
figure keeps the leaves it was counted from, and the page lists every leaf it names, so that a
reader goes from any number to its row, and from there to the bundle.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from exchange.audit.report.reading import (
    MAX_RECIPIENTS_SHOWN,
    Capped,
    capped,
    checkpoints_of,
    figures_of,
    said,
    ways_of,
)
from exchange.audit.verdict import (
    Check,
    DeliveryEvidence,
    Figure,
    Finding,
    Grade,
    KeyEvent,
    NoticeEvidence,
    SeverityFigures,
    StateFigures,
    Step,
    Tally,
    Verdict,
)

MAX_FINDINGS = 400
MAX_NOTICES = 100
MAX_DELIVERIES = 1500
MAX_ENDINGS = 100
MAX_KEYS = 400
MAX_LEAVES = 2000
MAX_STATES = 200
MAX_LEVELS = 60
MAX_PERIODS = 48
MAX_STEPS = 20
MAX_LINKS = 5
"""How many leaves are named beside one figure."""

_PERIODS_MS = (
    *(1_000, 5_000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 10_800_000, 21_600_000),
    *(86_400_000, 7 * 86_400_000, 28 * 86_400_000, 91 * 86_400_000, 364 * 86_400_000),
)
ANSWERS = ("accepted", "declined", "completed")


@dataclass(frozen=True, slots=True)
class Period:
    """What happened from ``start_ms`` until the next one begins."""

    start_ms: int
    notices: int
    answers: int


@dataclass(frozen=True, slots=True)
class Ending:
    """One delivery to name, and the step that ended it, if one did."""

    notice: NoticeEvidence
    delivery: DeliveryEvidence
    step: Step | None


@dataclass(frozen=True, slots=True)
class LeafRow:
    """One leaf of the acknowledgement log that the page names; what it is, where the verdict says so."""

    index: int
    kind: str | None
    party: str | None
    at_ms: int | None
    notice: str | None


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """One leaf of the directory log that the page names."""

    index: int
    source: str
    party: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Source:
    """One figure of a table: whose it is (None: everybody's), its name, and its leaves."""

    anchor: str
    owner: StateFigures | SeverityFigures | None
    name: str
    figure: Figure


@dataclass(frozen=True, slots=True)
class Page:
    """The whole report; ``verdict`` is what it was made from."""

    verdict: Verdict
    failures: Capped[Finding]
    unchecked: Capped[Finding]
    partly: tuple[Check, ...]
    notes: Capped[Finding]
    at_ms: int | None
    period_ms: int
    periods: tuple[Period, ...]
    states: Capped[StateFigures]
    levels: Capped[SeverityFigures]
    silent: Capped[Ending]
    declined: Capped[Ending]
    notices: Capped[NoticeEvidence]
    keys: Capped[KeyEvent]
    leaves: Capped[LeafRow]
    documents: tuple[DocumentRow, ...]

    @property
    def recipients(self) -> tuple[StateFigures, ...]:
        """The listed states to which anything was addressed."""
        return tuple(state for state in self.states.shown if state.got.deliveries.count)


def page_of(verdict: Verdict) -> Page:
    """Return what the report shows of a verdict; the same verdict gives the same page."""
    figures = verdict.statistics
    listed = len(verdict.notices) + verdict.notices_left_out
    notices = capped(verdict.notices[: _affordable(verdict.notices)], MAX_NOTICES, listed)
    silent = [_ending(notice, way) for notice, way in _ways(verdict) if way.silent]
    declined = [_ending(notice, way) for notice, way in _ways(verdict) if way.outcome == "declined"]
    period_ms, periods = _periods(verdict.notices)
    keys = capped(verdict.keys, MAX_KEYS)
    page = Page(
        verdict=verdict,
        failures=_findings(verdict, Grade.FAILED),
        unchecked=_findings(verdict, Grade.UNCHECKED),
        partly=tuple(check for check in verdict.checks if check.left_out),
        notes=_findings(verdict, Grade.NOTE),
        at_ms=_last_witnessed(verdict),
        period_ms=period_ms,
        periods=periods,
        states=capped(figures.states if figures else (), MAX_STATES),
        levels=capped(sorted(figures.severities, key=_gravest_first) if figures else (), MAX_LEVELS),
        silent=capped(silent, MAX_ENDINGS, figures.total.silent.count if figures else None),
        declined=capped(declined, MAX_ENDINGS, _declined_total(verdict, len(declined))),
        notices=notices,
        keys=keys,
        leaves=Capped((), 0),
        documents=_documents(keys.shown),
    )
    return _with_leaves(page)


def sources_of(page: Page) -> Iterator[Source]:
    """Yield where every figure of the page's tables comes from, in the order of the tables."""
    if (statistics := page.verdict.statistics) is None:
        return
    yield from _sources("total", None, statistics.total)
    for place, level in enumerate(page.levels.shown, start=1):
        yield from _sources(f"level-{place}", level, level.tally)
    for place, state in enumerate(page.states.shown, start=1):
        if state.sent.leaves:
            yield Source(f"state-{place}-sent", state, "sent", state.sent)
        yield from _sources(f"state-{place}", state, state.got)


def _sources(group: str, owner: StateFigures | SeverityFigures | None, tally: Tally) -> Iterator[Source]:
    for name, figure in figures_of(tally):
        if figure.leaves and (owner is None or name != "notices"):
            yield Source(f"{group}-{name}", owner, name, figure)


def _affordable(notices: tuple[NoticeEvidence, ...]) -> int:
    """Return how many notices fit, so that many recipients do not make a page that nobody can open."""
    room = MAX_DELIVERIES
    for place, notice in enumerate(notices):
        room -= min(len(notice.deliveries), MAX_RECIPIENTS_SHOWN)
        if room < 0 and place:
            return place
    return len(notices)


def _findings(verdict: Verdict, grade: Grade) -> Capped[Finding]:
    found = [finding for finding in verdict.findings if finding.severity is grade]
    return capped(found, MAX_FINDINGS, sum(1 + finding.more for finding in found))


def _gravest_first(one: SeverityFigures) -> tuple[int, str, int, str]:
    return (-1 if one.point is None else one.point) * -1, one.schema, one.version, one.level


def _ways(verdict: Verdict) -> Iterator[tuple[NoticeEvidence, DeliveryEvidence]]:
    for notice in verdict.notices:
        for delivery in notice.deliveries:
            yield notice, delivery


def _ending(notice: NoticeEvidence, delivery: DeliveryEvidence) -> Ending:
    last = [step for step in delivery.steps if said(step) == delivery.outcome]
    return Ending(notice, delivery, last[-1] if last else None)


def _declined_total(verdict: Verdict, listed: int) -> int:
    # A declined delivery may be accepted later: only the whole list can tell those apart.
    if verdict.statistics is None or not verdict.notices_left_out:
        return listed
    return max(verdict.statistics.total.declined.count, listed)


def _last_witnessed(verdict: Verdict) -> int | None:
    """Return the report's own date: when the witnesses last vouched for the log."""
    times = [checkpoint.quorum_ms for checkpoint in checkpoints_of(verdict)]
    times += [milestone.quorum_ms for milestone in verdict.milestones]
    known = [time for time in times if time is not None]
    signed = [one.signed_ms for one in checkpoints_of(verdict) if one.signed_ms is not None]
    return max(known or signed, default=None)


def _periods(notices: tuple[NoticeEvidence, ...]) -> tuple[int, tuple[Period, ...]]:
    """Return a length and the periods of that length that hold every listed notice and answer."""
    sent = [notice.relayed_ms for notice in notices]
    answers = [
        step.at_ms
        for notice in notices
        for delivery in notice.deliveries
        for step in delivery.steps
        if said(step) in ANSWERS
    ]
    if not sent:
        return _PERIODS_MS[0], ()
    first, last = min(sent + answers), max(sent + answers)
    length = next((one for one in _PERIODS_MS if last // one - first // one < MAX_PERIODS), last - first + 1)
    start = first // length
    counts = [[0, 0] for _ in range(min(last // length - start, MAX_PERIODS - 1) + 1)]
    for column, times in enumerate((sent, answers)):
        for time in times:
            counts[min(time // length - start, len(counts) - 1)][column] += 1
    return length, tuple(Period((start + place) * length, *pair) for place, pair in enumerate(counts))


def _issuer(key: KeyEvent) -> str:
    """Return whose document changed this key; of the directory it is not the state whose key it lists."""
    return "governance" if key.source.startswith("directory ") else key.party


def _documents(keys: tuple[KeyEvent, ...]) -> tuple[DocumentRow, ...]:
    rows = {key.document: DocumentRow(key.document, key.source, _issuer(key), key.logged_ms) for key in keys}
    return tuple(rows[index] for index in sorted(rows))


def _with_leaves(page: Page) -> Page:
    """Return the page with a row for every leaf that anything on it names."""
    known = {row.index: row for row in _told(page)}
    for index in _named(page):
        known.setdefault(index, LeafRow(index, None, None, None, None))
    rows = capped((known[index] for index in sorted(known)), MAX_LEAVES)
    values = {field.name: getattr(page, field.name) for field in fields(page)}
    return Page(**(values | {"leaves": rows}))


def _told(page: Page) -> Iterator[LeafRow]:
    relay = page.verdict.coordinator.code if page.verdict.coordinator else None
    endings = (ending.notice for ending in (*page.silent.shown, *page.declined.shown))
    for notice in (*page.notices.shown, *endings):
        yield LeafRow(notice.leaf, "relayed", relay, notice.relayed_ms, notice.envelope)
        ways = ways_of(notice).shown
        steps = [*notice.by_sender[:MAX_STEPS], *(step for way in ways for step in way.steps[:MAX_STEPS])]
        for step in steps:
            yield LeafRow(step.leaf, said(step), step.party, step.at_ms, notice.envelope)


def _named(page: Page) -> Iterator[int]:
    for findings in (page.failures, page.unchecked, page.notes):
        yield from (finding.leaf for finding in findings.shown if finding.leaf is not None)
    yield from (key.leaf for key in page.keys.shown if key.leaf is not None)
    for opened in page.verdict.disclosed:
        yield from (opened.leaf,) if opened.leaf is not None else ()
        yield from opened.decryption_proofs[:MAX_LINKS]
    if (statistics := page.verdict.statistics) is None:
        return
    for source in sources_of(page):
        yield from source.figure.leaves[:MAX_LINKS]
    times = [statistics.to_answer]
    times += [state.to_answer for state in page.states.shown] + [
        level.to_answer for level in page.levels.shown
    ]
    yield from (latency.slowest for latency in times if latency.slowest is not None)
