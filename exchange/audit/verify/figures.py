"""Counting deliveries and latencies: in all, by state, and by level of severity."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from exchange.audit.verdict import (
    Bucket,
    Figure,
    Latency,
    SeverityFigures,
    StateFigures,
    Statistics,
    Tally,
)
from protocol.severity import SeverityTag

LEAVES_NAMED = 50
"""How many leaves a figure names."""

BOUNDS_MS: tuple[int, ...] = (
    *(1_000, 2_000, 5_000, 10_000, 30_000),
    *(60_000, 120_000, 300_000, 600_000, 1_800_000),
    *(3_600_000, 7_200_000, 14_400_000, 28_800_000, 86_400_000),
    *(172_800_000, 259_200_000, 604_800_000),
)
"""Upper bounds of the classes of a distribution; one more class lies above the last."""

FIELDS = tuple(Tally.__struct_fields__)
_MAX_MS = 2**32 - 1


class _Counter:
    """A count, and the lowest leaves that were counted."""

    __slots__ = ("count", "leaves")

    def __init__(self) -> None:
        self.count = 0
        self.leaves: list[int] = []

    def add(self, leaf: int) -> None:
        self.count += 1
        self.leaves.append(leaf)
        if len(self.leaves) > 4 * LEAVES_NAMED:
            self._shorten()

    def figure(self) -> Figure:
        self._shorten()
        return Figure(self.count, tuple(self.leaves))

    def _shorten(self) -> None:
        self.leaves = sorted(self.leaves)[:LEAVES_NAMED]


class _Latencies:
    """All latencies of a group, four bytes each: 49 days and more count as 49 days."""

    __slots__ = ("slowest", "values")

    def __init__(self) -> None:
        self.values = array("I")
        self.slowest: tuple[int, int] = (-1, 0)

    def add(self, millis: int, leaf: int) -> None:
        # Two leaves of one round may be a few milliseconds out of order.
        value = min(max(millis, 0), _MAX_MS)
        self.values.append(value)
        self.slowest = max(self.slowest, (value, -leaf))

    def latency(self) -> Latency:
        ranked = sorted(self.values)
        count = len(ranked)
        buckets: list[Bucket] = []
        at = 0
        for bound in (*BOUNDS_MS, None):
            start = at
            while at < count and (bound is None or ranked[at] <= bound):
                at += 1
            buckets.append(Bucket(bound, at - start))
        return Latency(
            count=count,
            median_ms=_percentile(ranked, 50),
            p90_ms=_percentile(ranked, 90),
            max_ms=ranked[-1] if ranked else None,
            slowest=-self.slowest[1] if ranked else None,
            buckets=tuple(buckets),
        )


@dataclass(slots=True)
class _Group:
    """The figures of one group of deliveries."""

    counters: dict[str, _Counter] = field(default_factory=lambda: {name: _Counter() for name in FIELDS})
    to_received: _Latencies = field(default_factory=_Latencies)
    to_answer: _Latencies = field(default_factory=_Latencies)

    def tally(self) -> Tally:
        return Tally(**{name: counter.figure() for name, counter in self.counters.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One delivery, to be counted.

    ``facts`` maps the fields of :class:`Tally` that it counts in to the leaf that says so.
    """

    state: str
    severity: SeverityTag
    relayed: int
    facts: Mapping[str, int]
    to_received: tuple[int, int] | None
    to_answer: tuple[int, int] | None


class Figures:
    """Counts notices and deliveries."""

    def __init__(self) -> None:
        self._total = _Group()
        self._states: dict[str, _Group] = {}
        self._sent: dict[str, _Counter] = {}
        self._severities: dict[SeverityTag, _Group] = {}

    def notice(self, leaf: int, sender: str, severity: SeverityTag, recipients: tuple[str, ...]) -> None:
        """Count one notice: once in all, for its level, and for each recipient."""
        self._sent.setdefault(sender, _Counter()).add(leaf)
        for group in (self._total, self._level(severity), *(self._state(code) for code in recipients)):
            group.counters["notices"].add(leaf)

    def delivery(self, outcome: Outcome) -> None:
        """Count one delivery."""
        for group in (self._total, self._state(outcome.state), self._level(outcome.severity)):
            group.counters["deliveries"].add(outcome.relayed)
            for fact, leaf in outcome.facts.items():
                group.counters[fact].add(leaf)
            if outcome.to_received is not None:
                group.to_received.add(*outcome.to_received)
            if outcome.to_answer is not None:
                group.to_answer.add(*outcome.to_answer)

    def statistics(self, names: Mapping[str, str], statements: Mapping[str, int]) -> Statistics:
        """Return all figures.

        Args:
            names: The states' names by their codes; all are listed.
            statements: How many statements there are of each kind.
        """
        nothing: Mapping[str, _Counter] = MappingProxyType(self._sent)
        codes = sorted({*names, *self._states, *self._sent})
        return Statistics(
            total=self._total.tally(),
            to_received=self._total.to_received.latency(),
            to_answer=self._total.to_answer.latency(),
            states=tuple(
                StateFigures(
                    state=code,
                    name=names.get(code, code),
                    sent=nothing[code].figure() if code in nothing else Figure(0),
                    got=(group := self._state(code)).tally(),
                    to_received=group.to_received.latency(),
                    to_answer=group.to_answer.latency(),
                )
                for code in codes
            ),
            severities=tuple(
                SeverityFigures(
                    schema=tag.schema,
                    version=tag.version,
                    level=tag.level,
                    point=tag.point,
                    tally=group.tally(),
                    to_received=group.to_received.latency(),
                    to_answer=group.to_answer.latency(),
                )
                for tag, group in sorted(self._severities.items(), key=lambda item: _order(item[0]))
            ),
            statements=tuple(sorted(statements.items())),
        )

    def _state(self, code: str) -> _Group:
        group = self._states.get(code)
        if group is None:
            group = self._states[code] = _Group()
        return group

    def _level(self, severity: SeverityTag) -> _Group:
        group = self._severities.get(severity)
        if group is None:
            group = self._severities[severity] = _Group()
        return group


def _percentile(ranked: list[int], percent: int) -> int | None:
    """Return the nearest-rank percentile of sorted values."""
    return ranked[max(0, -(-len(ranked) * percent // 100) - 1)] if ranked else None


def _order(tag: SeverityTag) -> tuple[str, int, int, str]:
    # Gravest first within a schema; what has no point on the reference scale last.
    return tag.schema, tag.version, -tag.point if tag.point is not None else 1, tag.level
