"""What a full node no longer takes: its queue, its disk and its hands have a bound each."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from exchange.node.shedding import LOOK_SECONDS, Shedding
from exchange.stores.engine import Engine
from exchange.stores.node_queue import enqueue, remove_all
from protocol.errors import Overloaded
from tests.clocks import FixedClock
from tests.nodes import a_node


async def test_a_full_queue_takes_nothing_and_has_room_again(tmp_path: Path) -> None:
    """It looks again within a second; nothing was stored meanwhile."""
    async with a_node(tmp_path / "n", "XAA") as node:
        engine, clock = node.context.engine, node.context.clock
        assert isinstance(clock, FixedClock)
        shedding = Shedding(engine, clock, queued=2)
        async with shedding.taking():
            pass
        for number in (1, 2):
            await engine.write(
                partial(enqueue, kind="submit", priority=0, subject=bytes([number]), content=b"x")
            )
        clock.advance(round(LOOK_SECONDS * 1000) + 1)
        with pytest.raises(Overloaded, match="wait for the coordinator"):
            async with shedding.taking():
                pass
        newest = await engine.read(lambda db: int(db.execute("SELECT max(number) FROM outgoing").get))
        await engine.write(lambda db: remove_all(db, [newest]))
        clock.advance(round(LOOK_SECONDS * 1000) + 1)
        async with shedding.taking():
            pass


async def test_a_full_disk_takes_nothing(tmp_path: Path) -> None:
    """While there is still room for receipts and answers."""
    clock = FixedClock(0)
    engine = await Engine.open(tmp_path / "node.db", "exchange.stores.sql.node", clock)
    try:
        with pytest.raises(Overloaded, match="disk"):
            async with Shedding(engine, clock, free=2**62).taking():
                pass
    finally:
        await engine.close()


async def test_a_rush_is_bounded(tmp_path: Path) -> None:
    """Each request under way holds its content in memory."""
    clock = FixedClock(0)
    engine = await Engine.open(tmp_path / "node.db", "exchange.stores.sql.node", clock)
    shedding = Shedding(engine, clock, at_once=1)
    try:
        async with shedding.taking():
            with pytest.raises(Overloaded, match="under way"):
                async with shedding.taking():
                    await asyncio.sleep(0)
        async with shedding.taking():
            pass
    finally:
        await engine.close()
