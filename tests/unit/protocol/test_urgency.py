"""What a reference point does to the queue and to the clock."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from protocol.urgency import (
    HOUR_MS,
    LOWEST_PRIORITY,
    URGENCY,
    relay_priority,
    response_expected_by,
    urgency_of,
)

PAGE = Path(__file__).parents[3] / "protocol" / "spec" / "severity.md"


@pytest.mark.parametrize(
    ("point", "priority", "hours"), [(5, 0, 1), (4, 1, 4), (3, 2, 24), (None, 2, 24), (2, 3, 72)]
)
def test_a_graver_notice_goes_first_and_is_answered_sooner(
    point: int | None, priority: int, hours: int
) -> None:
    """The proposed numbers; a notice without a point counts as point 3."""
    assert relay_priority(point) == priority
    assert response_expected_by(point, sent_ms=1000) == 1000 + hours * HOUR_MS


@pytest.mark.parametrize("point", [0, 1])
def test_a_mild_notice_expects_no_answer(point: int) -> None:
    """No expectation is not an expectation of zero."""
    assert response_expected_by(point, sent_ms=1000) is None


def test_priorities_are_distinct_and_in_the_order_of_the_points() -> None:
    """Every point has its own place in the queue."""
    priorities = [relay_priority(point) for point in sorted(URGENCY, reverse=True)]
    assert all(first < second for first, second in pairwise(priorities))
    assert priorities[-1] == LOWEST_PRIORITY


def test_the_table_in_the_specification_is_that_of_the_code() -> None:
    """The page is read by people who cannot read the code."""
    rows = {row.split("|")[1].strip().split(",")[0]: row.split("|") for row in _rows()}
    for point in URGENCY:
        _, _, priority, interval, _ = rows[str(point)]
        hours = urgency_of(point).response_ms
        assert str(relay_priority(point)) == priority.strip().split(",")[0]
        assert interval.strip() == ("-" if hours is None else f"{hours // HOUR_MS} h")


def _rows() -> list[str]:
    section = PAGE.read_text("utf-8").split("## What a severity does")[1]
    return [line for line in section.splitlines() if line.startswith("| ")]
