"""Clocks that jump while a service runs, run too fast, or start again lower: nothing is lost or expires."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.acceptance.ceremony import CODES, HUB
from tests.acceptance.world import World
from tests.faults.campaign import RECIPIENTS, SENDER, Campaign
from tests.faults.found import Tell
from tests.faults.otherclock import RIGHT, OtherClock, needed
from tests.faults.sizes import larger, sized

EVERY_JUMP = ("+1h", "-1h", "+365d", "@1970-01-02 00:00:00")
JUMPS = sized(gate=("+365d",), faults=EVERY_JUMP, long=EVERY_JUMP)
ATTEMPTS = 3
SHIFT_S = 1_000_000


def alarms(world: World, code: str) -> set[str]:
    """Return the codes of a node's alarms."""
    return {alarm.code for alarm in world.node(code).alarms}


@needed
@pytest.mark.parametrize("code", sized(gate=[SENDER], faults=[SENDER, RECIPIENTS[0]], long=list(CODES)))
def test_a_node_whose_clock_jumps_says_so_and_loses_nothing(world: World, tell: Tell, code: str) -> None:
    """An hour, a year, 1970: it signs nothing by a clock that is known to be wrong, and goes on by itself."""
    clock = OtherClock(world.folder / "clock")
    campaign = Campaign(world, seed=62)
    with campaign.watched() as watchers:
        world.start(HUB, *(other for other in CODES if other != code))
        world.settings |= clock.settings
        world.start(code)
        for name in clock.settings:
            del world.settings[name]
        world.until(lambda: world.node(code).connected, f"{code} to connect")
        # Everything that a start brings with it is done, by a clock that is right.
        campaign.submit(campaign.new())
        campaign.drain()
        for jump in JUMPS:
            clock.set(jump)
            world.until(lambda: "clock-skew" in alarms(world, code), f"{code} to see that its clock is wrong")
            for _ in range(ATTEMPTS):
                campaign.submit(campaign.new())
            clock.set(RIGHT)
            world.until(lambda: "clock-skew" not in alarms(world, code), "the alarm to end")
            campaign.submit(campaign.new())
        campaign.heal()
        campaign.drain()
        campaign.check_watchers(watchers)
        found = campaign.verdict("clock jumps", len(JUMPS))
        tell(found)
        campaign.stop(unjudged=code)
    found.require_truth()
    told = {story_code for story in campaign.stories().values() for story_code in story.refused}
    assert told == ({"clock-skew"} if code == SENDER else set()), told


@needed
@larger
def test_a_coordinator_whose_clock_jumps_by_an_hour_loses_nothing(world: World, tell: Tell) -> None:
    """Who connects meanwhile takes its own clock for the wrong one, until the two are compared again."""
    clock = OtherClock(world.folder / "clock")
    campaign = Campaign(world, seed=63)
    campaign.auditor.tolerated = frozenset({"time-outside"})
    with campaign.watched() as watchers:
        world.settings |= clock.settings
        world.start(HUB)
        for name in clock.settings:
            del world.settings[name]
        world.start(*CODES)
        clock.set("+1h")
        world.stop(RECIPIENTS[1])
        world.start(RECIPIENTS[1])
        world.until(lambda: "clock-skew" in alarms(world, RECIPIENTS[1]), "the newcomer to see a difference")
        for _ in range(ATTEMPTS):
            campaign.submit(campaign.new())
        clock.set(RIGHT)
        campaign.heal()
        campaign.drain()
        campaign.check_watchers(watchers)
        found = campaign.verdict("clock jumps", 1)
        tell(found)
        campaign.stop(unjudged=HUB)
    found.require_truth()


@needed
@larger
def test_a_node_whose_clock_runs_too_fast_loses_nothing(world: World, tell: Tell) -> None:
    """A twentieth too fast, a hundred times what is usual; the difference stays within what is allowed."""
    clock = OtherClock(world.folder / "clock")
    clock.set("+0 x1.05")
    campaign = Campaign(world, seed=64)
    with campaign.watched() as watchers:
        world.settings |= clock.settings
        world.start(SENDER)
        for name in clock.settings:
            del world.settings[name]
        world.start(HUB, *RECIPIENTS)
        for _ in range(sized(gate=10, faults=40, long=400)):
            campaign.submit(campaign.new())
        campaign.heal()
        campaign.drain()
        campaign.check_watchers(watchers)
        found = campaign.verdict("drifting clock", 1)
        tell(found)
        campaign.stop(unjudged=SENDER)
    found.require_truth()


def time_namespaces() -> bool:
    """Whether a process can be given another monotonic clock here."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    words = ["unshare", "--time", "--monotonic", "1", "true"]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not time_namespaces(), reason="another monotonic clock needs root and `unshare --time`")
@larger
def test_a_monotonic_clock_that_starts_lower_holds_nothing_up(world: World, tell: Tell) -> None:
    """After a reboot it begins anew: no deadline, pause or lease of before may be waited for."""
    campaign = Campaign(world, seed=65)
    ahead = ("unshare", "--time", "--monotonic", str(SHIFT_S), "--boottime", str(SHIFT_S))
    with campaign.watched() as watchers:
        for name in (HUB, SENDER):
            world.before[name] = ahead
        world.start(HUB, *CODES)
        for _ in range(ATTEMPTS):
            campaign.submit(campaign.new())
        for name in (HUB, SENDER):
            world.kill(name)
        world.before.clear()
        world.start(HUB, SENDER)
        for _ in range(ATTEMPTS):
            campaign.submit(campaign.new())
        campaign.heal()
        campaign.drain()
        campaign.check_watchers(watchers)
        found = campaign.verdict("monotonic clock lower", 2)
        tell(found)
        campaign.stop()
    found.require_truth()
