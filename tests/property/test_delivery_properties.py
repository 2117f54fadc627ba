"""Delivery as a state machine: whoever sends, ends, is cut off and comes back, in whatever order.

Outbox, courier, session, relay, mailbox, cursor and inbox are the product's, on simulated disks and a
simulated network (:mod:`tests.simulation`); after every rule the outside record must hold, and in the
end everything has arrived.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import ExitStack

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from exchange.node.requests import SubmitRequest
from tests.simulation.people import HUB, codes
from tests.simulation.world import Plan, World

NODES = 3
STATES = codes(NODES)
BOUND = 3 * 3600.0
"""Virtual seconds within which everything arrives once nothing fails any more."""

states = st.sampled_from(STATES)
members = st.sampled_from((HUB, *STATES))


class Delivery(RuleBasedStateMachine):
    """Three nodes and a coordinator."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._world = World(Plan(1, nodes=NODES))
        self._stack.enter_context(self._world.standing())
        self._supervisors: list[asyncio.Task[None]] = []
        self._sent = 0
        self._run(self._begin())

    def _run(self, work: object = None, seconds: float = 0.0) -> None:
        async def go() -> None:
            if work is not None:
                await work  # type: ignore[misc]
            await asyncio.sleep(seconds)

        self._world.loop.run_until_complete(go())

    async def _begin(self) -> None:
        world = self._world
        for member in world.members.values():
            self._supervisors.append(world.loop.create_task(world.nemesis._supervise(member)))
        for member in world.members.values():
            await member.ready.wait()

    @rule(sender=states, to=st.sets(states, min_size=1))
    def send(self, sender: str, to: set[str]) -> None:
        others = tuple(sorted(to - {sender}))
        if others:
            self._sent += 1
            request = SubmitRequest(to=others, severity="ppd-41:high", subject="What has happened", text="x")
            name = f"{sender}-{self._sent}"
            self._world.crowd.tasks.append(
                self._world.loop.create_task(self._world.crowd._insist(sender, name, request))
            )

    @rule(code=members, kept=st.sampled_from((None, 0.0, 0.5, 1.0)), seen=st.booleans())
    def end(self, code: str, kept: float | None, seen: bool) -> None:
        self._run(self._world.members[code].kill(kept=kept, seen=seen))

    @rule(code=members, operations=st.integers(1, 40))
    def cut_the_power_in_a_write(self, code: str, operations: int) -> None:
        self._run(self._world.members[code].cut_at(operations))

    @rule(code=states)
    def break_the_connection(self, code: str) -> None:
        life = self._world.members[code].life
        for end in self._world.network.ends_of(life) if life is not None else ():
            end.cut()

    @rule(code=states, there=st.booleans())
    def cut_off(self, code: str, there: bool) -> None:
        self._world.network.block(*((code, HUB) if there else (HUB, code)))

    @rule(code=states)
    def heal(self, code: str) -> None:
        self._world.network.heal(code, HUB)
        self._world.network.heal(HUB, code)

    @rule(seconds=st.sampled_from((0.005, 0.05, 0.5, 5.0, 60.0, 900.0)))
    def pass_time(self, seconds: float) -> None:
        self._run(seconds=seconds)

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert self._world.loop.faults == []

    def teardown(self) -> None:
        """Let everything heal; then nobody may owe anybody anything."""
        world = self._world
        try:
            self._run(world.nemesis.rest())
            self._run(seconds=BOUND)
            world.settled()
            assert world.loop.faults == []
        finally:
            world.loop.deaf = True
            for task in (*self._supervisors, *world.crowd.tasks):
                task.cancel()
            with contextlib.suppress(Exception):
                self._stack.close()


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(
    max_examples=12,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
