"""Clocks for tests: time moves only when the test says so."""

from __future__ import annotations

DAWN = 1_772_335_000_000  # 2026-03-01, the day on which all fictitious incidents happen


class FixedClock:
    """A clock that stands still until :meth:`advance` or :meth:`set` moves it."""

    def __init__(self, now_ms: int = DAWN) -> None:
        self._now_ms = now_ms
        self._seconds = 0.0

    def now_ms(self) -> int:
        """Return the set time of day in milliseconds UTC."""
        return self._now_ms

    def monotonic(self) -> float:
        """Return the seconds advanced so far."""
        return self._seconds

    def advance(self, milliseconds: int) -> None:
        """Let time pass: both the time of day and the monotonic clock move."""
        self._now_ms += milliseconds
        self._seconds += milliseconds / 1000

    def set(self, now_ms: int) -> None:
        """Correct the time of day, as an administrator would; the monotonic clock does not notice."""
        self._now_ms = now_ms
