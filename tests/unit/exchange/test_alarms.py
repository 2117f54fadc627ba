"""Alarms stand until a person has dealt with them, and it is on record who said so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.node.views import EventView
from protocol.errors import NotAuthorized
from tests.nodes import SENDER, a_node


async def test_an_officer_dismisses_alarms_and_is_named(tmp_path: Path) -> None:
    """The alarm goes, the event stream keeps who took it down, and a lasting cause raises it again."""
    async with a_node(tmp_path / "XBB", "XBB") as node:
        await node.receive(b"\xc1")
        before = (await node.desk.node(SENDER)).alarms
        after = (await node.desk.dismiss(node.officer)).alarms
        last = (await first_events(node.desk.events(SENDER, 0), 2))[-1]
        await node.receive(b"\xc1")
        again = (await node.desk.node(SENDER)).alarms
    assert [len(before), len(after), len(again)] == [1, 0, 1]
    assert (last.event, last.detail) == ("alarms.dismissed", "1 by officer of XBB")


async def test_a_script_may_not_dismiss_alarms(tmp_path: Path) -> None:
    """That something was dealt with is a person's word."""
    async with a_node(tmp_path / "XBB", "XBB") as node:
        with pytest.raises(NotAuthorized):
            await node.desk.dismiss(SENDER)


async def first_events(stream: AsyncIterator[EventView], count: int) -> list[EventView]:
    """Return the first events of a stream that never ends."""
    return [await anext(stream) for _ in range(count)]
