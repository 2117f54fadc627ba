"""The load's parts: times in buckets, arrivals decided beforehand, and whom it refuses to hammer."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from exchange.clock import SystemClock
from exchange.hammer.disk import flushes
from exchange.hammer.histogram import Histogram
from exchange.hammer.load import Measured
from exchange.hammer.profiles import PROFILES, schedule
from exchange.hammer.result import Plan, Result
from exchange.hammer.target import Target, require_test
from protocol.errors import BadRequest, NotAuthorized, SetupError


def target(community: str = "Tests of the south") -> Target:
    """Return a community of this name."""
    return Target(community, "XAA", ("XBB", "XCC"), {4: "ppd-41@1:severe"})


@pytest.mark.parametrize("percent", [1.0, 50.0, 90.0, 99.0, 99.9])
def test_a_percentile_is_right_within_one_percent(percent: float) -> None:
    """Over five orders of magnitude; the largest is exact."""
    draw = random.Random(7)
    seconds = sorted(draw.lognormvariate(-5, 2) for _ in range(20_000))
    times = Histogram(seconds)
    exact = seconds[int(len(seconds) * percent / 100)]
    assert times.percentile(percent) == pytest.approx(exact, rel=0.02)
    assert times.percentile(100) == times.most == pytest.approx(seconds[-1], abs=1e-6)
    assert len(times) == len(seconds)
    assert len(times._buckets) < 4_000


def test_an_empty_histogram_says_nothing_and_two_add_up() -> None:
    """Zero, and the same as one that recorded everything."""
    assert (Histogram().percentile(99), Histogram().mean, Histogram().most) == (0.0, 0.0, 0.0)
    one, both = Histogram([0.1, 0.2]), Histogram([0.1, 0.2, 0.4])
    one.add(Histogram([0.4]))
    assert (one.mean, one.most, len(one)) == (both.mean, both.most, len(both))


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_is_decided_beforehand(name: str) -> None:
    """The same seed gives the same arrivals, in order, within the time, at points of the scale."""
    dues = schedule(PROFILES[name], 20.0, 30.0, seed=3)
    assert dues == schedule(PROFILES[name], 20.0, 30.0, seed=3)
    assert [due.at for due in dues] == sorted(due.at for due in dues)
    assert all(0 <= due.at <= 30 and 0 <= due.point <= 5 for due in dues)
    assert 100 < len(dues) < 900


def test_a_steady_load_has_its_rate_and_a_crisis_its_onset() -> None:
    """Within what chance allows: 600 are due, give or take four deviations."""
    assert abs(len(schedule(PROFILES["steady"], 20.0, 30.0, seed=1)) - 600) < 100
    crisis = schedule(PROFILES["crisis"], 20.0, 100.0, seed=1)
    before, onset = ([due for due in crisis if low <= due.at < low + 20] for low in (0, 20))
    assert len(onset) > 5 * len(before)
    assert sum(due.at == 20.0 for due in crisis) == 40


def test_a_real_community_is_not_hammered_by_mistake() -> None:
    """Its name must say that it is for tests, or be repeated."""
    for name in ("Tests of the south", "DEMO", "Exercise 2026", "A training community"):
        require_test(target(name), None)
    for name in ("Comunidad de CSIRT", "Contested waters", "Attestation council"):
        with pytest.raises(NotAuthorized, match="does not call itself"):
            require_test(target(name), None)
        with pytest.raises(BadRequest, match="belongs to"):
            require_test(target(name), "Tests of the south")
        require_test(target(name), name)


def test_a_disk_that_cannot_be_written_is_said_and_one_that_can_is_left_clean(tmp_path: Path) -> None:
    """The figure is of real flushes; nothing stays behind."""
    assert len(flushes(tmp_path, SystemClock())) > 0
    assert not list(tmp_path.iterdir())
    with pytest.raises(SetupError, match="cannot be measured"):
        flushes(tmp_path / "none", SystemClock())


def test_a_result_says_what_was_measured_and_what_was_not() -> None:
    """Outcomes by their kind, what has not arrived, and the disk beside it."""
    measured = Measured(due=5, accepted=2, busy=1, rejected={"no-key": 1}, unknown={"TimeoutError": 1})
    measured.deliveries, measured.seconds = 4, 2.0
    measured.times["accepted"].record(0.004)
    measured.times["received"].record(0.020)
    result = Result(Plan("steady", 5.0, 2.0, 1), target(), measured, None, interrupted=True)
    text = "\n".join(result.lines())
    assert "INTERRUPTED" in text
    assert "of 4; 3 not yet" in text
    assert "no-key 1" in text
    assert "the disk was not measured" in text
    plain = result.as_object()
    assert plain["outcomes"] == {
        "accepted": 2,
        "busy": 1,
        "rejected": {"no-key": 1},
        "unknown": {"TimeoutError": 1},
    }
    assert plain["flush_ms"] is None
