"""The charts: what the page shows, as drawings with the words for those who do not see them.

Nothing is said by colour alone: marks differ in form, bars in pattern and place, and beside every
chart stands a table of the same figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from exchange.audit.report.model import (
    Period,
)
from exchange.audit.report.reading import (
    said,
    split_of,
)
from exchange.audit.report.scene import Bar, Label, Mark, Rule, Scene, Shape, at
from exchange.audit.report.terms import Terms
from exchange.audit.verdict import (
    Bucket,
    CheckpointView,
    DeliveryEvidence,
    MilestoneView,
    NoticeEvidence,
    SeverityFigures,
    StateFigures,
)

MAX_WAYS = 18
MAX_LINES = 12
_SHORTEST_MS, _LONGEST_MS = 100, 7 * 86_400_000
_TICKS_MS = (1_000, 10_000, 60_000, 600_000, 3_600_000, 28_800_000, 86_400_000, 604_800_000)
_MINOR_TICKS = frozenset({10_000, 600_000, 28_800_000})
_BAR_GAP = 0.003

MARK_OF: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "received": ("ring", "mid"),
        "opened": ("square", "mid"),
        "accepted": ("disc", "ok"),
        "completed": ("diamond", "ok"),
        "declined": ("cross", "warn"),
        "rejected": ("triangle", "bad"),
        "undelivered": ("triangle", "bad"),
        "due": ("bar", "ember"),
    }
)
"""The form and colour of each statement in a drawing; ``due`` is when an answer was expected."""

PARTS: Mapping[str, str] = MappingProxyType(
    {"in_time": "ok", "late": "late", "waiting": "pale", "silent": "silent", "failed": "broken"}
)
"""The pattern of each part of the deliveries."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing with the words that a reader who does not see it needs."""

    name: str
    title: str
    description: str
    scene: Scene


def over_time(periods: Sequence[Period], period_ms: int, terms: Terms) -> Chart:
    """Draw notices upwards and answers downwards, period by period, on one scale."""
    words, tall = terms.words, 130.0
    notices = max((one.notices for one in periods), default=0)
    answers = max((one.answers for one in periods), default=0)
    scale = tall / max(notices + answers, 1)
    middle = 16 + scale * notices
    bottom = middle + scale * answers
    shapes: list[Shape] = []
    for place, one in enumerate(periods):
        left, right = at((place + 0.12) / len(periods)), at((place + 0.88) / len(periods))
        up, down = max(scale * one.notices, 2), max(scale * one.answers, 2)
        across = (left + right) / 2
        if one.notices:
            shapes.append(Bar(left, right, middle - up, up, "ember"))
            if one.notices == notices:
                shapes.append(Label(across, middle - up - 5, words.number(notices), anchor="middle"))
        if one.answers:
            shapes.append(Bar(left, right, middle, down, "ok"))
            if one.answers == answers:
                shapes.append(Label(across, middle + down + 13, words.number(answers), anchor="middle"))
    shapes += [Rule(at(0), middle, at(1), middle), *_dates(periods, period_ms, bottom + 32, terms)]
    title = words.say("Notices and answers over time")
    return Chart("over-time", title, _peak(periods, period_ms, terms), Scene(bottom + 38, tuple(shapes)))


def _peak(periods: Sequence[Period], period_ms: int, terms: Terms) -> str:
    words = terms.words
    if not periods:
        return words.say("There is nothing to show.")
    peak = max(periods, key=lambda one: one.notices)
    return words.say(
        "From %(start)s to %(end)s. Most notices were relayed in the period from %(peak)s: %(count)s.",
        start=words.time(periods[0].start_ms),
        end=words.time(periods[-1].start_ms + period_ms),
        peak=words.time(peak.start_ms),
        count=words.number(peak.notices),
    )


