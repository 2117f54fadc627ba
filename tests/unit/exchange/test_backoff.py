"""The back-off: pauses grow, are spread, have a cap, and start again after a success."""

from __future__ import annotations

from exchange.node.backoff import FIRST_SECONDS, Backoff


def test_pauses_double_up_to_the_cap() -> None:
    """The longest pause is the one that the operator set."""
    backoff = Backoff(5.0, lambda: 1.0)
    assert [backoff.next_pause() for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_pauses_are_spread_over_half_of_their_step() -> None:
    """Nodes that lost the same coordinator do not all come back at once."""
    low, high = Backoff(60.0, lambda: 0.0), Backoff(60.0, lambda: 1.0)
    assert [(low.next_pause(), high.next_pause()) for _ in range(2)] == [(0.25, 0.5), (0.5, 1.0)]


def test_a_success_starts_from_the_shortest_pause() -> None:
    """One bad night does not slow down the next morning."""
    backoff = Backoff(60.0, lambda: 1.0)
    for _ in range(10):
        backoff.next_pause()
    backoff.succeeded()
    assert backoff.next_pause() == FIRST_SECONDS


def test_a_cap_below_the_first_pause_is_kept() -> None:
    """The cap holds from the first pause on."""
    assert Backoff(0.1, lambda: 1.0).next_pause() == 0.1
