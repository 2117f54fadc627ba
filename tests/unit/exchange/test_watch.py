"""Nobody is called late by a clock that jumped, or by somebody who was not looking."""

from __future__ import annotations

from exchange.node.watch import JUMP_MS, Watch
from tests.clocks import FixedClock

LOOK_S = 2.0


def watching() -> tuple[FixedClock, Watch]:
    """Return a watch that has begun, and its clock."""
    clock = FixedClock()
    watch = Watch(clock, LOOK_S)
    assert watch.begin()
    return clock, watch


def test_a_watch_that_looks_in_time_is_unbroken() -> None:
    """However long it lasts, and although a clock is slewed a little at each look."""
    clock, watch = watching()
    began = watch.since_ms
    for _ in range(1000):
        clock.advance(2_000)
        clock.set(clock.now_ms() + 1)
        assert watch.look()
    assert watch.since_ms == began


def test_a_clock_that_is_corrected_breaks_the_watch() -> None:
    """Forwards, a promise of a minute ago looks hours old; backwards, it lies in the future."""
    for jump_ms in (3_600_000, -3_600_000, JUMP_MS + 1):
        clock, watch = watching()
        clock.advance(2_000)
        clock.set(clock.now_ms() + jump_ms)
        assert not watch.look()
        assert watch.since_ms == clock.now_ms()
        clock.advance(2_000)
        assert watch.look()


def test_a_process_that_stood_still_has_not_watched() -> None:
    """What it was told meanwhile waits unread: it must not speak before it has read."""
    clock, watch = watching()
    clock.advance(60_000)
    assert not watch.look()
    assert watch.since_ms == clock.now_ms()


def test_between_two_sessions_only_a_jump_counts() -> None:
    """To be away is no break in what was seen before; a clock that was set meanwhile is."""
    clock, watch = watching()
    clock.advance(3_600_000)
    assert watch.begin()
    assert watch.since_ms == clock.now_ms()
    clock.set(clock.now_ms() + 3_600_000)
    assert not watch.begin()
