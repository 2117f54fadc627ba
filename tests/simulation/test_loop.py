"""The loop itself: virtual time, an order by seed, processes that stand still or end, and nothing real."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.simulation.loop import Broken, Life, NotSimulated, SimLoop


def order_of(seed: int) -> list[int]:
    """Return in which order ten tasks ran that were ready at once."""
    loop, order = SimLoop(seed), list[int]()

    async def one(number: int) -> None:
        order.append(number)

    async def all_of_them() -> None:
        await asyncio.gather(*(one(number) for number in range(10)))

    loop.run_until_complete(all_of_them())
    loop.close()
    return order


def test_the_seed_decides_who_goes_first() -> None:
    """The same each time, and another order for another seed."""
    assert order_of(1) == order_of(1)
    assert order_of(1) != order_of(2)


def test_a_day_passes_at_once() -> None:
    """Time jumps from timer to timer."""
    loop = SimLoop(1)
    loop.run_until_complete(asyncio.sleep(86_400))
    assert 86_400 <= loop.time() < 86_401
    loop.close()


def test_who_waits_for_ever_is_found() -> None:
    """With nothing ready and no timer, nothing will ever happen."""
    loop = SimLoop(1)

    async def wait() -> None:
        await asyncio.Event().wait()

    task = loop.create_task(wait())
    with pytest.raises(NotSimulated):
        loop.run_until_complete(task)
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()


def test_a_suspended_process_does_nothing_until_it_goes_on() -> None:
    """Its timers are due all at once then."""
    loop, ticks = SimLoop(1), list[float]()

    async def tick() -> None:
        while True:
            await asyncio.sleep(1)
            ticks.append(loop.time())

    async def watch() -> None:
        life = Life("XAA")
        life.begin(tick())
        await asyncio.sleep(3.5)
        life.suspended = True
        await asyncio.sleep(100)
        assert len(ticks) == 3
        loop.resume(life)
        await asyncio.sleep(0.1)
        assert len(ticks) == 4
        await loop.end(life)

    loop.run_until_complete(watch())
    loop.close()


def test_an_ended_process_leaves_no_task() -> None:
    """Even one that does not want to go."""
    loop = SimLoop(1)

    async def stubborn() -> None:
        for _ in range(3):
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                continue

    async def watch() -> None:
        life = Life("XAA")
        task = life.begin(stubborn())
        await asyncio.sleep(1)
        await loop.end(life)
        assert task.done()

    loop.run_until_complete(watch())
    loop.close()


def test_a_thread_is_none() -> None:
    """What would run in one runs in the loop, and takes virtual time."""
    loop = SimLoop(1)

    async def ask() -> int:
        return await asyncio.to_thread(threading.get_ident)

    assert loop.run_until_complete(ask()) == threading.get_ident()
    assert loop.time() > 0
    loop.close()


def test_what_nobody_caught_ends_everything() -> None:
    """A callback that fails is a fault of the program, whoever waits for what."""
    loop = SimLoop(1)

    def fail() -> None:
        raise ZeroDivisionError

    async def go() -> None:
        asyncio.get_running_loop().call_soon(fail)
        await asyncio.sleep(10)

    task = loop.create_task(go())
    with pytest.raises(Broken, match="ZeroDivisionError"):
        loop.run_until_complete(task)
    loop.deaf = True
    loop.run_until_complete(task)
    loop.close()
