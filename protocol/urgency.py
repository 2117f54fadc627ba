"""What a severity does: the order of relay, and when the sender may expect an answer.

The numbers are a proposal of this project, agreed by nobody yet. Between states a deadline is an
expectation of the parties, shown as "response expected by"; it never puts anybody in breach.
A notice without a reference point is treated as point 3: better early than understated.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

MINUTE_MS = 60 * 1000
HOUR_MS = 60 * MINUTE_MS
UNKNOWN_POINT_COUNTS_AS = 3


class Urgency(NamedTuple):
    """What follows from one reference point.

    ``priority`` 0 is relayed first; notices of one priority go in order of arrival.
    ``response_ms`` is the default interval until an answer is expected, or None for no expectation.
    """

    priority: int
    response_ms: int | None


URGENCY: Mapping[int, Urgency] = MappingProxyType(
    {
        5: Urgency(0, 1 * HOUR_MS),
        4: Urgency(1, 4 * HOUR_MS),
        3: Urgency(2, 24 * HOUR_MS),
        2: Urgency(3, 72 * HOUR_MS),
        1: Urgency(4, None),
        0: Urgency(5, None),
    }
)
LOWEST_PRIORITY = max(urgency.priority for urgency in URGENCY.values())


def urgency_of(point: int | None) -> Urgency:
    """Return what follows from a reference point 0..5, or from none."""
    return URGENCY[UNKNOWN_POINT_COUNTS_AS if point is None else point]


def relay_priority(point: int | None) -> int:
    """Return the place in the queue: 0 first, :data:`LOWEST_PRIORITY` last."""
    return urgency_of(point).priority


def response_expected_by(point: int | None, *, sent_ms: int) -> int | None:
    """Return when an answer to a notice is expected by default, or None for no expectation.

    Args:
        point: The notice's reference point.
        sent_ms: When the notice was created, UTC milliseconds.
    """
    interval = urgency_of(point).response_ms
    return None if interval is None else sent_ms + interval
