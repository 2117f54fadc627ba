"""A simulation must be able to fail: each fault put in on purpose is found, and without them nothing is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import pytest

from tests.simulation.crowd import Habits
from tests.simulation.loop import Broken
from tests.simulation.mutants import MUTANTS, mutated
from tests.simulation.nemesis import Malice
from tests.simulation.world import Plan, simulate

SEEDS = range(1, 7)
"""Each fault must be found by one of these."""


def plan(seed: int) -> Plan:
    """Return a small, busy and much troubled world."""
    return Plan(
        seed,
        hours=1.5,
        nodes=4,
        habits=Habits(notices=6.0, officer_s=1800.0),
        malice=Malice(node=16.0, hub=6.0, swizzle=0.5),
    )


@pytest.mark.parametrize("what", MUTANTS)
def test_a_fault_that_is_put_in_is_found(what: str) -> None:
    """Within a few seeds; the message says how to see it again."""
    found: Iterator[str] = chain.from_iterable(tries(what, seed) for seed in SEEDS)
    message = next(found, "")
    assert "again: python -m tests.simulation --seed" in message


def tries(what: str, seed: int) -> Iterator[str]:
    """Yield what was found by one seed, if anything was."""
    with mutated(what):
        try:
            simulate(plan(seed))
        except Broken as error:
            yield str(error)


@pytest.mark.parametrize("seed", [1, 2])
def test_without_a_fault_nothing_is_found(seed: int) -> None:
    """In the very worlds in which the faults are found."""
    assert simulate(plan(seed)).notices > 10
