"""The people: scripts that send notices and repeat what they are unsure of, and officers that answer."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from exchange.node.requests import AnswerRequest, SubmitRequest
from exchange.node.service import Node
from exchange.node.tokens import Identity, TokenRole
from protocol.errors import AlmenaraError, OutcomeUnknown
from tests.simulation.loop import SimLoop
from tests.simulation.members import NodeMember

T = TypeVar("T")
SENDER = Identity(TokenRole.SENDER, "script", b"s" * 32)
HOUR = 3600.0
SEVERITIES = ("baseline", "low", "medium", "high", "severe", "emergency")
REASONS = ("no-capacity", "not-affected")


class Unknown(Exception):
    """The process ended before it answered."""


@dataclass(frozen=True)
class Habits:
    """What the people do.

    Attributes:
        notices: How many each node sends in an hour, on average.
        burst: How likely it is that several follow at once.
        officer_s: An officer looks about so often, in seconds.
        short: How likely a notice is to be wanted only for a few hours.
    """

    notices: float = 0.2
    burst: float = 0.08
    officer_s: float = 7200.0
    short: float = 0.1


class Crowd:
    """Everybody who uses the nodes.

    Args:
        loop: Virtual time.
        nodes: The nodes, by code.
        chance: What they do follows from it.
        habits: How much of it.
        broken: Called with a sentence if an answer cannot be true.
    """

    def __init__(
        self,
        loop: SimLoop,
        nodes: Mapping[str, NodeMember],
        chance: random.Random,
        habits: Habits,
        broken: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._nodes = nodes
        self._chance = chance
        self._habits = habits
        self._broken = broken
        self.answered: dict[str, dict[str, str | None]] = defaultdict(dict)
        """Of each request of a node: the id that was told, or None if it was refused."""
        self.unknown = 0
        self.answers = 0
        self.tasks: list[asyncio.Task[None]] = []
        self._open: set[str] = set()
        self._busy = True

    def begin(self) -> None:
        """Start everybody's day."""
        for code in self._nodes:
            self.tasks.append(self._loop.create_task(self._script(code)))
            self.tasks.append(self._loop.create_task(self._officer(code)))

    async def rest(self) -> None:
        """Send nothing new, and return when all that was unsure is certain. Officers go on."""
        self._busy = False
        while self._open:  # noqa: ASYNC110 - in virtual time a look costs nothing
            await asyncio.sleep(30.0)

    async def _script(self, code: str) -> None:
        chance = random.Random(self._chance.getrandbits(64))
        number = 0
        while True:
            await asyncio.sleep(chance.expovariate(self._habits.notices / HOUR))
            if not self._busy:
                return
            many = chance.randrange(3, 9) if chance.random() < self._habits.burst else 1
            requests = []
            for _ in range(many):
                number += 1
                requests.append((f"{code}-{number}", self._request(code, chance)))
            self._open.update(name for name, _ in requests)
            await asyncio.gather(*(self._insist(code, name, request) for name, request in requests))

    def _request(self, code: str, chance: random.Random) -> SubmitRequest:
        others = [one for one in self._nodes if one != code]
        count = len(others) if chance.random() < 0.01 else chance.choice((1, 1, 2, 3, 3))
        short = chance.random() < self._habits.short
        return SubmitRequest(
            to=tuple(chance.sample(others, min(count, len(others)))),
            severity=f"ppd-41:{chance.choice(SEVERITIES)}",
            subject="What has happened",
            text="x" * chance.randrange(40, 900),
            life_ms=int(chance.uniform(0.5, 6.0) * HOUR * 1000) if short else None,
        )

    async def _insist(self, code: str, name: str, request: SubmitRequest) -> None:
        """Ask until it is certain what became of a request, with the same id each time."""
        first: str | None = None
        while True:
            try:
                view = await self._ask(code, lambda node: node.desk.submit(SENDER, request, name))
            except (Unknown, OutcomeUnknown):
                self.unknown += 1
                self.answered[code].pop(name, None)
                await asyncio.sleep(5.0)
                continue
            except AlmenaraError:
                # Nothing was taken; it is asked again later, unless the day is over.
                self.answered[code][name] = None
                if not self._busy:
                    break
                await asyncio.sleep(600.0)
                self.answered[code].pop(name, None)
                continue
            if first is not None and view.id != first:
                self._broken(f"I6: request {name} of {code} made two notices")
            first = view.id
            self.answered[code][name] = view.id
            break
        self._open.discard(name)

    async def _officer(self, code: str) -> None:
        chance = random.Random(self._chance.getrandbits(64))
        who = Identity(TokenRole.OFFICER, f"officer of {code}", code.encode().ljust(32, b"."))
        while True:
            await asyncio.sleep(chance.uniform(0.5, 1.5) * self._habits.officer_s)
            try:
                unread = await self._ask(code, lambda node: node.desk.inbox(who, unread=True, limit=8))
                for view in unread:
                    await self._answer(code, who, view.id, chance)
            except (Unknown, AlmenaraError):
                continue

    async def _answer(self, code: str, who: Identity, notice: str, chance: random.Random) -> None:
        await self._ask(code, lambda node: node.desk.open(who, notice))
        said = chance.choice(("accepted", "accepted", "declined", ""))
        if not said:
            return
        reason = chance.choice(REASONS) if said == "declined" else None
        request = AnswerRequest(answer=said, reason=reason)  # type: ignore[arg-type]
        await self._ask(code, lambda node: node.desk.answer(who, notice, request))
        self.answers += 1

    async def _ask(self, code: str, call: Callable[[Node], Coroutine[Any, Any, T]]) -> T:
        """Ask a node, once it is up; Unknown if its process ends before it has answered."""
        member = self._nodes[code]
        while member.node is None or member.life is None:
            await member.ready.wait()
            await asyncio.sleep(0)
        life = member.life
        task: asyncio.Task[T] = life.begin(call(member.node))
        await asyncio.wait([task])
        if life.dead or task.cancelled():
            raise Unknown
        return task.result()
