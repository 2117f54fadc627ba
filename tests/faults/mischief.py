"""Troubles of the network, made by the proxy: what a line does on a bad day."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from tests.acceptance.ceremony import HUB
from tests.acceptance.world import World
from tests.faults.proxy import KINDLY, End, Proxy, Treatment, Way
from tests.faults.troubles import Trouble

LONGEST_CUT_BYTES = 60_000
SEGMENT_BYTES = 1
DELAY_S = 0.1


class Mischief(Trouble):
    """One bad line after another for everybody: single bytes, delays, stalls, half-closes, cuts, flapping.

    Args:
        proxy: What stands before the coordinator.
    """

    fault = "bad line"

    def __init__(self, world: World, proxy: Proxy, seed: int, least: int) -> None:
        super().__init__(world, seed, least)
        self._proxy = proxy
        self._lines: dict[str, Callable[[], None]] = {
            "segments": lambda: self._treat(Treatment(slice=SEGMENT_BYTES)),
            "delay": lambda: self._treat(Treatment(delay_s=DELAY_S)),
            "stall": lambda: self._end(End.STALL),
            "half": lambda: self._end(End.HALF),
            "cut": lambda: self._end(End.CUT),
            "reset": lambda: self._end(End.RESET),
            "flap": self._proxy.cut,
            "partition": lambda: self._treat(Treatment(after=1, end=End.STALL)),
        }

    def make(self) -> None:
        """Let the next line be bad in one way, for everybody who connects from now on and is connected."""
        left = [line for line in self._lines if not self.victims[line]]
        line = self.dice.choice(left or list(self._lines))
        self._lines[line]()
        self._proxy.cut()
        self.victims[line] += 1
        self.pause(0.3, 1.5)

    def heal(self) -> None:
        """Treat everybody kindly."""
        self._treat(KINDLY)
        self._proxy.cut()

    @property
    def lines(self) -> int:
        """How many kinds of bad lines there are."""
        return len(self._lines)

    def _treat(self, treatment: Treatment) -> None:
        self._proxy.treat = lambda _: treatment

    def _end(self, end: End) -> None:
        """End each connection in this way, each after another number of bytes and in another direction."""
        self._proxy.treat = lambda _: Treatment(
            way=self.dice.choice(tuple(Way)), after=self.dice.randrange(1, LONGEST_CUT_BYTES), end=end
        )


class Throttle(Trouble):
    """A coordinator that gets a tenth of a processor: stopped for nine of ten hundredths of a second."""

    fault = "a tenth of a processor"

    def make(self) -> None:
        """Run it for 10 ms, and let it wait for 90."""
        process = self.world.pid(HUB)
        for _ in range(10):
            os.kill(process, signal.SIGSTOP)
            try:
                self.pause(0.09, 0.09)
            finally:
                os.kill(process, signal.SIGCONT)
            self.pause(0.01, 0.01)
        self.victims[HUB] += 1

    def between(self) -> bool:
        """Go on at once."""
        return self.pause(0.0, 0.0)
