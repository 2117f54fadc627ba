"""How long to wait before the next try: capped, jittered, for ever."""

from __future__ import annotations

from collections.abc import Callable

FIRST_SECONDS = 0.5
FACTOR = 2.0


class Backoff:
    """Pauses that grow from half a second to a cap, each drawn between half and all of its step.

    Args:
        cap_seconds: The longest pause.
        draw: Returns a number from 0 up to 1; spreads out nodes that lost the same coordinator.
    """

    def __init__(self, cap_seconds: float, draw: Callable[[], float]) -> None:
        self._cap = cap_seconds
        self._draw = draw
        self._step = FIRST_SECONDS

    def next_pause(self) -> float:
        """Return the seconds to wait now; the next pause will be longer, up to the cap."""
        step = min(self._step, self._cap)
        self._step = min(step * FACTOR, self._cap)
        return step * (0.5 + 0.5 * self._draw())

    def succeeded(self) -> None:
        """Start again from the shortest pause."""
        self._step = FIRST_SECONDS
