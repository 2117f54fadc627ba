"""What each connected witness was asked and has not answered, oldest first."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from typing import NamedTuple

from exchange.coordinator.gathering import Gathering

REFRESH_SECONDS = 60.0
"""After so long a checkpoint that did not change is asked about again: it says that the log stood still."""

MOST_UNANSWERED = 4
"""How many questions a witness may leave unanswered before it is asked less often: once in a refresh."""


class Question(NamedTuple):
    """What a witness was asked: for which checkpoint, from which size on, and when by the loop's time."""

    gathering: Gathering
    old: int
    at: float


class Asked:
    """The questions of one log, by state."""

    def __init__(self) -> None:
        self._questions: dict[str, deque[Question]] = defaultdict(deque)

    def ask(self, state: str, gathering: Gathering, old: int) -> None:
        """Note a question, from size ``old`` on."""
        gathering.asked.add(state)
        self._questions[state].append(Question(gathering, old, asyncio.get_running_loop().time()))

    def waiting(self, state: str) -> deque[Question]:
        """Return what a witness has not answered."""
        return self._questions[state]

    def leave(self, state: str) -> None:
        """Forget what a node was asked: it has gone."""
        for question in self._questions.pop(state, ()):
            question.gathering.asked.discard(state)

    def is_silent(self, state: str) -> bool:
        """Return whether a witness is not to be asked now; of what it left out, the oldest is forgotten."""
        waiting = self._questions[state]
        if len(waiting) < MOST_UNANSWERED:
            return False
        if asyncio.get_running_loop().time() - waiting[-1].at < REFRESH_SECONDS:
            return True
        self.forget_oldest(state)
        return False

    def forget_oldest(self, state: str) -> Question:
        """Take the oldest question back, and return it."""
        question = self._questions[state].popleft()
        question.gathering.asked.discard(state)
        return question
