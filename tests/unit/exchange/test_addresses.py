"""Where a node looks for its coordinator: one address after another, and no storm when all are down."""

from __future__ import annotations

from exchange.node.addresses import (
    FIRST_PATIENCE_SECONDS,
    HURRY_SECONDS,
    PATIENCE_SECONDS,
    Addresses,
)
from exchange.node.backoff import Backoff

LISTED = tuple(f"wss://hub{number}.example" for number in range(1, 4))


def of(state: str = "XAA", own: tuple[str, ...] = ()) -> Addresses:
    """Return a node's addresses, with the longest pauses that could be drawn."""
    return Addresses(state, own, Backoff(60.0, lambda: 1.0), lambda: 1.0)


def test_after_a_failure_comes_the_next_address_and_after_a_round_a_pause_that_grows() -> None:
    """Three addresses are tried within a moment; the pause comes once, and then the best is tried again."""
    addresses, tried, pauses = of(), [], []
    for _ in range(6):
        url, _ = addresses.choose(LISTED)
        tried.append(url)
        pauses.append(addresses.failed(url, LISTED))
    assert sorted(tried[:3]) == sorted(LISTED)
    assert tried[:3] == tried[3:] == list(addresses.all(LISTED))
    assert pauses == [HURRY_SECONDS, HURRY_SECONDS, 0.5, HURRY_SECONDS, HURRY_SECONDS, 1.0]


def test_one_address_alone_is_tried_as_ever() -> None:
    """Nothing hurries where there is nothing else to try."""
    addresses = of()
    assert addresses.choose(LISTED[:1]) == (LISTED[0], PATIENCE_SECONDS)
    assert [addresses.failed(LISTED[0], LISTED[:1]) for _ in range(3)] == [0.5, 1.0, 2.0]


def test_an_address_that_hangs_delays_the_next_for_seconds_only() -> None:
    """In the first round each has little time; once all have failed, each has all of it."""
    addresses = of()
    given = []
    for _ in range(4):
        url, seconds = addresses.choose(LISTED)
        given.append(seconds)
        addresses.failed(url, LISTED)
    assert given == [FIRST_PATIENCE_SECONDS, FIRST_PATIENCE_SECONDS, PATIENCE_SECONDS, PATIENCE_SECONDS]


def test_after_a_session_that_was_of_use_every_other_address_is_tried_at_once() -> None:
    """However long the link was down before: a success begins a new round, without the one just lost."""
    addresses = of()
    for _ in range(10):
        addresses.failed(addresses.choose(LISTED)[0], LISTED)
    first = addresses.choose(LISTED)[0]
    addresses.succeeded()
    assert addresses.failed(first, LISTED) == HURRY_SECONDS
    assert addresses.choose(LISTED)[0] != first


def test_the_settings_addresses_come_first_and_in_their_order() -> None:
    """Who names addresses for a node means them; those of the directory stay behind them."""
    own = ("wss://b.inside", "wss://a.inside", LISTED[1])
    every = of(own=own).all(LISTED)
    assert every[:3] == own
    assert sorted(every) == sorted({*own, *LISTED})


def test_nodes_spread_over_the_addresses_and_those_of_one_over_the_rest() -> None:
    """Each state has an order of its own, the same at every start."""
    states = [f"X{a}{b}" for a in "ABCDEFGHIJ" for b in "ABCDEFGHIJ"]
    orders = [of(state).all(LISTED) for state in states]
    assert orders == [of(state).all(tuple(reversed(LISTED))) for state in states]
    for url in LISTED:
        there = [order for order in orders if order[0] == url]
        assert 20 <= len(there) <= 50
        assert {order[1] for order in there} == {*LISTED} - {url}


def test_an_address_that_the_directory_drops_is_not_tried_any_more() -> None:
    """What was listed when the last session began does not matter."""
    addresses = of()
    first = addresses.choose(LISTED)[0]
    addresses.failed(first, LISTED)
    left = tuple(url for url in LISTED if url != first)[:1]
    assert addresses.choose(left)[0] == left[0]
