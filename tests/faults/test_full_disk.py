"""A disk that fills up under a running service, at every step; inodes that run out; a read-only disk."""

from __future__ import annotations

import time

import pytest

from exchange.node.views import ContentView
from tests.acceptance.ceremony import CODES, HUB
from tests.acceptance.world import World
from tests.faults.campaign import RECIPIENTS, SENDER, Campaign
from tests.faults.found import Tell
from tests.faults.sizes import larger, sized
from tests.faults.volumes import Volume, needed, small_disk

SIZE = "320m"
"""More than a node wants to have left before it takes anything."""
STEPS = sized(gate=range(0, 40, 5), faults=range(40), long=range(200))
"""So many blocks of 4 KiB are left free, one step after the other."""


def fill_and_send(campaign: Campaign, disk: Volume) -> None:
    """Leave a little more space at each step, and send at each."""
    for blocks in STEPS:
        disk.leave(blocks)
        for _ in range(2):
            campaign.submit(campaign.new())
        # What was accepted here uses space there; let it try.
        time.sleep(0.05)


def drained(campaign: Campaign, tell: Tell, fault: str, count: int) -> None:
    """Heal, drain, and check that nothing was told falsely."""
    campaign.heal()
    campaign.drain()
    found = campaign.verdict(fault, count)
    tell(found)
    campaign.stop()
    found.require_truth()


@needed
@pytest.mark.parametrize("full", [SENDER, pytest.param(RECIPIENTS[0], marks=larger), HUB])
def test_a_disk_that_is_full_at_any_step_loses_nothing_and_resumes_by_itself(
    world: World, tell: Tell, full: str
) -> None:
    """Whoever has no space refuses or holds; what is there can be read; with space all of it arrives."""
    campaign = Campaign(world, seed=8)
    with small_disk(world.data(full), SIZE) as disk, campaign.watched() as watchers:
        world.start(HUB, *CODES)
        first = campaign.submit(campaign.new())
        assert first is not None
        campaign.drain()
        fill_and_send(campaign, disk)
        disk.leave(0)
        campaign.submit(campaign.new())
        # Reading needs no space, and nor does verifying.
        assert first in {notice.id for notice in world.listed(SENDER, "outbox")}
        reader = RECIPIENTS[1]
        assert world.client(reader).ask("POST", f"/v1/notices/{first}/open", ContentView).text
        if full == HUB:
            assert world.runs(HUB)
        disk.empty()
        drained(campaign, tell, "disk full", len(STEPS))
        assert watchers
    refused = {code for story in campaign.stories().values() for code in story.refused}
    assert refused <= ({"store-failed", "overloaded"} if full == SENDER else set())
    assert bool(refused) is (full == SENDER)


@needed
@larger
def test_a_disk_without_inodes_loses_nothing(world: World, tell: Tell) -> None:
    """No new file can be made; what is in the database's own files goes on, or is refused."""
    campaign = Campaign(world, seed=9)
    with small_disk(world.data(SENDER), SIZE, inodes=300) as disk, campaign.watched():
        world.start(HUB, *CODES)
        disk.take_inodes()
        for _ in range(5):
            campaign.submit(campaign.new())
        disk.empty()
        drained(campaign, tell, "inodes exhausted", 1)


@needed
@pytest.mark.parametrize("name", [HUB, SENDER])
def test_a_service_on_a_read_only_disk_does_not_start_and_says_why(world: World, name: str) -> None:
    """It changes nothing, names the next step, and starts when the disk can be written again."""
    role = "coordinator" if name == HUB else "node"
    with small_disk(world.data(name), SIZE) as disk:
        disk.remount("ro")
        ran = world.run(role, "run", "--data", world.data(name), "--json")
        assert ran.code == 1, ran
        assert ran.error["message"]
        disk.remount("rw")
        world.start(name)
        assert world.stop(name) == 0
