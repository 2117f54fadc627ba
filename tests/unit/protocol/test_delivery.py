"""The life of a delivery: statements of two signers may overtake each other, and hide nothing."""

from __future__ import annotations

from itertools import permutations

import pytest

from protocol.delivery import ANSWERED, REACHED, TERMINAL, TRANSITIONS, DeliveryState, advance
from protocol.statement import StatementKind

S, K = DeliveryState, StatementKind


def after(*kinds: StatementKind) -> DeliveryState:
    state = S.QUEUED
    for kind in kinds:
        state = advance(state, kind)
    return state


def test_every_state_has_its_row() -> None:
    """A state that is missing would be an error at night."""
    assert set(TRANSITIONS) == set(S)


def test_a_delivery_that_goes_well_passes_every_step() -> None:
    """In the order that is shown."""
    kinds = (K.RELAYED, K.RECEIVED, K.OPENED, K.ACCEPTED, K.COMPLETED)
    states = tuple(after(*kinds[:count]) for count in range(len(kinds) + 1))
    assert states == REACHED


@pytest.mark.parametrize("order", list(permutations((K.RELAYED, K.RECEIVED, K.OPENED, K.ACCEPTED))))
def test_in_whatever_order_they_come_the_answer_stands(order: tuple[StatementKind, ...]) -> None:
    """A late machine receipt never hides a person's answer."""
    assert after(*order) is S.ACCEPTED


@pytest.mark.parametrize("state", sorted(S))
def test_a_statement_that_adds_nothing_changes_nothing(state: DeliveryState) -> None:
    """WITHDRAWN and SUPERSEDED speak of the whole notice."""
    assert advance(state, K.WITHDRAWN) is advance(state, K.SUPERSEDED) is state


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_nothing_follows_an_end(state: DeliveryState) -> None:
    """Completed and rejected are the last word."""
    assert all(advance(state, kind) is state for kind in K)


def test_a_person_may_think_again_until_it_is_completed() -> None:
    """Declined after accepted, and accepted after declined."""
    assert after(K.ACCEPTED, K.DECLINED) is S.DECLINED
    assert after(K.DECLINED, K.ACCEPTED) is S.ACCEPTED
    assert after(K.ACCEPTED, K.COMPLETED, K.DECLINED) is S.COMPLETED


def test_undelivered_is_no_end() -> None:
    """A state that comes back still receives what the coordinator had given up."""
    assert after(K.RELAYED, K.UNDELIVERED) is S.UNDELIVERED
    assert after(K.RELAYED, K.UNDELIVERED, K.RECEIVED) is S.RECEIVED
    assert after(K.RECEIVED, K.UNDELIVERED) is S.RECEIVED


def test_a_refusal_by_the_coordinator_hides_no_recipients_word() -> None:
    """It is unsigned; a coordinator that refuses a notice and relays it all the same is caught."""
    assert advance(S.REFUSED, K.RECEIVED) is S.RECEIVED
    assert advance(S.REFUSED, K.ACCEPTED) is S.ACCEPTED
    assert advance(S.REFUSED, K.REJECTED) is S.REJECTED
    assert advance(S.REFUSED, K.RELAYED) is advance(S.REFUSED, K.UNDELIVERED) is S.REFUSED


def test_no_statement_ever_takes_an_answer_back_to_silence() -> None:
    """Once a person has answered, some answer stands."""
    for state in ANSWERED:
        for kind in K:
            assert advance(state, kind) in ANSWERED
