"""The queue before the relay: members take turns, and what is urgent does not wait behind what is not.

Within one member nothing overtakes anything: what it sends to another arrives in the order in which it
was sent. Between members, those who have brought something urgent come first, but every fourth turn is
anybody's, so that nobody can keep the others waiting by calling everything urgent.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeAlias, TypeVar

from protocol.session.messages import Accepted, Attest, Refused, Submit

Answer: TypeAlias = Accepted | Refused

MOST_ITEMS = 8_192
MOST_BYTES = 48 * 1024 * 1024
"""What waits is in memory, so the queue is full at either of these."""

RESERVED = 1.25
"""Urgent items find room up to so many times that."""

ALWAYS_BYTES = 64 * 1024
"""Whoever has nothing waiting may bring one item up to this size even then: a full queue is shared by all."""

ANYBODYS_TURN = 4

SHARE = 32
"""While several members wait, so many items of each are taken at once."""

SHARE_ALONE = 64


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


class Item(Protocol):
    """What can wait here."""

    @property
    def party(self) -> str:
        """Whose it is."""
        ...

    @property
    def size(self) -> int:
        """How many bytes it has."""
        ...

    @property
    def is_urgent(self) -> bool:
        """Whether it goes before what is not."""
        ...


Kind = TypeVar("Kind", bound=Item)


class Waiting(Generic[Kind]):
    """Items in the order in which each member brought them.

    Args:
        items: How many may wait.
        size: How many bytes may wait.
    """

    def __init__(self, *, items: int = MOST_ITEMS, size: int = MOST_BYTES) -> None:
        self._most = (items, size)
        self._turns: OrderedDict[str, deque[Kind]] = OrderedDict()
        self._pressing: OrderedDict[str, None] = OrderedDict()
        """Those of them who have something urgent in their queue."""
        self._urgent: Counter[str] = Counter()
        self._count = 0
        self._bytes = 0
        self._some = asyncio.Event()

    def __len__(self) -> int:
        return self._count

    @property
    def bytes(self) -> int:
        """How many bytes wait."""
        return self._bytes

    def put(self, item: Kind) -> bool:
        """Add one item behind the others of its party; False if there is no room for it."""
        if not self._has_room(item):
            return False
        self._turns.setdefault(item.party, deque()).append(item)
        self._count += 1
        self._bytes += item.size
        if item.is_urgent:
            self._urgent[item.party] += 1
            self._pressing.setdefault(item.party)
        self._some.set()
        return True

    async def wait(self) -> None:
        """Return as soon as there is something to take, or :meth:`wake` was called."""
        await self._some.wait()

    def wake(self) -> None:
        """Let the next :meth:`wait` return although nothing was put."""
        self._some.set()

    def take(
        self, limit: int, max_bytes: int, room_of: Callable[[str], int] = lambda _: MOST_ITEMS
    ) -> list[Kind]:
        """Take at most ``limit`` items, one of each party in turn.

        Args:
            limit: How many in all.
            max_bytes: No further one is taken once they have so many bytes.
            room_of: How many of one party.
        """
        taken: list[Kind] = []
        left: dict[str, int] = {}
        size = 0
        # Who brings one thing, now or in a moment, does not wait until hundreds of another's were judged.
        limit = min(limit, SHARE * len(self._turns) if len(self._turns) > 1 else SHARE_ALONE)
        while len(taken) < limit and size < max_bytes:
            party = self._next(len(taken), left, room_of)
            if party is None:
                # Nothing, or nothing that may be taken now: whoever makes room wakes us.
                self._some.clear()
                break
            left[party] -= 1
            taken.append(self._pop(party))
            size += taken[-1].size
        if not self._turns:
            self._some.clear()
        return taken

    def _has_room(self, item: Kind) -> bool:
        reserve = RESERVED if item.is_urgent else 1.0
        items, size = self._most
        if self._count < items * reserve and self._bytes + item.size <= size * reserve:
            return True
        return item.party not in self._turns and item.size <= ALWAYS_BYTES

    def _next(self, position: int, left: dict[str, int], room_of: Callable[[str], int]) -> str | None:
        """Return whose turn it is, of those who have room left."""
        pressing = self._pressing and position % ANYBODYS_TURN != ANYBODYS_TURN - 1
        for parties in (self._pressing, self._turns) if pressing else (self._turns,):
            for party in parties:
                if party not in left:
                    left[party] = room_of(party)
                if left[party] > 0:
                    return party
        return None

    def _pop(self, party: str) -> Kind:
        queue = self._turns[party]
        item = queue.popleft()
        self._count -= 1
        self._bytes -= item.size
        if item.is_urgent:
            self._urgent[party] -= 1
        if not self._urgent[party]:
            del self._urgent[party]
            self._pressing.pop(party, None)
        else:
            self._pressing.move_to_end(party)
        if queue:
            self._turns.move_to_end(party)
        else:
            del self._turns[party]
        return item
