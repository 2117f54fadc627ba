"""The numbers inside the wraps: whatever fails, a recipient never sees a gap that nobody made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from exchange.stores.node_statements import read_pairs
from protocol.errors import StoreFailed
from tests.nodes import SENDER, TestNode, a_node, a_request, delivery_to


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[TestNode]:
    """Return XAA's node."""
    async with a_node(tmp_path / "XAA", "XAA") as opened:
        yield opened


async def missing_at_recipient(node: TestNode, folder: Path) -> list[str]:
    """Deliver everything that is queued, and return what the recipient misses."""
    async with a_node(folder / "XBB", "XBB") as xbb:
        await xbb.receive(*(delivery_to("XBB", row.content) for row in await node.queue()))
        return [alarm.message for alarm in (await xbb.desk.node(SENDER)).alarms]


async def test_repeated_requests_among_others_leave_no_hole(node: TestNode, tmp_path: Path) -> None:
    """A try that turns out to be a repetition had taken a number, which the next one takes instead."""
    ids = ["a", "a", "b", "a", "c", "b", "d", "d", "e"]
    views = await asyncio.gather(
        *(node.desk.submit(SENDER, a_request(subject=one), f"request-{one}") for one in ids)
    )
    pairs = await node.context.engine.read(read_pairs)
    assert len({view.id for view in views}) == 5
    assert {sequence for sequence, _ in pairs.values()} == {5}
    assert await missing_at_recipient(node, tmp_path) == []


async def test_a_cancelled_submission_leaves_no_hole(node: TestNode, tmp_path: Path) -> None:
    """Whoever gives up waiting may try again: numbers follow what the store holds."""
    for turns in range(12):
        trying = asyncio.create_task(node.desk.submit(SENDER, a_request(subject=str(turns)), f"r-{turns}"))
        for _ in range(turns):
            await asyncio.sleep(0)
        trying.cancel()
        await asyncio.gather(trying, return_exceptions=True)
        await node.desk.submit(SENDER, a_request(subject=str(turns)), f"r-{turns}")
    assert len(await node.queue()) == 12
    assert await missing_at_recipient(node, tmp_path) == []


async def test_a_failing_disk_leaves_no_hole(node: TestNode, tmp_path: Path) -> None:
    """A notice that the disk refused has no number."""

    def refuse(db: apsw.Connection) -> None:
        db.execute("PRAGMA query_only = ON")

    for number in range(3):
        await node.desk.submit(SENDER, a_request(subject=f"Notice {number}"), f"good-{number}")
        await node.context.engine.write(refuse)
        with pytest.raises(StoreFailed):
            await node.desk.submit(SENDER, a_request(subject="refused"), f"bad-{number}")
    await node.desk.submit(SENDER, a_request(subject="last"), "last")
    assert len(await node.queue()) == 4
    assert await missing_at_recipient(node, tmp_path) == []