def _dates(periods: Sequence[Period], period_ms: int, y: float, terms: Terms) -> list[Shape]:
    if not periods:
        return []
    first, last = periods[0].start_ms, periods[-1].start_ms + period_ms
    return [
        Label(at(0), y, terms.moment(first, period_ms)),
        Label(at(0.5), y, terms.moment((first + last) // 2, period_ms), anchor="middle", minor=True),
        Label(at(1), y, terms.moment(last, period_ms), anchor="end"),
    ]


def latencies(levels: Sequence[SeverityFigures], terms: Terms) -> Chart:
    """Draw, for each severity, how many answers took how long; an upright bar marks the median."""
    words, row = terms.words, 82.0
    shapes: list[Shape] = []
    heard: list[str] = []
    for place, one in enumerate(levels):
        shapes += _latency_row(one, place * row, terms)
        heard.append(terms.words.pair(terms.level(one.schema, one.version, one.level), _told(one, terms)))
    bottom = len(levels) * row
    if levels:
        shapes += _bucket_axis(levels[0].to_answer.buckets, bottom, terms)
    title = words.say("Time to the first answer, by severity")
    told = "; ".join(heard) or words.say("There is nothing to show.")
    return Chart("latencies", title, told, Scene(bottom + 22, tuple(shapes)))


def _told(one: SeverityFigures, terms: Terms) -> str:
    answered = terms.of_answered(one.to_answer.count, one.tally.deliveries.count)
    if one.to_answer.median_ms is None:
        return answered
    length = terms.words.length(one.to_answer.median_ms)
    return terms.words.say("%(answered)s, median %(length)s", answered=answered, length=length)


def _latency_row(one: SeverityFigures, top: float, terms: Terms) -> list[Shape]:
    floor, tall = top + 70, 42.0
    buckets = one.to_answer.buckets
    shapes: list[Shape] = [
        Label(at(0), top + 15, terms.point(one.point), "ink", strong=True),
        Label(at(1), top + 15, _told(one, terms), anchor="end", minor=True),
        Rule(at(0), floor, at(1), floor, "line"),
    ]
    most = max((bucket.count for bucket in buckets), default=0)
    for place, bucket in enumerate(buckets):
        if bucket.count:
            height = max(tall * bucket.count / most, 2)
            left, right = at((place + 0.06) / len(buckets)), at((place + 0.94) / len(buckets))
            shapes.append(Bar(left, right, floor - height, height, "deep"))
    if one.to_answer.median_ms is not None and buckets:
        shapes.append(Mark(at(in_buckets(one.to_answer.median_ms, buckets)), floor, "bar", "ember"))
    return shapes


def in_buckets(latency_ms: int, buckets: Sequence[Bucket]) -> float:
    """Return where a latency lies on an axis of equally wide classes, as a share of its length."""
    low = 0
    for place, bucket in enumerate(buckets):
        if bucket.up_to_ms is None:
            return (place + 0.5) / len(buckets)
        if latency_ms <= bucket.up_to_ms:
            return (place + max(latency_ms - low, 0) / (bucket.up_to_ms - low)) / len(buckets)
        low = bucket.up_to_ms
    return 1.0


def _bucket_axis(buckets: Sequence[Bucket], y: float, terms: Terms) -> list[Shape]:
    bounds = [(place + 1, one.up_to_ms) for place, one in enumerate(buckets) if one.up_to_ms is not None]
    every = max(math.ceil(len(bounds) / 8), 1)
    return [
        Label(
            at(place / len(buckets)),
            y + 12,
            terms.words.length(bound),
            anchor="middle",
            minor=number // every % 2 == 1,
        )
        for number, (place, bound) in enumerate(bounds)
        if number % every == 0
    ]


def outcomes(states: Sequence[StateFigures], terms: Terms) -> Chart:
    """Draw, for each state, what became of the notices that were addressed to it."""
    words, row = terms.words, 60.0
    shapes: list[Shape] = []
    heard: list[str] = []
    for place, state in enumerate(states):
        told = terms.of_answered(state.to_answer.count, state.got.deliveries.count)
        heard.append(words.pair(terms.plain(state.state), told))
        shapes += [
            Label(at(0), place * row + 15, terms.plain(state.state), "ink", strong=True),
            Label(at(1), place * row + 15, told, anchor="end"),
            *_stack(state, place * row + 23, words.number),
        ]
    told = "; ".join(heard) or words.say("There is nothing to show.")
    title = words.say("What became of notices, by recipient state")
    return Chart("outcomes", title, told, Scene(len(states) * row + 2, tuple(shapes)))


def _stack(state: StateFigures, y: float, number: object) -> Iterable[Shape]:
    split = split_of(state.got, state.to_answer.count)
    yield Bar(at(0), at(1), y, 16, "track")
    done = 0
    for name, count in split.parts():
        if not count:
            continue
        left, right = at(done / split.deliveries), at(min((done + count) / split.deliveries, 1))
        done += count
        yield Bar(left, max(right - _BAR_GAP, left + 0.002), y, 16, PARTS[name])
        if count / split.deliveries >= 0.05:
            yield Label(left, y + 30, number(count) if callable(number) else "")


def ways(notices: Sequence[NoticeEvidence], terms: Terms) -> Chart:
    """Draw each notice's way: how long after it was relayed each recipient said what."""
    words, row = terms.words, 48.0
    shapes: list[Shape] = []
    for place, notice in enumerate(notices[:MAX_WAYS]):
        y = place * row + 30
        shapes += [
            Label(at(0), y - 14, f"{terms.short(notice.envelope)}  {_parties(notice, terms)}", "ink"),
            Label(at(1), y - 14, terms.point(notice.point), anchor="end", minor=True),
            Rule(at(0), y, at(1), y, "line"),
            *_marks(notice, notice.deliveries, y),
        ]
    bottom = min(len(notices), MAX_WAYS) * row
    shapes = [*_grid(bottom), *shapes, *_time_axis(bottom, terms)]
    title = words.say("The way of each notice, from relay to each statement")
    told = words.say("One line for each notice: the further left a mark, the sooner it came.")
    return Chart("ways", title, told, Scene(bottom + 22, tuple(shapes)))


def one_way(notice: NoticeEvidence, name: str, terms: Terms) -> Chart:
    """Draw the way of one notice, one line for each of its first recipients."""
    row, shown = 36.0, notice.deliveries[:MAX_LINES]
    shapes: list[Shape] = []
    for place, delivery in enumerate(shown):
        y = place * row + 25
        shapes += [
            Label(at(0), y - 11, terms.plain(delivery.state), "ink", strong=True),
            Label(at(1), y - 11, terms.delivery(delivery), anchor="end"),
            Rule(at(0), y, at(1), y, "line"),
            *_marks(notice, (delivery,), y),
        ]
    bottom = len(shown) * row
    shapes = [*_grid(bottom), *shapes, *_time_axis(bottom, terms)]
    told = "; ".join(terms.words.pair(terms.plain(one.state), terms.delivery(one)) for one in shown)
    title = terms.words.say("From relay to each statement, by recipient")
    return Chart(name, title, told, Scene(bottom + 22, tuple(shapes)))


def _parties(notice: NoticeEvidence, terms: Terms) -> str:
    codes = [terms.plain(delivery.state) for delivery in notice.deliveries]
    more = f" +{len(codes) - 3}" if len(codes) > 4 else ""
    return f"{terms.plain(notice.sender)} → {', '.join(codes[:3] if more else codes)}{more}"


def _marks(notice: NoticeEvidence, ways: Sequence[DeliveryEvidence], y: float) -> Iterable[Shape]:
    if notice.respond_by_ms is not None:
        yield Mark(at(on_axis(notice.respond_by_ms - notice.relayed_ms)), y, *MARK_OF["due"])
    for step in (step for way in ways for step in way.steps):
        if said(step) in MARK_OF:
            yield Mark(at(on_axis(step.at_ms - notice.relayed_ms)), y, *MARK_OF[said(step)])


def on_axis(latency_ms: int) -> float:
    """Return where a length of time lies on the logarithmic axis from 0.1 s to 7 days."""
    bounded = min(max(latency_ms, _SHORTEST_MS), _LONGEST_MS)
    return math.log(bounded / _SHORTEST_MS) / math.log(_LONGEST_MS / _SHORTEST_MS)


def _grid(bottom: float) -> Iterable[Shape]:
    for tick in _TICKS_MS[:-1]:
        yield Rule(at(on_axis(tick)), 20, at(on_axis(tick)), bottom, "line", dashed=True)


def _time_axis(y: float, terms: Terms) -> Iterable[Shape]:
    for tick in _TICKS_MS:
        last = tick == _LONGEST_MS
        yield Label(
            at(on_axis(tick)),
            y + 14,
            terms.words.length(tick),
            anchor="end" if last else "middle",
            minor=tick in _MINOR_TICKS,
        )


def growth(milestones: Sequence[MilestoneView], terms: Terms) -> Chart:
    """Draw how the log grew from one witnessed checkpoint to the next."""
    words, floor, tall = terms.words, 112.0, 92.0
    ordered = sorted(milestones, key=lambda one: (one.quorum_ms, one.size))
    if not ordered:
        return Chart("growth", words.say("Growth of the log"), "", Scene(0, ()))
    first, last = ordered[0].quorum_ms, ordered[-1].quorum_ms
    most = max(max(one.size for one in ordered), 1)
    shapes: list[Shape] = []
    for place, one in enumerate(ordered):
        x = at((one.quorum_ms - first) / max(last - first, 1) if len(ordered) > 1 else 0.5)
        top = floor - max(tall * one.size / most, 1)
        shapes += [Rule(x, floor, x, top, "mid"), Mark(x, top, "disc", "deep")]
        if place == len(ordered) - 1:
            label = words.say_n("%(n)s leaf", "%(n)s leaves", one.size)
            shapes.append(Label(at(1) if len(ordered) > 1 else x, top - 9, label, "ink", "end", strong=True))
    shapes.append(Rule(at(0), floor, at(1), floor))
    span = max(last - first, 1)
    shapes.append(Label(at(0), floor + 16, terms.moment(first, min(span, 1000))))
    if len(ordered) > 1:
        shapes.append(Label(at(1), floor + 16, terms.moment(last, min(span, 1000)), anchor="end"))
    told = words.say(
        "%(count)s checkpoints that a quorum cosigned, from %(first)s to %(last)s.",
        count=words.number(len(ordered)),
        first=words.time(first),
        last=words.time(last),
    )
    return Chart("growth", words.say("Growth of the log"), told, Scene(floor + 24, tuple(shapes)))


def witnesses(checkpoint: CheckpointView, missing: Sequence[str], name: str, terms: Terms) -> Chart:
    """Draw when each witness cosigned a checkpoint, after the first of them; a cross if it did not."""
    words, row = terms.words, 28.0
    ordered = sorted(checkpoint.witnesses, key=lambda one: (one.cosigned_ms, one.state))
    start = ordered[0].cosigned_ms if ordered else 0
    span = max((one.cosigned_ms - start for one in ordered), default=0) or 1
    shapes: list[Shape] = []
    for line, one in enumerate(ordered):
        y, x = line * row + 16, at(0.2 + 0.7 * (one.cosigned_ms - start) / span)
        shapes += [
            Label(at(0), y + 4, terms.plain(one.state), "ink", strong=True),
            Rule(at(0.2), y, at(0.9), y, "line"),
            Mark(x, y, "disc", "ok"),
            Label(at(1), y + 4, f"+{words.length(one.cosigned_ms - start)}", anchor="end"),
        ]
    for line, state in enumerate(missing, start=len(ordered)):
        y = line * row + 16
        shapes += [
            Label(at(0), y + 4, terms.plain(state), "ink", strong=True),
            Mark(at(0.2), y, "cross", "bad"),
            Label(at(1), y + 4, words.say("no cosignature"), anchor="end"),
        ]
    told = words.say(
        "%(cosigned)s witnesses cosigned; %(needed)s make a quorum.",
        cosigned=words.number(len(ordered)),
        needed=words.number(checkpoint.needed),
    )
    title = words.say("When each witness cosigned: %(log)s", log=terms.log(checkpoint.log))
    height = (len(ordered) + len(missing)) * row + 8
    return Chart(name, title, told, Scene(height, tuple(shapes)))
