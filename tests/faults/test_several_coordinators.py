"""Several coordinator processes over one PostgreSQL, and nodes spread over them: killed, frozen, drained."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.acceptance.ceremony import CODES, HUB, Founded
from tests.acceptance.golang import build
from tests.acceptance.several import AT, HUBS, SeveralWorld, living_several, settle_several
from tests.faults.campaign import SENDER, Campaign
from tests.faults.found import Found, Tell
from tests.faults.sizes import sized
from tests.faults.troubles import ENDS_IN_S, Trouble
from tests.stores import Servers

SECOND = Path(__file__).resolve().parents[1] / "acceptance" / "auditor"
TAKEN_OVER_S = 10.0
"""Within this time another process does what one did that has died."""
DUTIES = ("sequencer-ack", "sequencer-dir", "sweeper", "witnesses-ack", "witnesses-dir")

Verify = Callable[[Path, bytes], int]
Settled = tuple[Founded, dict[str, int]]


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Verify:
    """Build the second verifier, and return what runs it."""
    program = build(SECOND, tmp_path_factory.mktemp("second"), {"GOFLAGS": "-mod=mod"})

    def verify(bundle: Path, pinned: bytes) -> int:
        return subprocess.run([program, bundle, pinned.hex()], check=False, timeout=120).returncode

    return verify


@pytest.fixture(scope="module")
def settled_several(tmp_path_factory: pytest.TempPathFactory) -> Settled:
    """A community whose coordinator has three addresses; not to be changed."""
    return settle_several(tmp_path_factory.mktemp("several"))


@pytest.fixture
def several(settled_several: Settled, servers: Servers) -> Iterator[SeveralWorld]:
    """A copy of it over a database of its own, of which nothing runs yet."""
    with living_several(settled_several, servers) as world:
        yield world


class HubKills(Trouble):
    """SIGKILL of coordinator processes; one at least is always left."""

    fault = "kill -9, one of several"

    def make(self) -> None:
        """Kill one, wait, and start it again."""
        victim = self.dice.choice(HUBS)
        self.world.kill(victim)
        self.victims[victim] += 1
        self.pause(0.2, 2.0)
        self.world.launch(victim)
        self.world.wait_until_ready(victim)


class Drains(Trouble):
    """A rolling restart: each process is drained by the command, and started again."""

    fault = "drained in turn"

    def make(self) -> None:
        """Drain the next one."""
        world = self.world
        assert isinstance(world, SeveralWorld)
        victim = HUBS[self.count % len(HUBS)]
        began = time.monotonic()
        ran = world.run("coordinator", "drain", "--data", world.data(victim))
        assert ran.code == 0, ran.err
        assert time.monotonic() - began < 2 * ENDS_IN_S
        assert world.ended(victim) == 0, world.tails()
        self.victims[victim] += 1
        world.launch(victim)
        world.wait_until_ready(victim)


def judged(campaign: Campaign, world: SeveralWorld, second: Verify, fault: str, count: int) -> Found:
    """Let everything come to rest, and compare record, nodes, and the ledger by both verifiers."""
    world.wait_until_ready(*HUBS, *CODES)
    campaign.heal()
    campaign.drain()
    found = campaign.verdict(fault, count)
    assert second(world.folder / "bundle", world.founded.root_hash) == 0
    found.require_truth()
    return found


def test_notices_and_cosignatures_flow_among_nodes_of_three_processes(
    several: SeveralWorld, second: Verify, tell: Tell
) -> None:
    """Each node is at another process; all is received, answered, witnessed, and both verifiers agree."""
    campaign = Campaign(several, seed=1)
    with campaign.watched() as watchers:
        # First the processes: a node goes elsewhere if the one that it likes best is not there yet.
        several.start(HUB)
        several.start(*CODES)
        there = {code: several.url(hub) for code, hub in AT.items()}
        several.until(lambda: {code: several.address(code) for code in CODES} == there, "all to be there")
        for _ in range(5):
            campaign.submit(campaign.new())
        several.until(lambda: set(several.seen(HUB)["leases"]) == set(DUTIES), "every duty to be done")
        several.until(lambda: len(several.seen("HUB-2")["sessions"]) == len(CODES), "all sessions")
        status = several.seen("HUB-3")
        assert [one["facts"]["name"] for one in status["processes"]] == list(HUBS)
        assert {one["facts"]["name"]: one["nodes"] for one in status["processes"]} == {
            hub: [code] for code, hub in AT.items()
        }
        tell(judged(campaign, several, second, "none", 0))
        campaign.check_watchers(watchers)
        id_ = several.listed(SENDER, "outbox")[0].id

        def is_witnessed() -> bool:
            evidence = [one.evidence for one in several.status(SENDER, id_).deliveries]
            return all("witnessed" in one["received"] for one in evidence)

        several.until(is_witnessed, "a quorum among three processes", 60.0)


def test_processes_are_killed_and_nothing_is_lost_or_shown_twice(
    several: SeveralWorld, second: Verify, tell: Tell
) -> None:
    """kill -9 of one process after another, in the middle of traffic."""
    kills = HubKills(several, seed=38, least=sized(gate=6, faults=20, long=200))
    campaign = Campaign(several, seed=38)
    with campaign.watched() as watchers:
        campaign.play(kills, seconds=8.0)
        tell(judged(campaign, several, second, kills.fault, kills.count))
        campaign.check_watchers(watchers)


def test_when_the_process_dies_that_does_everything_another_does_it_within_ten_seconds(
    several: SeveralWorld, second: Verify, tell: Tell, record_property: Callable[[str, object], None]
) -> None:
    """Leases are taken over, its node is at another process in seconds, and the log goes on as one."""
    campaign = Campaign(several, seed=39)
    with campaign.watched():
        several.start(HUB)
        several.start(*CODES)
        for _ in range(3):
            campaign.submit(campaign.new())
        victim = leader(several)
        node = next(code for code, hub in AT.items() if hub == victim)
        several.until(lambda: several.address(node) == several.url(victim), "its node to be there")
        killed = datetime.now(UTC)
        several.kill(victim)
        moved_s = several.until_moved(node, victim)
        campaign.submit(campaign.new())
        others = [hub for hub in HUBS if hub != victim]
        several.until(lambda: taken_since(several, others, killed) is not None, "a new leader", 60.0)
        taken_s = taken_since(several, others, killed)
        assert taken_s is not None
        record_property(
            "figure",
            f"a dead process: its lease taken after {taken_s:.1f} s, "
            f"its node elsewhere after {moved_s:.1f} s",
        )
        assert taken_s <= TAKEN_OVER_S
        assert moved_s <= TAKEN_OVER_S
        several.launch(victim)
        tell(judged(campaign, several, second, "kill -9 of who signs", 1))


def test_a_process_that_stood_still_is_refused_what_it_then_writes(
    several: SeveralWorld, second: Verify, tell: Tell
) -> None:
    """SIGSTOP of the one that signs, for longer than its leases; then it goes on as if nothing had been."""
    campaign = Campaign(several, seed=40)
    with campaign.watched() as watchers:
        several.start(HUB)
        several.start(*CODES)
        for _ in range(3):
            campaign.submit(campaign.new())
        victim = leader(several)
        others = [hub for hub in HUBS if hub != victim]
        stopped, until = datetime.now(UTC), time.monotonic() + sized(gate=15, faults=60, long=60)
        os.kill(several.pid(victim), signal.SIGSTOP)
        try:
            while time.monotonic() < until or taken_since(several, others, stopped) is None:
                campaign.step()
                time.sleep(0.2)
        finally:
            os.kill(several.pid(victim), signal.SIGCONT)
        for _ in range(20):
            campaign.step()
        several.until(lambda: bool(several.events(victim, "duty.lost")), "it to notice", 60.0)
        tell(judged(campaign, several, second, "SIGSTOP of who signs", 1))
        campaign.check_watchers(watchers)
        assert several.seen(victim)["halted"] == {}


def test_a_rolling_restart_under_load_loses_nothing(
    several: SeveralWorld, second: Verify, tell: Tell
) -> None:
    """Each process is drained by the command and started again; nodes move at once, twice round."""
    drains = Drains(several, seed=41, least=sized(gate=3, faults=6, long=30))
    campaign = Campaign(several, seed=41)
    with campaign.watched() as watchers:
        campaign.play(drains, seconds=3.0)
        tell(judged(campaign, several, second, drains.fault, drains.count))
        campaign.check_watchers(watchers)
        assert any(several.events(hub, "duty.released") for hub in HUBS)


def leader(world: SeveralWorld) -> str:
    """Return the process that signs the log of statements, once one does."""
    found: list[str] = []

    def some() -> bool:
        holder = world.holder("sequencer-ack", by=HUB)
        found[:] = [] if holder is None else [holder]
        return bool(found)

    world.until(some, "a process that signs", 60.0)
    return found[0]


def taken_since(world: SeveralWorld, hubs: list[str], since: datetime) -> float | None:
    """Return after how many seconds one of these processes took over what signs, or None."""
    times = [
        (datetime.fromisoformat(event["time"]) - since).total_seconds()
        for hub in hubs
        for event in world.events(hub, "duty.taken")
        if event["action"] == "sequencer-ack"
    ]
    return min((seconds for seconds in times if seconds >= 0), default=None)
