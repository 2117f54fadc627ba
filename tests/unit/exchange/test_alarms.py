"""Alarms stand until a person has dealt with them, and it is on record who said so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.node.views import EventView
from protocol.errors import NotAuthorized
from tests.nodes import SENDER, a_node, delivery_to


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


async def test_the_first_notices_of_a_pair_cannot_be_withheld_unseen(tmp_path: Path) -> None:
    """Numbers start at one, so what came before the first to arrive is missing, until a person accepts it."""
    async with a_node(tmp_path / "XAA", "XAA") as xaa, a_node(tmp_path / "XBB", "XBB") as xbb:
        copies = [delivery_to("XBB", await xaa.send(subject=f"Notice {number}")) for number in range(5)]
        await xbb.receive(copies[2])
        missing = [alarm.message for alarm in (await xbb.desk.node(SENDER)).alarms]
        await xbb.desk.dismiss(xbb.officer)
        accepted = (await xbb.desk.node(SENDER)).alarms
        await xbb.receive(copies[4])
        again = [alarm.message for alarm in (await xbb.desk.node(SENDER)).alarms]
    assert missing == ["2 notices of XAA from before its newest did not arrive"]
    assert accepted == ()
    assert again == ["1 notice of XAA from before its newest did not arrive"]
