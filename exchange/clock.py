"""The only reader of time. Everything else is given a time, or a clock.

Two kinds of time are kept apart: :meth:`Clock.now_ms` says *when* (for records and deadlines, may
jump when an administrator corrects the machine), :meth:`Clock.monotonic` says *how long* (for
timers and back-off, never runs backwards, means nothing on another machine).
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the rest of the house may ask about time."""

    def now_ms(self) -> int:
        """Return the time of day: milliseconds UTC since 1970."""
        ...

    def monotonic(self) -> float:
        """Return seconds since an unspecified moment; only differences mean anything."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now_ms(self) -> int:
        """Return the machine's time of day: milliseconds UTC since 1970."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds."""
        return time.monotonic()


def pause(seconds: float) -> None:
    """Block this thread for so long. For commands that wait for a process; never inside an event loop."""
    time.sleep(seconds)
