"""A node and a coordinator with several addresses, over real TLS: the next one at once, and people see it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocol.envelope import parse_submission
from protocol.errors import PeerCode
from protocol.session.messages import Submit
from tests.couriers import ScriptedHub, accepted, carrying, several_hubs, until
from tests.hubs import certificate
from tests.nodes import SENDER, TestNode, a_node


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[TestNode]:
    """Return XAA's node."""
    async with a_node(tmp_path / "XAA", "XAA") as made:
        yield made


async def test_a_node_goes_on_at_the_next_address_and_nothing_is_lost(node: TestNode, tmp_path: Path) -> None:
    """The process it was at is gone in the middle of a request; the other one gets it, in a moment."""
    async with several_hubs(tmp_path, node, 2) as (first, second):
        submission = await node.send()
        async with carrying(tmp_path, node):
            talk = await first.talk()
            await talk.request()
            talk.cut()
            await first.stop()
            async with asyncio.timeout(2):
                again = await second.talk()
            request = await again.request()
            assert isinstance(request, Submit)
            again.say(accepted(node, request, parse_submission(request.submission)[1].id))

            async def is_empty() -> bool:
                return not await node.queue()

            await until(is_empty)
            view = await node.desk.node(SENDER)
    assert request.submission == submission
    assert (view.connected, view.address) == (True, second.url)
    assert [one.address for one in view.silent] == [first.url]
    assert view.silent[0].error


async def test_a_goodbye_sends_a_node_to_another_address(node: TestNode, tmp_path: Path) -> None:
    """A process that is drained is left without a pause, although it still listens."""
    async with several_hubs(tmp_path, node, 2) as (first, second), carrying(tmp_path, node):
        talk = await first.talk()
        await talk.link.close(PeerCode.GOING_AWAY)
        async with asyncio.timeout(2):
            await second.talk()
    assert (first.visits, second.visits) == (1, 1)


async def test_with_every_address_down_there_is_one_round_and_then_a_pause(
    node: TestNode, tmp_path: Path
) -> None:
    """Three addresses that open sessions of no use: each is tried once before the pause."""
    async with several_hubs(tmp_path, node, 3) as hubs, carrying(tmp_path, node, cap_seconds=60.0):
        for hub in hubs:
            talk = await hub.talk()
            talk.cut()

        async def pauses() -> bool:
            return (node.link_state.retry_seconds or 0) > 0

        await until(pauses)
        view = await node.desk.node(SENDER)
    assert [hub.visits for hub in hubs] == [1, 1, 1]
    assert not view.connected
    assert {one.address for one in view.silent} == {hub.url for hub in hubs}


async def test_an_address_with_somebody_else_behind_it_does_no_harm(node: TestNode, tmp_path: Path) -> None:
    """A stranger's certificate at one address is refused, said, and the next address serves."""
    async with several_hubs(tmp_path, node, 2) as (first, second):
        await first.stop()
        stranger = await listen_as("XBB", first, tmp_path)
        async with carrying(tmp_path, node):
            await second.talk()
            view = await node.desk.node(SENDER)
        await stranger.stop()
    assert view.address == second.url
    assert "not the coordinator's" in view.silent[0].error


async def listen_as(party: str, hub: ScriptedHub, folder: Path) -> ScriptedHub:
    """Listen where a coordinator listened, with another party's certificate."""
    place = folder / "stranger"
    place.mkdir()
    (place / "hub.crt").write_bytes(certificate(party).pem)
    (place / "hub.key").write_bytes(certificate(party).key_pem)
    stranger = ScriptedHub(hub.everyone, hub.clock, place, port=hub.port)
    await stranger.start()
    return stranger
