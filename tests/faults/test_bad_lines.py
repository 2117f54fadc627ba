"""Lines that stall, drip, delay, half-close, reset and flap; and processes that hardly get to run."""

from __future__ import annotations

from tests.acceptance.world import World
from tests.faults.campaign import Campaign, run_campaign
from tests.faults.found import Tell
from tests.faults.mischief import Mischief, Throttle
from tests.faults.proxy import Proxy
from tests.faults.sizes import larger, sized
from tests.ports import free_port

HEARTBEAT_S = "0.7"
"""A stalled line is given up after twice this, and there is a new one."""


def test_every_kind_of_bad_line_loses_nothing_and_shows_nothing_twice(world: World, tell: Tell) -> None:
    """Segments of one byte, stalls, half-closes, resets, partitions: what was under way is sent again."""
    world.settings["ALMENARA_HEARTBEAT_S"] = HEARTBEAT_S
    world.listen = free_port()
    campaign = Campaign(world, seed=49)
    with Proxy(world.founded.port, world.listen) as proxy, campaign.watched() as watchers:
        lines = Mischief(world, proxy, seed=49, least=sized(gate=8, faults=16, long=160))
        campaign.play(lines, seconds=8.0)
        campaign.heal()
        campaign.drain()
        campaign.check_watchers(watchers)
        found = campaign.verdict(lines.fault, lines.count)
        tell(found)
        campaign.stop()
    found.require_truth()
    assert len(lines.victims) == lines.lines, "not every kind of line was tried"


@larger
def test_a_coordinator_with_a_tenth_of_a_processor_loses_nothing(world: World, tell: Tell) -> None:
    """It is slow, and nobody takes slowness for a refusal."""
    throttle = Throttle(world, seed=42, least=sized(gate=5, faults=15, long=120))
    campaign, found = run_campaign(world, throttle, seed=42, seconds=5.0)
    tell(found)
    found.require_truth()
    assert not any(story.refused for story in campaign.stories().values())
