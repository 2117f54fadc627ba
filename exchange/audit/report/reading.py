"""A verdict read for the page: what is listed of it, what is left out, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from exchange.audit.verdict import (
    CheckpointView,
    DeliveryEvidence,
    Figure,
    MilestoneView,
    NoticeEvidence,
    Step,
    Tally,
    Verdict,
)
from protocol.marking import Tlp

T = TypeVar("T")

MAX_MILESTONES = 200
MAX_RECIPIENTS_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Capped(Generic[T]):
    """The first of many things, and how many there are."""

    shown: tuple[T, ...]
    total: int

    @property
    def left_out(self) -> int:
        """How many are not on the page."""
        return max(self.total - len(self.shown), 0)


@dataclass(frozen=True, slots=True)
class Split:
    """Deliveries, each counted once: the five add up to ``deliveries``."""

    deliveries: int
    in_time: int
    late: int
    waiting: int
    silent: int
    failed: int

    @property
    def answered(self) -> int:
        """How many a named officer answered."""
        return self.in_time + self.late

    def parts(self) -> tuple[tuple[str, int], ...]:
        """Return the five with their names, best first."""
        names = ("in_time", "late", "waiting", "silent", "failed")
        return tuple((name, getattr(self, name)) for name in names)


def capped(things: Iterable[T], limit: int, total: int | None = None) -> Capped[T]:
    """Return the first ``limit`` things; ``total`` if there are more than are given."""
    every = tuple(things)
    return Capped(every[:limit], len(every) if total is None else total)


def ways_of(notice: NoticeEvidence) -> Capped[DeliveryEvidence]:
    """Return a notice's deliveries as far as they are listed: the troubled first, then by state."""

    def order(delivery: DeliveryEvidence) -> tuple[bool, bool, str]:
        troubled = delivery.silent or delivery.outcome in ("rejected", "undelivered")
        return not troubled, not delivery.late, delivery.state

    return capped(sorted(notice.deliveries, key=order), MAX_RECIPIENTS_SHOWN)


def missing_witnesses(verdict: Verdict, checkpoint: CheckpointView) -> tuple[str, ...]:
    """Return the states whose witness keys are known and which did not cosign a checkpoint."""
    keys: dict[str, set[str]] = {}
    for event in verdict.keys:
        if event.role == "witness":
            held = keys.setdefault(event.party, set())
            (held.add if event.event == "added" else held.discard)(event.key_id)
    cosigned = {witness.state for witness in checkpoint.witnesses}
    return tuple(sorted(state for state, held in keys.items() if held and state not in cosigned))


def marking_of(verdict: Verdict) -> Tlp | None:
    """Return the strictest label of the notices whose text is on the page, which the page then has too."""
    labels = [Tlp(one.tlp) if one.tlp in set(Tlp) else Tlp.RED for one in verdict.disclosed]
    return max(labels, key=lambda label: label.strictness, default=None)


def milestones_of(verdict: Verdict) -> Capped[MilestoneView]:
    """Return witnessed checkpoints of the statements' log, evenly chosen if there are many."""
    every = sorted(verdict.milestones, key=lambda one: one.size)
    step = -(-len(every) // MAX_MILESTONES) or 1
    # Counted from the end: the newest is always among them.
    return Capped(tuple(reversed(every[::-1][::step])), len(every))


def split_of(tally: Tally, answered: int) -> Split:
    """Return the deliveries of a tally, each counted once.

    Args:
        tally: What became of them.
        answered: How many a named officer answered.
    """
    deliveries, silent, waiting = tally.deliveries.count, tally.silent.count, tally.waiting.count
    late = min(tally.late.count, answered)
    failed = max(deliveries - answered - silent - waiting, 0)
    return Split(deliveries, answered - late, late, waiting, silent, failed)


def said(step: Step) -> str:
    """Return the kind of a statement as states of delivery are written, such as ``received``."""
    return step.kind.lower()


def figures_of(tally: Tally) -> Iterator[tuple[str, Figure]]:
    """Yield the figures of a tally with their names."""
    for name in Tally.__struct_fields__:
        yield name, getattr(tally, name)


def checkpoints_of(verdict: Verdict) -> tuple[CheckpointView, ...]:
    """Return the checkpoints of both logs, as far as they could be read."""
    both = (verdict.checkpoint, verdict.directory_checkpoint)
    return tuple(checkpoint for checkpoint in both if checkpoint is not None)
