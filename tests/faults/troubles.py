"""Troubles of processes: killed, ended, frozen, at any moment, by their numbers."""

from __future__ import annotations

import os
import random
import signal
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tests.acceptance.ceremony import CODES, HUB
from tests.acceptance.world import World

ENDS_IN_S = 10.0
"""A service that is asked to end has drained and ended within this time."""


class Trouble(ABC):
    """Makes trouble in a thread of its own until it is told to stop; then everything is well again.

    Args:
        world: Whose services.
        seed: Decides whom and when.
        least: So much trouble there must have been.

    Attributes:
        fault: What it is called in the table.
        victims: How often each service was troubled.
        down: Who has been ended and not started again.
    """

    fault = ""

    def __init__(self, world: World, seed: int, least: int) -> None:
        self.world = world
        self.dice = random.Random(seed)
        self.least = least
        self.victims: Counter[str] = Counter()
        self.down: list[str] = []
        self._over = threading.Event()
        self._error: BaseException | None = None

    @property
    def count(self) -> int:
        """How often there was trouble."""
        return self.victims.total()

    def is_enough(self) -> bool:
        """Whether there was as much trouble as there must be, or none can be made any more."""
        return self.count >= self.least or self._error is not None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Make trouble meanwhile."""
        working = threading.Thread(target=self._work)
        working.start()
        try:
            yield
        finally:
            self._over.set()
            working.join()
        if self._error is not None:
            raise self._error

    @abstractmethod
    def make(self) -> None:
        """Make trouble once; return while services may still be down."""

    def heal(self) -> None:
        """Start whoever is down."""
        self.world.launch(*self.down)
        self.down.clear()

    def between(self) -> bool:
        """Wait until the next trouble, and return whether it is over."""
        return self.pause(0.05, 0.9)

    def pause(self, least_s: float, most_s: float) -> bool:
        """Wait for a while, and return whether it is over."""
        return self._over.wait(self.dice.uniform(least_s, most_s))

    def _work(self) -> None:
        try:
            while not self.between():
                self.make()
            self.heal()
        except BaseException as error:
            self._error = error


class Kills(Trouble):
    """SIGKILL: one or two services at once, ready or not; somebody may still be starting."""

    fault = "kill -9"

    def make(self) -> None:
        """Kill, wait, and start most of those that are down."""
        for victim in self.dice.sample((HUB, *CODES), self.dice.choice((1, 1, 1, 2))):
            if victim not in self.down:
                self.world.kill(victim)
                self.victims[victim] += 1
                self.down.append(victim)
        self.pause(0.0, 0.4)
        while self.down and self.dice.random() < 0.8:
            self.world.launch(self.down.pop(0))


class Ends(Trouble):
    """SIGTERM under load: each service drains and ends well within seconds, and comes back."""

    fault = "SIGTERM"

    def make(self) -> None:
        """End one service, and start it again."""
        victim = self.dice.choice((HUB, *CODES))
        # Asked to end while it starts, it ends too, but not as it was written to.
        self.world.wait_until_ready(victim)
        code = self.world.stop(victim, seconds=ENDS_IN_S)
        assert code == 0, f"{victim} ended with {code}\n{self.world.tails()}"
        self.victims[victim] += 1
        self.world.launch(victim)


class Freezes(Trouble):
    """SIGSTOP and SIGCONT: a service that hangs, and then goes on as if nothing had been.

    Args:
        longest_s: The longest pause, in seconds.
    """

    fault = "SIGSTOP, SIGCONT"

    def __init__(self, world: World, seed: int, least: int, longest_s: float = 1.5) -> None:
        super().__init__(world, seed, least)
        self._longest_s = longest_s

    def make(self) -> None:
        """Freeze one service for a while."""
        victim = self.dice.choice((HUB, *CODES))
        pid = self.world.pid(victim)
        os.kill(pid, signal.SIGSTOP)
        try:
            self.pause(0.1, self._longest_s)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.victims[victim] += 1
