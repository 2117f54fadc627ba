"""A whole community comes back at once, after the coordinator or its network was away."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from protocol.errors import RemoteProtocolError, Unreachable
from tests.benchmarks.crowd import Crowd, cpu_seconds, gather_crowd
from tests.benchmarks.lean import Lean, enter


async def all_at_once(crowd: Crowd) -> list[Lean]:
    """Open a session for every member, each from an address of its own."""
    return await asyncio.gather(
        *(back(crowd, code, f"127.0.3.{number + 1}") for number, code in enumerate(sorted(crowd.members)))
    )


async def back(crowd: Crowd, code: str, address: str) -> Lean:
    """Try until there is a session, as a node does: a busy coordinator cuts who is not through in time."""
    pause = 0.25
    while True:
        try:
            return await enter(crowd, code, address=address)
        except (OSError, Unreachable, RemoteProtocolError):
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(4.0, 2 * pause)


async def test_thirty_members_come_back_together(tmp_path: Path) -> None:
    """Each has its session, and the same again after all were cut."""
    crowd = await gather_crowd(tmp_path, 30)
    async with crowd.running():
        for _ in range(2):
            async with asyncio.timeout(60):
                lines = await all_at_once(crowd)
            assert len(lines) == 30
            await asyncio.gather(*(line.close() for line in lines))


@pytest.mark.long
async def test_two_hundred_nodes_are_back_within_a_minute(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many as a directory can list; the cost of each hello is told."""
    crowd = await gather_crowd(tmp_path, 200)
    async with crowd.running() as process:
        before, began = cpu_seconds(process.pid), time.perf_counter()
        lines = await all_at_once(crowd)
        seconds, spent = time.perf_counter() - began, cpu_seconds(process.pid) - before
        with capsys.disabled():
            print(f"\n200 nodes back in {seconds:.1f} s; {spent / 200 * 1000:.1f} ms of processor a hello")
        await asyncio.gather(*(line.close() for line in lines))
    assert seconds <= 60
