"""The plan of the byte-offset loop: which connection of whom is cut where, and what has been done of it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

from tests.faults.proxy import KINDLY, End, Treatment, Way


class Offsets:
    """Cuts one connection after another of one state, each at the next offset of the plan.

    Args:
        code: Whose connections are cut; others pass.
        offsets: Directions and numbers of bytes.
        ends: How the connections end, by turns.
    """

    def __init__(
        self, code: str, offsets: Iterable[tuple[Way, int]], ends: tuple[End, ...] = (End.CUT, End.RESET)
    ) -> None:
        self.code = code
        self._plan = deque(offsets)
        self._ends = deque(ends)
        self._lock = threading.Lock()
        self.size = len(self._plan)

    def __call__(self, code: str) -> Treatment:
        """Return the treatment of the next connection."""
        with self._lock:
            if code != self.code or not self._plan:
                return KINDLY
            way, after = self._plan.popleft()
            self._ends.rotate()
            return Treatment(way=way, after=after, end=self._ends[0])

    @property
    def left(self) -> int:
        """How many offsets have not been given out."""
        return len(self._plan)


def every(way: Way, size: int, stride: int, first: int) -> Iterable[tuple[Way, int]]:
    """Yield a direction's offsets.

    Args:
        way: The direction.
        size: How many bytes a whole session sends that way.
        stride: How far apart the offsets lie.
        first: The first of them.
    """
    return ((way, after) for after in range(first, size + 1, stride))
