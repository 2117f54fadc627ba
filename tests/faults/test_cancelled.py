"""A call is cancelled at its first, second, third … await: nothing leaks, nothing half is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Generator
from itertools import count
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

from tests.nodes import SENDER, TestNode, a_node, a_request, delivery_to
from tests.patience import PATIENCE_S

T = TypeVar("T")


class CancelledAt(Generic[T]):
    """An awaitable whose n-th await ends in a cancellation.

    Args:
        step: Which await, counted from 1.
        work: What is awaited.
    """

    def __init__(self, step: int, work: Awaitable[T]) -> None:
        self._step = step
        self._work = work
        self.reached = False

    def __await__(self) -> Generator[Any, Any, T]:
        """Run the work, and throw the cancellation in place of what it waits for."""
        steps = self._work.__await__()
        cancelled: BaseException | None = None
        for taken in count(1):
            try:
                waits = next(steps) if cancelled is None else steps.throw(cancelled)
            except StopIteration as ended:
                return ended.value  # type: ignore[no-any-return]
            cancelled = None
            if taken == self._step:
                self.reached, cancelled = True, asyncio.CancelledError()
                continue
            yield waits
        raise AssertionError


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[TestNode]:
    """Return XAA's node; whatever was cancelled, it still takes notices."""
    async with a_node(tmp_path / "XAA", "XAA") as opened:
        yield opened
        async with asyncio.timeout(PATIENCE_S):
            await opened.send(subject="after everything")


async def cancel_everywhere(work: Any) -> int:
    """Begin a work again and again, each time cancelled one await later; return how many there were."""
    for step in count(1):
        cancelled: CancelledAt[object] = CancelledAt(step, work(step))
        try:
            async with asyncio.timeout(PATIENCE_S):
                await cancelled
        except asyncio.CancelledError:
            assert cancelled.reached
        if not cancelled.reached:
            return step - 1
    raise AssertionError


async def test_a_submission_cancelled_at_any_await_is_there_whole_or_not_at_all(
    node: TestNode, tmp_path: Path
) -> None:
    """Repeated under its id it is one notice; no number is skipped, and no lock is kept."""

    def submit(step: int) -> Awaitable[object]:
        return node.desk.submit(SENDER, a_request(subject=str(step)), f"request-{step}")

    steps = await cancel_everywhere(submit)
    assert steps >= 1
    for step in range(1, steps + 2):
        await submit(step)
    queue = await node.queue()
    assert len(queue) == steps + 1
    async with a_node(tmp_path / "XBB", "XBB") as xbb:
        await xbb.receive(*(delivery_to("XBB", row.content) for row in queue))
        assert (await xbb.desk.node(SENDER)).alarms == ()


async def test_a_write_cancelled_at_any_await_holds_nobody_up(node: TestNode) -> None:
    """The engine's next write and read are answered, whatever became of the one that was given up."""
    engine = node.context.engine

    def write(_: int) -> Awaitable[object]:
        return engine.write(lambda db: db.execute("SELECT 1").get)

    assert await cancel_everywhere(write) >= 1
    assert await engine.read(lambda db: db.execute("SELECT 1").get) == 1
