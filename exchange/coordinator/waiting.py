"""The queue before the relay: members take turns, whatever each of them has brought."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from protocol.session.messages import Accepted, Attest, Refused, Submit

Answer: TypeAlias = Accepted | Refused


@dataclass(slots=True, eq=False)
class Brought:
    """One request of one node, and how to answer it.

    Attributes:
        party: The node's state.
        request: What it asks.
        answer: Sends an answer to that node, or does nothing if it has gone.
        answered: Whether it was answered.
    """

    party: str
    request: Submit | Attest
    answer: Callable[[Answer], None]
    answered: bool = False

    def reply(self, answer: Answer) -> None:
        """Answer, unless it was answered before: the first answer stands."""
        if not self.answered:
            self.answered = True
            self.answer(answer)

    @property
    def data(self) -> bytes:
        """What was brought: the submission or statement exactly as received."""
        return self.request.submission if isinstance(self.request, Submit) else self.request.statement


class Waiting:
    """Requests in the order each member made them, with the members taking turns.

    It needs no bound of its own: the flow control of each session bounds what a member has here.
    """

    def __init__(self) -> None:
        self._by_party: OrderedDict[str, deque[Brought]] = OrderedDict()
        self._some = asyncio.Event()

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._by_party.values())

    def put(self, brought: Brought) -> None:
        """Add one request behind the others of its party."""
        self._by_party.setdefault(brought.party, deque()).append(brought)
        self._some.set()

    async def wait(self) -> None:
        """Return as soon as there is something to take, or :meth:`wake` was called."""
        await self._some.wait()

    def wake(self) -> None:
        """Let the next :meth:`wait` return although nothing was put."""
        self._some.set()

    def take(self, limit: int, max_bytes: int) -> list[Brought]:
        """Take at most ``limit`` requests, one of each party in turn.

        No further one is taken once they have ``max_bytes`` bytes.
        """
        taken: list[Brought] = []
        size = 0
        while self._by_party and len(taken) < limit and size < max_bytes:
            party, queue = next(iter(self._by_party.items()))
            taken.append(queue.popleft())
            size += len(taken[-1].data)
            if queue:
                self._by_party.move_to_end(party)
            else:
                del self._by_party[party]
        if not self._by_party:
            self._some.clear()
        return taken
