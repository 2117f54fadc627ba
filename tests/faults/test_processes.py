"""Processes are killed, ended and frozen at any moment; nothing accepted is lost, nothing is shown twice."""

from __future__ import annotations

import pytest

from tests.acceptance.ceremony import CODES, HUB
from tests.acceptance.world import World
from tests.faults.campaign import run_campaign
from tests.faults.found import Tell
from tests.faults.sizes import sized
from tests.faults.troubles import Ends, Freezes, Kills

LEAST_NOTICES = 40
KILLS_PER_WORLD = 100
"""So many kills in one community; the long campaign has ten."""


@pytest.mark.parametrize("life", range(sized(gate=1, faults=1, long=10)))
def test_killing_any_process_at_any_time_loses_nothing_and_shows_nothing_twice(
    world: World, tell: Tell, life: int
) -> None:
    """kill -9 in the middle of traffic; then record, nodes and ledger say the same."""
    kills = Kills(world, seed=20_261_122 + life, least=sized(gate=20, faults=40, long=KILLS_PER_WORLD))
    campaign, found = run_campaign(world, kills, seed=life, seconds=10.0)
    tell(found)
    found.require_truth()
    assert set(kills.victims) == {HUB, *CODES}
    stories = campaign.stories().values()
    assert len(stories) >= LEAST_NOTICES
    assert any(story.unknown or story.refused for story in stories), "no kill ever hit a request"


def test_services_that_are_asked_to_end_under_load_lose_nothing(world: World, tell: Tell) -> None:
    """SIGTERM: each drains within ten seconds and ends with 0; nobody is told anything false."""
    ends = Ends(world, seed=39, least=sized(gate=5, faults=10, long=60))
    _, found = run_campaign(world, ends, seed=39, seconds=4.0)
    tell(found)
    found.require_truth()


def test_services_that_hang_and_go_on_lose_nothing(world: World, tell: Tell) -> None:
    """SIGSTOP and SIGCONT: whoever hung goes on, and says nothing twice."""
    freezes = Freezes(world, seed=40, least=sized(gate=6, faults=12, long=120))
    _, found = run_campaign(world, freezes, seed=40, seconds=4.0)
    tell(found)
    found.require_truth()
