"""A member's clock: the time of day may be wrong and jump, the monotonic one begins with each process."""

from __future__ import annotations

from tests.simulation.loop import SimLoop


class SimClock:
    """The clock of one member's machine.

    Args:
        loop: Whose virtual time it follows.
        began_ms: The time of day at virtual second 0, milliseconds UTC.

    Attributes:
        wrong_ms: By how much its time of day is ahead.
        booted: The virtual second at which its monotonic time was 0.
    """

    def __init__(self, loop: SimLoop, began_ms: int) -> None:
        self._loop = loop
        self._began_ms = began_ms
        self.wrong_ms = 0
        self.booted = 0.0

    def now_ms(self) -> int:
        """Return the time of day, as far as this machine knows."""
        return self._began_ms + int(self._loop._now * 1000) + self.wrong_ms

    def monotonic(self) -> float:
        """Return seconds since this machine was started."""
        return self._loop._now - self.booted
