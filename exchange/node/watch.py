"""Since when this node has watched without a break, by a clock that has not jumped.

Whoever says that another was late must have been looking all the while. A clock that was corrected, or a
machine that stood still, is no reason to accuse anybody: from then on it is counted anew.
"""

from __future__ import annotations

from exchange.clock import Clock

JUMP_MS = 2_000
"""By how much the time of day may drift from the monotonic time between two looks."""
MISSED_LOOKS = 3
"""After so many looks that were left out, this process stood still: what it was told waits unread."""


class Watch:
    """Compares both times of a clock at each look.

    Args:
        clock: The clock.
        look_s: Seconds between two looks.

    Attributes:
        since_ms: Since when the watch is unbroken, milliseconds UTC by the time of day of the last look.
    """

    def __init__(self, clock: Clock, look_s: float) -> None:
        self._clock = clock
        self._gap_ms = MISSED_LOOKS * look_s * 1000 + JUMP_MS
        self._steady_ms = clock.monotonic() * 1000
        self.since_ms = self._now_ms = clock.now_ms()

    def begin(self) -> bool:
        """Begin a watch with the first look; return False if the clock has jumped since the last look."""
        _, jumped = self._compare()
        self.since_ms = self._now_ms
        return not jumped

    def look(self) -> bool:
        """Note that somebody looks now; return False if the watch was broken, and begins anew here."""
        passed_ms, jumped = self._compare()
        broken = jumped or passed_ms > self._gap_ms
        if broken:
            self.since_ms = self._now_ms
        return not broken

    def _compare(self) -> tuple[float, bool]:
        """Return how long the last look is ago, and whether the time of day has jumped since."""
        now_ms, steady_ms = self._clock.now_ms(), self._clock.monotonic() * 1000
        passed_ms = steady_ms - self._steady_ms
        jumped = abs(now_ms - self._now_ms - passed_ms) > JUMP_MS
        self._now_ms, self._steady_ms = now_ms, steady_ms
        return passed_ms, jumped
