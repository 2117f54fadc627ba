"""What was measured, in words and as one object: times with the disk's own beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from exchange.hammer.histogram import Histogram
from exchange.hammer.load import Measured
from exchange.hammer.target import Target

PERCENTILES = (50.0, 90.0, 99.0, 99.9)
NAMES: Mapping[str, str] = {
    "accepted": "accepted: stored by the node",
    "relayed": "relayed: promised by the coordinator",
    "received": "received: by each recipient",
    "all": "received by all of a notice",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for."""

    profile: str
    rate: float
    seconds: float
    seed: int


@dataclass(frozen=True, slots=True)
class Result:
    """One run.

    Attributes:
        plan: What was asked for.
        target: Of whom.
        measured: What came of it.
        disk: Flushes before and after; None if they were not measured.
        interrupted: Whether somebody stopped it.
    """

    plan: Plan
    target: Target
    measured: Measured
    disk: Histogram | None
    interrupted: bool

    def as_object(self) -> dict[str, object]:
        """Return everything for machines; times in milliseconds."""
        measured = self.measured
        return {
            "community": self.target.community,
            "state": self.target.state,
            "recipients": self.target.recipients,
            "profile": self.plan.profile,
            "rate": self.plan.rate,
            "seconds": self.plan.seconds,
            "seed": self.plan.seed,
            "interrupted": self.interrupted,
            "due": measured.due,
            "held_back": measured.held_back,
            "outcomes": {
                "accepted": measured.accepted,
                "busy": measured.busy,
                "rejected": measured.rejected,
                "unknown": measured.unknown,
            },
            "deliveries": measured.deliveries,
            "received": len(measured.times["received"]),
            "sent_seconds": round(measured.seconds, 3),
            "latency_ms": {name: _figures(times) for name, times in measured.times.items()},
            "flush_ms": None if self.disk is None else _figures(self.disk),
        }

    def lines(self) -> Iterator[str]:
        """Yield the lines for people."""
        plan, measured = self.plan, self.measured
        yield (
            f"{self.target.community}: {self.target.state} to {', '.join(self.target.recipients)}; "
            f"{plan.profile}, at most {plan.rate:g}/s, seed {plan.seed}"
        )
        if self.interrupted:
            yield "INTERRUPTED: what follows was measured until then."
        rate = measured.due / measured.seconds if measured.seconds else 0.0
        yield f"  due        {measured.due:>7}   in {measured.seconds:.1f} s, {rate:.1f}/s"
        if measured.held_back:
            yield f"  held back  {measured.held_back:>7}   this program had too many requests open"
        yield f"  accepted   {measured.accepted:>7}"
        yield f"  busy       {measured.busy:>7}   refused for now, nothing taken"
        yield f"  rejected   {sum(measured.rejected.values()):>7}   {_reasons(measured.rejected)}".rstrip()
        yield f"  unknown    {sum(measured.unknown.values()):>7}   {_reasons(measured.unknown)}".rstrip()
        arrived = len(measured.times["received"])
        yield f"  received   {arrived:>7}   of {measured.deliveries}; {measured.deliveries - arrived} not yet"
        yield f"{'ms, from when it was due':<38}{'p50':>9}{'p90':>9}{'p99':>9}{'p99.9':>9}{'most':>9}"
        for name, text in NAMES.items():
            yield _line(text, measured.times[name])
        yield "the disk was not measured" if self.disk is None else _line("one flush of this disk", self.disk)


def _line(text: str, times: Histogram) -> str:
    if not len(times):
        return f"  {text:<36}{'-':>9}"
    values = [*(times.percentile(one) for one in PERCENTILES), times.most]
    return f"  {text:<36}" + "".join(f"{value * 1000:>9.1f}" for value in values)


def _figures(times: Histogram) -> dict[str, float]:
    named = {f"p{one:g}": round(times.percentile(one) * 1000, 3) for one in PERCENTILES}
    return {
        "count": len(times),
        "mean": round(times.mean * 1000, 3),
        **named,
        "most": round(times.most * 1000, 3),
    }


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{code} {count}" for code, count in sorted(counts.items()))
