"""The runbook about several coordinator processes: each of its commands, typed in order, over real ones."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.ceremony import CODES, HUB
from tests.acceptance.test_recovery import is_witnessed, send
from tests.acceptance.test_runbooks import custodians, night, sections, typed
from tests.acceptance.world import World, settle
from tests.ports import free_port
from tests.stores import Servers

PAGE = "several-coordinators.md"
SECOND = "HUB-2"


@pytest.fixture
def store(servers: Servers) -> str:
    """Return the address of an empty database."""
    server = servers.get(18)
    return server.address(asyncio.run(servers.lend(server)))


def test_a_coordinator_becomes_several_processes_as_the_page_says(tmp_path: Path, store: str) -> None:
    """From one process to two, listed for the nodes, seen by both, and one of them drained."""
    ports = free_port(), free_port()
    with night(settle(tmp_path / "settled", port=ports[0]), running=()) as world:
        more = names(world, store, ports)
        page = sections(PAGE)
        typed(world, HUB, page.pop("The first process"), **more)
        world.start(*CODES)
        send(world, "XAA", "XBB", subject="over the database")
        world.until(lambda: is_witnessed(world, "XAA"), "a quorum", 60.0)
        before = max(world.node(code).directory_version for code in CODES)
        typed(world, HUB, page.pop("One more process"), **more)
        both = {f"wss://127.0.0.1:{port}" for port in ports}
        for code in CODES:
            world.until(partial(knows_more, world, code, before), f"{code} to know both addresses", 60.0)
        shown = typed(world, HUB, page.pop("See who is there"), **more)
        assert "second:" in shown
        typed(world, HUB, page.pop("Restart one, or take it away"), **more)
        assert not page
        send(world, "XBB", "XAA", subject="by the one that is left")
        assert {world.node(code).address for code in CODES} <= both


def knows_more(world: World, code: str, before: int) -> bool:
    """Whether a node has a newer directory."""
    return world.node(code).directory_version > before


def names(world: World, store: str, ports: tuple[int, int]) -> dict[str, str | Path]:
    """Return what the page's names stand for here."""
    second = world.folder / SECOND
    start = world.folder / "bin" / "start-second"
    start.write_text(
        f'#!/bin/sh\nALMENARA_PORT={ports[1]} exec "{world.folder}/bin/start" coordinator "{second}"'
        f' "{world.folder}/hub-2.log" "{world.folder}/{SECOND}.pid"\n'
    )
    start.chmod(0o755)
    return {
        "STORE": store,
        "SECOND": second,
        "START_SECOND": str(start),
        "URL": f"wss://127.0.0.1:{ports[0]}",
        "URL_SECOND": f"wss://127.0.0.1:{ports[1]}",
        "PROPOSAL": world.folder / "addresses",
        **custodians(world),
    }
