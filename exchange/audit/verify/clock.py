"""The ledger's clock: the times by which quorums of witnesses had cosigned its beginnings.

The time in a leaf is the coordinator's word. What bounds it are two checkpoints: the last one
that does not hold the leaf yet, and the first one that does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from protocol.statement import MERGE_DELAY_MS

CLOCK_SLACK_MS = 60_000
"""By how much the clocks of a coordinator and of its witnesses may differ."""


class Witnessed(NamedTuple):
    """A size of the ledger, and when a quorum had cosigned it, milliseconds UTC."""

    size: int
    quorum_ms: int


class Bracket(NamedTuple):
    """The witnesses' times around one leaf; None where there is no checkpoint on that side."""

    not_before_ms: int | None
    not_after_ms: int | None


class WitnessClock:
    """Answers when something was in the ledger.

    Args:
        witnessed: Checkpoints that had a quorum, by rising size.
    """

    def __init__(self, witnessed: Sequence[Witnessed]) -> None:
        self.witnessed = tuple(witnessed)
        self._sizes = [one.size for one in witnessed]
        times = [one.quorum_ms for one in witnessed]
        # Checkpoints are cosigned in their order. Where clocks say otherwise, both bounds give way.
        self._latest = list(accumulate(times, max))
        self._earliest = list(accumulate(reversed(times), min))[::-1]

    @property
    def end_ms(self) -> int | None:
        """The time of the last witnessed checkpoint."""
        return self._earliest[-1] if self._earliest else None

    def bracket(self, leaf: int) -> Bracket:
        """Return the times before which a leaf was not, and after which it was, in the ledger."""
        at = bisect_right(self._sizes, leaf)
        return Bracket(
            self._earliest[at - 1] if at else None,
            self._latest[at] if at < len(self._sizes) else None,
        )

    def size_after(self, time_ms: int) -> int | None:
        """Return the size of the first checkpoint that was cosigned after a time; None if none was.

        What is not among its leaves was not in the ledger at that time.
        """
        at = bisect_right(self._earliest, time_ms)
        return self._sizes[at] if at < len(self._sizes) else None


def outside(time_ms: int, bracket: Bracket) -> bool:
    """Return whether a leaf's recorded time cannot be true.

    Before the earlier checkpoint it may lie by the delay within which the coordinator must log what
    it recorded, and on both sides by what clocks differ.
    """
    before, after = bracket
    if before is not None and time_ms < before - MERGE_DELAY_MS - CLOCK_SLACK_MS:
        return True
    return after is not None and time_ms > after + CLOCK_SLACK_MS
