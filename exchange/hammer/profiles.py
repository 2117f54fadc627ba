"""When each notice is due, and how severe it is: decided before the first one is sent.

The load is open: a notice is due at its time whether the ones before are done or not, and its latency is
counted from that time. A service that stalls is not asked less, and cannot hide it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

POINTS = 6


@dataclass(frozen=True, slots=True)
class Due:
    """One notice to come: seconds after the beginning, and its point on the reference scale."""

    at: float
    point: int


@dataclass(frozen=True, slots=True)
class Profile:
    """A shape of load.

    Attributes:
        summary: What it is like, in a line.
        rate: The rate at a moment (0 to 1 of the whole time), as a part of the highest rate.
        at_once: How many come together at a moment, as a part of the highest rate, beside that.
        mix: How often each point of the reference scale comes, 0 to 5.
    """

    summary: str
    rate: Callable[[float], float]
    at_once: Mapping[float, float]
    mix: tuple[float, ...]


CALM = (2.0, 4.0, 3.0, 1.0, 0.1, 0.0)
GRAVE = (0.0, 1.0, 2.0, 4.0, 3.0, 1.0)


def _crisis(moment: float) -> float:
    """Return the rate of a crisis: quiet, an onset within seconds, a plateau, a slow end."""
    if moment < 0.2:
        return 0.1
    if moment < 0.6:
        return 1.0
    return max(0.1, 1.0 - (moment - 0.6) / 0.4)


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "steady": Profile("the same rate all the time", lambda _: 1.0, {}, CALM),
        "crisis": Profile(
            "quiet, then everybody at once, a plateau of grave notices, and a slow end",
            _crisis,
            {0.2: 2.0, 0.4: 1.0},
            GRAVE,
        ),
        "ramp": Profile("from nothing to the highest rate, evenly", lambda moment: moment, {}, CALM),
        "burst": Profile("silence, and ten seconds' notices together", lambda _: 0.0, {0.0: 10.0}, CALM),
    }
)


def schedule(profile: Profile, rate: float, seconds: float, seed: int) -> list[Due]:
    """Return every notice in order; the same for the same seed.

    Arrivals are a Poisson process (thinned: Lewis and Shedler, 1979), as those of many independent senders.

    Args:
        profile: The shape.
        rate: The highest rate per second.
        seconds: How long.
        seed: Names the draw.
    """
    draw = random.Random(seed)  # noqa: S311  (a draw that can be repeated, not a secret)
    times: list[float] = []
    at = draw.expovariate(rate)
    while at < seconds:
        if draw.random() < profile.rate(at / seconds):
            times.append(at)
        at += draw.expovariate(rate)
    for moment, part in profile.at_once.items():
        times += [moment * seconds] * round(part * rate)
    points = draw.choices(range(POINTS), profile.mix, k=len(times))
    return [Due(when, point) for when, point in zip(sorted(times), points, strict=True)]
