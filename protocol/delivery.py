"""The life of one delivery: what is known of a notice at one recipient.

One table says which statement may follow which state; whoever shows or stores a delivery uses
it, so a late machine receipt never hides a person's answer.
"""

from __future__ import annotations

from enum import StrEnum

from protocol.statement import StatementKind


class DeliveryState(StrEnum):
    """Where a notice stands with one recipient."""

    WAITING = "waiting-for-key"
    QUEUED = "queued"
    REFUSED = "refused"
    RELAYED = "relayed"
    RECEIVED = "received"
    OPENED = "opened"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    COMPLETED = "completed"
    REJECTED = "rejected"
    UNDELIVERED = "undelivered"


_S, _K = DeliveryState, StatementKind

TRANSITIONS: dict[DeliveryState, dict[StatementKind, DeliveryState]] = {
    # Nothing is sealed, so nobody can say anything about it.
    _S.WAITING: {},
    _S.QUEUED: {},
    # A refusal is the coordinator's unsigned word: what a recipient has signed stands above it.
    _S.REFUSED: {_K.REJECTED: _S.REJECTED, _K.RECEIVED: _S.RECEIVED},
    _S.RELAYED: {_K.UNDELIVERED: _S.UNDELIVERED, _K.REJECTED: _S.REJECTED, _K.RECEIVED: _S.RECEIVED},
    _S.RECEIVED: {},
    _S.OPENED: {},
    _S.ACCEPTED: {_K.COMPLETED: _S.COMPLETED, _K.DECLINED: _S.DECLINED},
    _S.DECLINED: {_K.ACCEPTED: _S.ACCEPTED},
    _S.COMPLETED: {},
    _S.REJECTED: {},
    _S.UNDELIVERED: {_K.RECEIVED: _S.RECEIVED, _K.REJECTED: _S.REJECTED},
}
_ANSWERS = {
    _K.OPENED: _S.OPENED,
    _K.ACCEPTED: _S.ACCEPTED,
    _K.DECLINED: _S.DECLINED,
    _K.COMPLETED: _S.COMPLETED,
}
# Statements of two signers can overtake each other: an officer's answer implies the receipt.
for _state in (_S.QUEUED, _S.REFUSED, _S.RELAYED, _S.UNDELIVERED, _S.RECEIVED):
    TRANSITIONS[_state] |= _ANSWERS
TRANSITIONS[_S.QUEUED] |= TRANSITIONS[_S.RELAYED] | {_K.RELAYED: _S.RELAYED}
TRANSITIONS[_S.OPENED] = {kind: state for kind, state in _ANSWERS.items() if kind is not _K.OPENED}

_DENIES = frozenset({_K.REJECTED, _K.UNDELIVERED})
CONTRADICTS: dict[DeliveryState, frozenset[StatementKind]] = {
    _S.RECEIVED: _DENIES,
    _S.OPENED: _DENIES,
    _S.ACCEPTED: _DENIES,
    _S.DECLINED: _DENIES | {_K.COMPLETED},
    _S.COMPLETED: _DENIES | {_K.ACCEPTED, _K.DECLINED},
    _S.REJECTED: frozenset({_K.RECEIVED, _K.UNDELIVERED, *_ANSWERS}),
}
"""What must not follow, though it changes nothing: two such statements say opposite things of one
delivery. What was merely overtaken, or said again by a second officer, is none of it."""

TERMINAL = frozenset({_S.COMPLETED, _S.REJECTED})
ANSWERED = frozenset({_S.ACCEPTED, _S.DECLINED, _S.COMPLETED})
REACHED: tuple[DeliveryState, ...] = (
    _S.QUEUED,
    _S.RELAYED,
    _S.RECEIVED,
    _S.OPENED,
    _S.ACCEPTED,
    _S.COMPLETED,
)
"""The way of a delivery that goes well, in order."""


def advance(state: DeliveryState, kind: StatementKind) -> DeliveryState:
    """Return the state after a statement; one that adds nothing leaves the state as it is."""
    return TRANSITIONS[state].get(kind, state)


def contradicts(state: DeliveryState, kind: StatementKind) -> bool:
    """Return whether a statement says the opposite of what led to this state: an alarm in itself."""
    return kind in CONTRADICTS.get(state, frozenset())
