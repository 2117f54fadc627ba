"""Prekeys: one for each UTC day, two weeks ahead, kept for the longest life and a day."""

from __future__ import annotations

from itertools import pairwise

import pytest

from keys.calendar import DAY_MS, DAYS_AHEAD, KEEP_MS, REFRESH_BELOW_DAYS, days_missing
from keys.opening import RecipientKey
from keys.prekeys import make_prekeys
from protocol.documents import Prekey
from protocol.notice import MAX_LIFE_MS

NOON = 1_772_366_400_000  # 2026-03-01T12:00:00Z
TODAY = NOON - 12 * 3600 * 1000


def made(first_day_ms: int, days: int) -> list[Prekey]:
    number = iter(range(256))
    return [key.public for key in make_prekeys(first_day_ms, days, lambda size: bytes([next(number)]) * size)]


def test_the_day_of_a_time_is_its_utc_day() -> None:
    """Any time on it will do."""
    for moment in (TODAY, NOON, TODAY + DAY_MS - 1):
        assert made(moment, 1)[0].use_from_ms == TODAY


def test_days_follow_each_other_without_gap_or_overlap() -> None:
    """There is exactly one key for every moment."""
    keys = made(NOON, 14)
    assert [key.use_from_ms for key in keys] == [TODAY + day * DAY_MS for day in range(14)]
    assert all(one.use_until_ms == two.use_from_ms for one, two in pairwise(keys))


def test_a_secret_is_kept_for_the_longest_life_and_a_day() -> None:
    """A notice sealed in the last second of the day can still be opened to its end."""
    (key,) = made(NOON, 1)
    assert key.keep_until_ms - key.use_until_ms == KEEP_MS == MAX_LIFE_MS + DAY_MS


def test_every_day_has_its_own_key_and_the_seed_makes_it() -> None:
    """What is published belongs to what is kept."""
    seeds = iter([bytes([1]) * 32, bytes([2]) * 32])
    first, second = make_prekeys(NOON, 2, lambda size: next(seeds))
    assert first.public.key_id == RecipientKey.from_seed(bytes([1]) * 32).key_id
    assert first.public.public != second.public.public
    assert first.seed.hex() not in repr(first)


def test_a_seed_takes_32_fresh_bytes() -> None:
    """Once for each day."""
    asked: list[int] = []

    def randomness(size: int) -> bytes:
        asked.append(size)
        return bytes([len(asked)]) * size

    make_prekeys(NOON, 3, randomness)
    assert asked == [32, 32, 32]


def test_a_node_without_keys_makes_two_weeks_from_today() -> None:
    """Today is the first of them."""
    assert days_missing([], NOON) == (TODAY, DAYS_AHEAD)


@pytest.mark.parametrize("days", [REFRESH_BELOW_DAYS, DAYS_AHEAD, 20])
def test_nothing_is_missing_while_a_week_is_ahead(days: int) -> None:
    """A list is not published anew every day."""
    assert days_missing(made(NOON, days), NOON)[1] == 0


@pytest.mark.parametrize("days", [1, REFRESH_BELOW_DAYS - 1])
def test_below_a_week_the_list_is_filled_up_to_two(days: int) -> None:
    """From the first day that has no key."""
    assert days_missing(made(NOON, days), NOON) == (TODAY + days * DAY_MS, DAYS_AHEAD - days)


def test_after_a_long_silence_days_that_are_over_get_no_key() -> None:
    """Nobody seals to yesterday."""
    assert days_missing(made(TODAY - 30 * DAY_MS, 3), NOON) == (TODAY, DAYS_AHEAD)


def test_filling_up_makes_days_that_follow_the_published_ones() -> None:
    """The two lists together are one series."""
    published = made(NOON, 5)
    first, count = days_missing(published, NOON)
    more = made(first, count)
    assert more[0].use_from_ms == published[-1].use_until_ms
    assert days_missing([*published, *more], NOON)[1] == 0
