"""What goes wrong: power, processes, network, clocks and disks, by a seed and for as long as it is let."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tests.simulation.loop import SimLoop
from tests.simulation.members import HubMember, Member, NodeMember
from tests.simulation.network import Network

MINUTE = 60.0
HOUR = 3600.0


@dataclass(frozen=True)
class Malice:
    """How often things go wrong: times per hour, at one of all nodes or at the coordinator.

    Attributes:
        node: Something happens to some node.
        hub: Something happens to the coordinator.
        swizzle: Many nodes are cut off one after the other, and come back in another order.
    """

    node: float = 6.0
    hub: float = 0.7
    swizzle: float = 0.15


class Nemesis:
    """Does harm until :meth:`rest`, which heals everything.

    Args:
        loop: Virtual time.
        network: To be torn.
        hub: The coordinator.
        nodes: The nodes, by code.
        chance: All of it follows from it.
        malice: How much of it.
    """

    def __init__(
        self,
        loop: SimLoop,
        network: Network,
        hub: HubMember,
        nodes: Mapping[str, NodeMember],
        chance: random.Random,
        malice: Malice,
    ) -> None:
        self._loop = loop
        self._network = network
        self._hub = hub
        self._nodes = nodes
        self._chance = chance
        self._malice = malice
        self._active = True
        self._healing: dict[asyncio.Task[None], None] = {}
        self.down_s: dict[str, float] = {}
        """For how long a member stays down when its process ends, if not for a moment."""
        self.counts: dict[str, int] = {}

    def begin(self) -> list[asyncio.Task[None]]:
        """Start."""
        works = (
            self._again(self._malice.node, self._at_a_node),
            self._again(self._malice.hub, self._at_the_hub),
            self._again(self._malice.swizzle, self._swizzle),
        )
        tasks = [self._loop.create_task(work) for work in works]
        tasks += [self._loop.create_task(self._supervise(one)) for one in (self._hub, *self._nodes.values())]
        for task in tasks:
            task.add_done_callback(self._must_not_fail)
        return tasks

    def _must_not_fail(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._loop.faults.append(f"the simulation itself failed: {task.exception()!r}")

    async def rest(self) -> None:
        """Do nothing more, and put everything right at once."""
        self._active = False
        for task in tuple(self._healing):
            task.cancel()
        await asyncio.gather(*self._healing, return_exceptions=True)
        for source, target in sorted(self._network.blocked):
            self._network.heal(source, target)
        self.down_s.clear()
        for member in (self._hub, *self._nodes.values()):
            member.resume()
            member.clock.wrong_ms = 0
            disk = member.machine.disk
            disk.free = disk.cut_at = None
            disk.failing.clear()

    async def _again(self, per_hour: float, harm: Callable[[], Awaitable[None]]) -> None:
        while per_hour:
            await asyncio.sleep(self._chance.expovariate(per_hour / HOUR))
            if not self._active:
                return
            await harm()

    async def _supervise(self, member: Member) -> None:
        """Start a member's process again whenever it has ended, as a service manager does."""
        while True:
            await member.ended.wait()
            await asyncio.sleep(1.0 + self.down_s.pop(member.code, self._chance.uniform(0.0, 8.0)))
            if member.ended.is_set():
                await member.start()

    def _count(self, what: str, who: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1
        self._network.note(what, who)

    # What may happen to one member.

    async def _at_a_node(self) -> None:
        member = self._nodes[self._chance.choice(tuple(self._nodes))]
        harm = self._chance.choice(
            (
                self._power_cut,
                self._power_cut,
                self._cut_mid_write,
                self._kill,
                self._suspend,
                self._partition,
                self._partition,
                self._one_way,
                self._break,
                self._break,
                self._wrong_clock,
                self._slow_clock,
                self._bad_sync,
                self._bad_disk,
                self._full_disk,
            )
        )
        await harm(member)

    async def _at_the_hub(self) -> None:
        harm = self._chance.choice(
            (
                self._power_cut,
                self._power_cut,
                self._cut_mid_write,
                self._cut_mid_write,
                self._kill,
                self._suspend,
                self._bad_sync,
                self._bad_disk,
                self._full_disk,
                self._orderly,
            )
        )
        await harm(self._hub)

    def _minutes(self, mean: float) -> float:
        return self._chance.expovariate(1 / (mean * MINUTE))

    def _mean_down(self, member: Member) -> float:
        return 3.0 if member is self._hub else 20.0

    async def _power_cut(self, member: Member) -> None:
        self._count("power cut", member.code)
        self.down_s[member.code] = self._minutes(self._mean_down(member))
        await member.kill(kept=self._chance.choice((0.0, 0.5, 0.9, 1.0)), seen=self._chance.random() < 0.3)

    async def _cut_mid_write(self, member: Member) -> None:
        self._count("power cut in a write", member.code)
        await member.cut_at(self._chance.randrange(1, 60))

    async def _kill(self, member: Member) -> None:
        self._count("kill", member.code)
        await member.kill()

    async def _orderly(self, member: Member) -> None:
        self._count("stop in order", member.code)
        assert isinstance(member, HubMember)
        await member.stop()

    async def _suspend(self, member: Member) -> None:
        self._count("suspend", member.code)
        member.suspend()
        self._later(self._minutes(4.0 if member is self._hub else 10.0), member.resume)

    async def _partition(self, member: Member) -> None:
        self._count("partition", member.code)
        self._cut_off(member.code, both=True)

    async def _one_way(self, member: Member) -> None:
        self._count("one-way partition", member.code)
        self._cut_off(member.code, both=False)

    def _cut_off(self, code: str, *, both: bool) -> None:
        ways = [(code, self._hub.code), (self._hub.code, code)]
        if not both:
            ways = [self._chance.choice(ways)]
        for source, target in ways:
            self._network.block(source, target)

        def heal() -> None:
            for source, target in ways:
                self._network.heal(source, target)

        self._later(self._minutes(15.0), heal)

    async def _break(self, member: Member) -> None:
        self._count("broken connection", member.code)
        if member.life is not None:
            for end in self._network.ends_of(member.life):
                end.cut()

    async def _wrong_clock(self, member: Member) -> None:
        self._count("wrong clock", member.code)
        hours = self._chance.choice((-26.0, -3.0, -0.5, 0.5, 3.0))
        member.clock.wrong_ms = int(hours * HOUR * 1000)
        self._later(self._minutes(40.0), lambda: setattr(member.clock, "wrong_ms", 0))

    async def _slow_clock(self, member: Member) -> None:
        self._count("clock some minutes off", member.code)
        member.clock.wrong_ms = self._chance.randrange(-240_000, 240_000)

    async def _bad_sync(self, member: Member) -> None:
        self._count("failing sync", member.code)
        self._fail(member, "sync", self._chance.randrange(1, 6))

    async def _bad_disk(self, member: Member) -> None:
        self._count("failing write", member.code)
        self._fail(member, "write", self._chance.randrange(1, 40))

    def _fail(self, member: Member, kind: str, ahead: int) -> None:
        disk = member.machine.disk
        disk.failing[kind] = {disk.calls[kind] + ahead}

    async def _full_disk(self, member: Member) -> None:
        self._count("full disk", member.code)
        disk = member.machine.disk
        disk.free = self._chance.randrange(0, 64 * 1024)
        self._later(self._minutes(15.0), lambda: setattr(disk, "free", None))

    async def _swizzle(self) -> None:
        """Cut many off, one after the other; let them come back in another order."""
        some = self._chance.sample(tuple(self._nodes), max(1, len(self._nodes) // 2))
        self._count("swizzle", str(len(some)))
        for code in some:
            self._cut_off(code, both=self._chance.random() < 0.7)
            await asyncio.sleep(self._chance.uniform(0.0, 60.0))

    def _later(self, seconds: float, heal: Callable[[], None]) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            heal()

        task = self._loop.create_task(wait())
        self._healing[task] = None
        task.add_done_callback(lambda done: self._healing.pop(done, None))
