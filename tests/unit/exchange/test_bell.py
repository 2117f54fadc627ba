"""The bell: whoever listens before looking misses no ring."""

from __future__ import annotations

import asyncio

import pytest

from exchange.node.bell import Bell
from tests.patience import PATIENCE_S


async def test_a_ring_wakes_everyone_who_listens() -> None:
    """Any number of tasks may wait on one bell."""
    bell = Bell()
    waiting = [asyncio.create_task(bell.listen().wait()) for _ in range(3)]
    await asyncio.sleep(0)
    bell.ring()
    assert await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE_S) == [True] * 3


async def test_a_ring_between_listening_and_waiting_is_not_missed() -> None:
    """This is the order that every user of the bell keeps: listen, look, wait."""
    bell = Bell()
    rung = bell.listen()
    bell.ring()
    await asyncio.wait_for(rung.wait(), PATIENCE_S)


async def test_an_old_ring_does_not_wake_a_new_listener() -> None:
    """A bell has no memory, so nobody spins."""
    bell = Bell()
    bell.ring()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(bell.listen().wait(), 0.01)
