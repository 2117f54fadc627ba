"""Limits of a process that are hit while it runs: file descriptors, memory; and restarts without end."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw

from tests.acceptance.ceremony import CODES, HUB
from tests.acceptance.world import World
from tests.faults.campaign import RECIPIENTS, Campaign
from tests.faults.found import Tell
from tests.faults.sizes import larger, sized

SPARE = 6
FLOOD = 64
MORE_BYTES = 4 * 2**20
LIFE_S = 5.0
FLOOD_S = 2.0


@contextmanager
def flood(port: int, count: int) -> Iterator[None]:
    """Hold so many connections that say nothing, as far as they are let in."""
    held: list[socket.socket] = []
    try:
        for _ in range(count):
            one = socket.socket()
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(("127.0.0.1", port))
            held.append(one)
        yield
    finally:
        for one in held:
            one.close()


def test_a_coordinator_without_descriptors_loses_nothing_and_goes_on_by_itself(
    world: World, tell: Tell
) -> None:
    """When there are some again, all that waited is stored, and new sessions are taken."""
    campaign = Campaign(world, seed=43)
    with campaign.watched() as watchers:
        world.start(HUB, *CODES)
        for code in CODES:
            world.until(lambda code=code: world.node(code).connected, f"{code} to connect")  # type: ignore[misc]
        pid = world.pid(HUB)
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        used = max(int(name) for name in os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + SPARE, hard))
        with flood(world.founded.port, FLOOD):
            for _ in range(5):
                campaign.submit(campaign.new())
            # The store may need one too, and have none: then the nodes hold what they have.
            time.sleep(FLOOD_S)
        campaign.drain()
        assert world.stop("XCC") == 0
        world.start("XCC")
        world.until(lambda: world.node("XCC").connected, "a new session")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
        campaign.heal()
        campaign.drain()
        campaign.check_watchers(watchers)
        found = campaign.verdict("descriptors exhausted", 1)
        tell(found)
        campaign.stop()
    found.require_truth()


@larger
def test_a_coordinator_that_meets_its_memory_limit_loses_nothing(world: World, tell: Tell) -> None:
    """Whether it goes on or ends: what it promised it owes, and after a restart it keeps it."""
    campaign = Campaign(world, seed=41)
    with campaign.watched() as watchers:
        world.start(HUB, *CODES)
        campaign.submit(campaign.new())
        campaign.drain()
        pid = world.pid(HUB)
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        used = int(status["VmData"].split()[0]) * 1024
        _, hard = resource.prlimit(pid, resource.RLIMIT_DATA)
        resource.prlimit(pid, resource.RLIMIT_DATA, (used + MORE_BYTES, hard))
        end = time.monotonic() + LIFE_S
        while time.monotonic() < end and world.runs(HUB):
            campaign.submit(campaign.new())
        if world.runs(HUB):
            resource.prlimit(pid, resource.RLIMIT_DATA, (hard, hard))
        else:
            world.launch(HUB)
        campaign.heal()
        campaign.drain()
        campaign.check_watchers(watchers)
        found = campaign.verdict("memory limit", 1)
        tell(found)
        campaign.stop()
    found.require_truth()


def counts(database: Path) -> dict[str, int]:
    """Return how many rows each table of a node that has ended holds."""
    db = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        named = [str(name) for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: int(str(db.execute(f'SELECT count(*) FROM "{name}"').get)) for name in named}
    finally:
        db.close()


def test_restarts_without_end_leave_everything_as_it_was(world: World) -> None:
    """Nothing grows by starting: no row, no file, no line of the log but those of a start."""
    code = RECIPIENTS[0]
    database = world.data(code) / "almenara.db"
    world.start(code)
    assert world.stop(code) == 0
    before, files = counts(database), sorted(path.name for path in world.data(code).rglob("*"))
    lines = len(world.log_of(code).read_text().splitlines())
    restarts = sized(gate=4, faults=20, long=1_000)
    for _ in range(restarts):
        world.start(code)
        assert world.stop(code) == 0
    assert counts(database) == before
    assert sorted(path.name for path in world.data(code).rglob("*")) == files
    assert len(world.log_of(code).read_text().splitlines()) <= lines * (restarts + 1) + restarts
