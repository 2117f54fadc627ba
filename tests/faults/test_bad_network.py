"""A line that loses packets one way, both ways, or large ones only; that is far, lossy, or thin."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.world import settle
from tests.faults.campaign import Campaign
from tests.faults.found import Tell
from tests.faults.network import HUB_ADDRESS, KINDS, Line, Weather, far_world, needed
from tests.faults.sizes import sized
from tests.ports import free_port

HEARTBEAT_S = "1.5"
"""A line that is dead is given up after twice this."""


@needed
def test_every_kind_of_bad_network_loses_nothing_and_shows_nothing_twice(tmp_path: Path, tell: Tell) -> None:
    """Real packets over a line of our own; when it is good again, everything arrives by itself."""
    port = free_port()
    founded = settle(tmp_path, port=port, urls=(f"wss://{HUB_ADDRESS}:{port}",))
    with Line(seed=52) as line, far_world(founded, line) as world:
        world.settings["ALMENARA_HEARTBEAT_S"] = HEARTBEAT_S
        campaign = Campaign(world, seed=52)
        weather = Weather(world, line, seed=52, least=sized(gate=6, faults=12, long=120))
        with campaign.watched() as watchers:
            campaign.play(weather, seconds=10.0)
            campaign.heal()
            campaign.drain()
            campaign.check_watchers(watchers)
            found = campaign.verdict(weather.fault, weather.count)
            tell(found)
            campaign.stop()
    found.require_truth()
    assert set(weather.victims) == set(KINDS), "not every kind of weather was tried"
