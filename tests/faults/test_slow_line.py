"""What is urgent arrives in time, however much bulk is on its way over a slow line."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgpack
import pytest

from tests.benchmarks.crowd import gather_crowd
from tests.benchmarks.lean import AHEAD, COLLECTED, DELIVER, Lean, enter, frame
from tests.benchmarks.presealed import MARK, Presealed
from tests.faults.slow_line import slow_line

MEGABIT = 125_000.0
BULKY, URGENT, SLOW = "XAA", "XAB", "XAC"
BULK_BYTES = 40 * 1024


class Reader:
    """Collects, and notes when something urgent was there for the first time."""

    def __init__(self, lean: Lean, wanted: bytes) -> None:
        self._lean = lean
        self._wanted = wanted
        self.got = 0
        self.some = asyncio.Event()
        self.there = asyncio.Event()
        lean.listen(self._heard)

    def _heard(self, messages: list[list[Any]]) -> None:
        last = 0
        for message in messages:
            if message[0] == DELIVER:
                last = message[1]
                self.got += 1
                self.some.set()
            if message[0] in (DELIVER, AHEAD) and message[-1][MARK] == self._wanted:
                self.there.set()
        if last:
            self._lean.write([frame(msgpack.packb([COLLECTED, last]))])


async def test_an_urgent_notice_passes_the_bulk_of_another_state_on_a_line_of_one_megabit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Within two seconds, though twenty seconds of bulk are before it."""
    crowd = await gather_crowd(tmp_path, 3)
    bulk = Presealed(crowd, [BULKY], [SLOW], 60, 64, payload_bytes=BULK_BYTES, point=1)
    urgent = Presealed(crowd, [URGENT], [SLOW], 1, 1, point=5)
    (one,) = urgent.by_sender[URGENT]
    async with crowd.running(), slow_line(crowd.port, MEGABIT) as port:
        reader = Reader(await enter(crowd, SLOW, port=port), one.mark)
        bulky, hurried = await enter(crowd, BULKY), await enter(crowd, URGENT)
        bulky.listen(lambda _: None)
        hurried.listen(lambda _: None)
        bulky.write([each.frame for each in bulk.by_sender[BULKY]])
        async with asyncio.timeout(60):
            while reader.got < 3:
                reader.some.clear()
                await reader.some.wait()
            began = time.perf_counter()
            hurried.write([one.frame])
            await reader.there.wait()
        seconds = time.perf_counter() - began
        assert reader.got < 40
        for line in (reader._lean, bulky, hurried):
            await line.close()
    with capsys.disabled():
        print(f"\nurgent beside bulk over 1 Mbit/s: {seconds:.2f} s, {reader.got} of 60 bulk items before it")
    assert seconds <= 2.0
