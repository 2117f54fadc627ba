"""One simulation: a community lives for so many hours while everything fails, then everything heals.

First *safety*: faults without end, and at every message and every start the record must hold. Then
*liveness*: nothing fails any more, and within a bound nobody may owe anybody anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import shutil
import subprocess
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exchange.stores.engine import Engine
from tests.simulation.crowd import Crowd, Habits
from tests.simulation.disks import SimEngine
from tests.simulation.examine import Examiner
from tests.simulation.loop import Broken, SimLoop
from tests.simulation.members import HubMember, Member, NodeMember, node_template
from tests.simulation.nemesis import Malice, Nemesis
from tests.simulation.network import Network
from tests.simulation.people import HUB, sim_community
from tests.simulation.record import Record
from tests.simulation.stage import Pace, Stage, staged

HOUR = 3600.0
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Plan:
    """What is simulated.

    Attributes:
        seed: All of it follows from it.
        hours: How long things fail.
        nodes: How many states.
        bound_hours: Within so long after everything has healed, nobody may owe anybody anything.
    """

    seed: int
    hours: float = 10.0
    nodes: int = 35
    bound_hours: float = 4.0
    pace: Pace = field(default_factory=Pace)
    habits: Habits = field(default_factory=Habits)
    malice: Malice = field(default_factory=Malice)


@dataclass(frozen=True)
class Result:
    """What came of it; two runs of one plan have equal results."""

    trace: str
    hours: float
    messages: int
    steps: int
    notices: int
    unknown: int
    answers: int
    leaves: int
    faults: dict[str, int]
    said: dict[str, int]


class World:
    """Everything of one simulation. Use :func:`simulate`."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._chance = random.Random(plan.seed)
        self.loop = SimLoop(self._chance.getrandbits(64))
        self.record = Record(self._broken, self._store_of, HUB)
        self.network = Network(self.loop, self._random(), HUB, self.record)
        self.stage = Stage(self.network, plan.pace, self._logged)
        self.log: list[str] = []
        """The last log events of level warning and above."""
        self.members: dict[str, Member] = {}

    def _random(self) -> random.Random:
        return random.Random(self._chance.getrandbits(64))

    def run(self) -> Result:
        """Build the community, and let it live."""
        with self.standing():
            return self.loop.run_until_complete(self._live())

    @contextmanager
    def standing(self) -> Iterator[None]:
        """Build the community, with nobody's process started yet, and take it down again."""
        with staged(self.stage, self._random()):
            self._build()
            try:
                yield
            finally:
                self._take_down()

    def _build(self) -> None:
        plan, community = self._plan, sim_community(self._plan.nodes)
        self.stage.root = community.id
        means: dict[str, Any] = {"community": community, "pace": plan.pace}
        template = node_template(community, plan.seed)
        self.hub = HubMember(HUB, self.loop, self.network, self._seed(), self._look, **means)
        self.hub.install()
        self.nodes = {}
        for code in community.states:
            node = NodeMember(code, self.loop, self.network, self._seed(), self._look, **means)
            node.install(template)
            self.nodes[code] = node
        template.scrap()
        self.members = {HUB: self.hub, **self.nodes}
        self.crowd = Crowd(self.loop, self.nodes, self._random(), plan.habits, self._broken)
        self.examiner = Examiner(self.record, self._broken, self.crowd.answered)
        self.nemesis = Nemesis(self.loop, self.network, self.hub, self.nodes, self._random(), plan.malice)

    def _seed(self) -> int:
        return self._chance.getrandbits(64)

    async def _live(self) -> Result:
        tasks = self.nemesis.begin()
        self.crowd.begin()
        await asyncio.sleep(self._plan.hours * HOUR)
        await self.nemesis.rest()
        await self.crowd.rest()
        await asyncio.sleep(self._plan.bound_hours * HOUR)
        self.settled()
        # The loop ends here if anything was found.
        await asyncio.sleep(0)
        hours = self.loop.time() / HOUR
        for task in (*tasks, *self.crowd.tasks):
            task.cancel()
        await asyncio.gather(*tasks, *self.crowd.tasks, return_exceptions=True)
        return self._result(hours)

    def settled(self) -> None:
        """Check that nobody owes anybody anything."""
        for member in self.members.values():
            if member.engine is None or not member.ready.is_set():
                self._broken(f"liveness: {member.code} does not run")
                continue
            if member is self.hub:
                member.engine.look_up(self.examiner.settled_hub)
            else:
                code = member.code
                member.engine.look_up(lambda db, code=code: self.examiner.settled_node(db, code))  # type: ignore[misc]

    def _result(self, hours: float) -> Result:
        return Result(
            trace=self.network.trace,
            hours=hours,
            messages=self.network.messages,
            steps=self.loop.steps,
            notices=sum(told is not None for one in self.crowd.answered.values() for told in one.values()),
            unknown=self.crowd.unknown,
            answers=self.crowd.answers,
            leaves=len(self.record.indexes),
            faults=dict(sorted(self.nemesis.counts.items())),
            said=dict(sorted(self.record.counts.items())),
        )

    def _take_down(self) -> None:
        """End every process, so that nothing of this world is left over, whatever it died of."""
        self.loop.deaf = True
        self.loop._stopping = False

        async def end() -> None:
            for member in self.members.values():
                await member.kill()
            left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

        try:
            # What a loop that was stopped in the middle still has to say, it says first.
            with contextlib.suppress(RuntimeError):
                self.loop.run_until_complete(asyncio.sleep(0.001))
            self.loop.run_until_complete(end())
        finally:
            self.loop.close()
            for member in self.members.values():
                member.machine.scrap()
            gc.collect()

    # What the parts tell.

    def _broken(self, sentence: str) -> None:
        self.loop.faults.append(f"{sentence} [{self.loop.time() / HOUR:.3f} h]")

    def _store_of(self, code: str) -> Engine | None:
        return self.members[code].engine

    def _look(self, member: Member, store: SimEngine) -> None:
        if member is self.hub:
            self.examiner.hub(store)
        else:
            self.examiner.node(member.code, store)

    def _logged(self, level: str, event: str, words: dict[str, Any]) -> None:
        self.log.append(f"{self.loop.time() / HOUR:8.4f} h {level:7} {event} {words}")
        del self.log[:-200]
        if event.endswith(".fault"):
            self._broken(f"{event}: {traceback.format_exc(limit=-3)}")


def simulate(plan: Plan) -> Result:
    """Run one simulation.

    Raises:
        Broken: an invariant does not hold; the message says which, and how to see it again.
    """
    world = World(plan)
    try:
        return world.run()
    except Broken as error:
        raise Broken(f"{error}\n{replay(plan)}") from error


def replay(plan: Plan) -> str:
    """Return how to see a simulation again: of which commit, and with which command."""
    git = shutil.which("git")
    found = git and subprocess.run(
        [git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=HERE
    )
    commit = found.stdout.strip() if found and found.returncode == 0 else "unknown"
    return (
        f"commit {commit}; again: python -m tests.simulation --seed {plan.seed} --hours {plan.hours:g} "
        f"--nodes {plan.nodes}"
    )
