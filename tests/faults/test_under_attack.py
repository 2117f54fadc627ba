"""A coordinator under attack: strangers hold on or storm the door, a member floods; the rest is served.

The others are members with presealed envelopes at a steady pace. Their times are compared with those of the
same pace before the attack, on the same machine, in the same test.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import pytest

from tests.benchmarks.coordinator_alone import Recipient, Sender
from tests.benchmarks.crowd import Crowd, gather_crowd, memory_mb
from tests.benchmarks.lean import Lean, enter
from tests.benchmarks.presealed import Presealed
from tests.faults.attack import Flood, connecting, slow_sockets

SENDER, FLOODER, ABSENT, *RECIPIENTS = ("XAA", "XAB", "XAC", "XAD", "XAE", "XAF")
BATCH = 16


@dataclass
class Scene:
    """A coordinator at work, its honest members, and what they will say."""

    crowd: Crowd
    pid: int
    sender: Sender
    sealed: Presealed
    lines: dict[str, Lean]

    async def pace(self, per_second: float, count: int) -> list[float]:
        """Push so many envelopes evenly, and return the seconds of each until its last receipt."""
        before = len(self.sender.seconds)
        began = time.perf_counter()
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
            self.sender.begin(1)
        async with asyncio.timeout(60):
            await self.sender.until(before + count)
        return self.sender.seconds[before:]


@asynccontextmanager
async def scene(folder: Path, envelopes: int) -> AsyncIterator[Scene]:
    """Found a community of six, and bring a sender and its recipients to work."""
    crowd = await gather_crowd(folder, 6)
    both = Presealed(crowd, [SENDER], RECIPIENTS, envelopes, BATCH)
    async with crowd.running() as process:
        lines = {code: await enter(crowd, code) for code in (SENDER, *RECIPIENTS)}
        for code in RECIPIENTS:
            Recipient(lines[code], both, code)
        sender = Sender(lines[SENDER], both, both.by_sender[SENDER], 1, refills=False)
        yield Scene(crowd, process.pid, sender, both, lines)
        for line in lines.values():
            await line.close()


def p99(seconds: list[float]) -> float:
    """Return the 99th percentile."""
    return quantiles(seconds, n=100)[98]


async def attacked(
    here: Scene, stack: AsyncExitStack, *, slow: int, per_second: float, flood: int
) -> tuple[Flood, list[int]]:
    """Begin an attack of all three kinds; it ends with the stack."""
    await stack.enter_async_context(slow_sockets(here.crowd.port, slow))
    counted = await stack.enter_async_context(connecting(here.crowd.port, per_second))
    mad = Presealed(here.crowd, [FLOODER], [ABSENT], flood, 256)
    line = await enter(here.crowd, FLOODER, address="127.9.9.9")
    stack.push_async_callback(line.close)
    return Flood(line, mad.by_sender[FLOODER]), counted


async def test_the_others_are_served_while_strangers_hold_on_and_a_member_floods(tmp_path: Path) -> None:
    """A small attack: nobody loses anything, and memory stays where it was."""
    async with scene(tmp_path, 60) as here, AsyncExitStack() as stack:
        await here.pace(20, 20)
        flood, counted = await attacked(here, stack, slow=64, per_second=100, flood=400)
        under = await here.pace(20, 40)
        assert len(under) == 40
        assert flood.accepted > 0
        assert counted[0] > 0
        assert memory_mb(here.pid) < 256


@pytest.mark.long
async def test_five_hundred_sockets_a_thousand_connections_and_a_flood(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others' 99th percentile at most doubles; the coordinator stays under 256 MB."""
    async with scene(tmp_path, 900) as here, AsyncExitStack() as stack:
        before = p99(await here.pace(20, 300))
        flood, counted = await attacked(here, stack, slow=500, per_second=1000, flood=20_000)
        await here.pace(20, 100)
        under = p99(await here.pace(20, 400))
        rss = memory_mb(here.pid)
        with capsys.disabled():
            print(
                f"\nunder attack: others' p99 {before * 1000:.0f} ms before, {under * 1000:.0f} ms then; "
                f"{counted[0]} connections; flood: {flood.accepted} accepted, {flood.refused} refused; "
                f"coordinator {rss:.0f} MB"
            )
        assert rss < 256
        assert under <= 2 * before
