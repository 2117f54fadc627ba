"""What one process does for all: taken once, given up in time, handed over at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exchange.coordinator import duties
from exchange.coordinator.duties import Duty
from exchange.stores.alone import Alone
from exchange.stores.coordinator_sqlite import SqliteCoordinatorStore
from exchange.stores.sharing_contract import Lease
from protocol.errors import LeaseLost, SetupError, StoreFailed
from tests.clocks import FixedClock
from tests.community import community
from tests.logs import Log as EventLog


@pytest.fixture
async def sharing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Alone]:
    """Return leases of a tenth of their real length."""
    for name in ("LEASE_SECONDS", "RENEW_SECONDS", "LOOK_SECONDS", "FAILED_SECONDS", "STAND_BACK_SECONDS"):
        monkeypatch.setattr(duties, name, getattr(duties, name) / 10)
    store = await SqliteCoordinatorStore.open(tmp_path / "almenara.db", FixedClock(community().now_ms))
    yield store.sharing
    await store.close()


class Worker:
    """One process's duty, and what it did."""

    def __init__(self, sharing: Alone, name: str, *, fails: Exception | None = None) -> None:
        self.began = asyncio.Event()
        self.ended = asyncio.Event()
        self.leases: list[Lease] = []
        self.fit = True
        self._fails = fails
        self.duty = Duty("sweeper", sharing, name, self._work, lambda: self.fit)

    async def _work(self, lease: Lease) -> None:
        self.leases.append(lease)
        self.ended.clear()
        self.began.set()
        try:
            if self._fails is not None:
                raise self._fails
            await asyncio.Event().wait()
        finally:
            self.began.clear()
            self.ended.set()


@asynccontextmanager
async def running(*workers: Worker) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run them, in the order in which they first ask for the lease."""
    tasks = []
    for worker in workers:
        tasks.append(asyncio.create_task(worker.duty.run()))
        await asyncio.sleep(0)
    try:
        async with asyncio.timeout(10):
            yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_of_several_processes_does_it_and_another_after_it_has_ended(sharing: Alone) -> None:
    """A process that stops gives the lease back, and need not be waited for."""
    one, two = Worker(sharing, "one"), Worker(sharing, "two")
    async with running(one, two) as (first, _):
        await one.began.wait()
        assert not two.leases
        first.cancel()
        await two.began.wait()
        assert one.ended.is_set()
    assert one.leases[0].epoch < two.leases[0].epoch
    assert await sharing.leases() == ()


async def test_a_lease_is_kept_for_as_long_as_it_is_renewed(sharing: Alone) -> None:
    """Three times its length, and nobody else had it."""
    one, two = Worker(sharing, "one"), Worker(sharing, "two")
    async with running(one, two):
        await one.began.wait()
        await asyncio.sleep(3 * duties.LEASE_SECONDS)
        assert one.began.is_set()
    assert len(one.leases) == 1
    assert not two.leases


async def test_who_was_replaced_stops(sharing: Alone) -> None:
    """Another process has taken the lease over while this one stood still."""
    one = Worker(sharing, "one")
    async with running(one):
        await one.began.wait()
        sharing._leases["sweeper"].until = float("-inf")
        taken = await sharing.take_lease("sweeper", "two", seconds=60)
        await one.ended.wait()
        assert one.duty.lease is None
    assert await sharing.leases() == (taken,)


async def test_who_cannot_renew_stops_before_another_can_begin(
    sharing: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is cut off from the store does not wait to be told."""

    async def fail(_lease: Lease, *, seconds: float) -> bool:
        raise StoreFailed(f"nothing for {seconds} s")

    monkeypatch.setattr(sharing, "renew_lease", fail)
    one = Worker(sharing, "one")
    loop = asyncio.get_running_loop()
    async with running(one):
        await one.began.wait()
        until = sharing._leases["sweeper"].until
        await one.ended.wait()
        assert loop.time() <= until + 0.2


@pytest.mark.parametrize(
    ("fault", "event"),
    [
        (SetupError("this anchor is ahead"), "duty.refused"),
        (LeaseLost("too late"), "duty.lost"),
        (StoreFailed("full"), "duty.failed"),
        (ZeroDivisionError(), "duty.failed"),
    ],
)
async def test_a_process_that_cannot_do_it_lets_another_and_is_not_ended_by_it(
    sharing: Alone, fault: Exception, event: str
) -> None:
    """The lease is free at once, and the log says why."""
    events = EventLog()
    one, two = Worker(sharing, "one", fails=fault), Worker(sharing, "two")
    async with running(one, two) as (first, _):
        await two.began.wait()
        assert one.leases
        assert not first.done()
    assert event in events.text


async def test_a_process_that_is_not_fit_does_not_ask(sharing: Alone) -> None:
    """Such as one that has found a log not to be signed any further."""
    one, two = Worker(sharing, "one"), Worker(sharing, "two")
    one.fit = False
    async with running(one, two):
        await two.began.wait()
    assert not one.leases


async def test_a_lease_that_was_taken_at_the_start_is_worked_under(sharing: Alone) -> None:
    """The service looks before it listens, and goes on with the same lease."""
    one, two = Worker(sharing, "one"), Worker(sharing, "two")
    assert await one.duty.take()
    assert not await two.duty.take()
    async with running(two, one):
        await one.began.wait()
    assert one.leases[0].epoch == 1
    with contextlib.suppress(StoreFailed):
        await one.duty.release()
