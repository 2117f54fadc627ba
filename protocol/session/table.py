"""The one legality table: who may send what, when, and what state follows.

Both sides use this table for what they send and for what they receive, and it does not know
which side it serves, so it cannot be lenient with itself. A missing entry is the error. The
diagram in ``protocol/spec/session.md`` is generated from it.
"""

from __future__ import annotations

from enum import StrEnum

from protocol.session.messages import (
    Accepted,
    Ahead,
    Attest,
    Bye,
    Challenge,
    Collected,
    Compare,
    Compared,
    Cosigned,
    Deliver,
    Documents,
    Hello,
    Locate,
    Located,
    Message,
    Mirror,
    Ping,
    Pong,
    Prove,
    Publish,
    Refused,
    Submit,
    Unusable,
    Welcome,
    Witness,
    Witnessed,
)


class Side(StrEnum):
    """The two ends of a session."""

    NODE = "node"
    COORDINATOR = "coordinator"

    @property
    def other(self) -> Side:
        """The opposite end."""
        return Side.COORDINATOR if self is Side.NODE else Side.NODE


class State(StrEnum):
    """Where a session stands."""

    START = "start"
    GREETED = "greeted"
    CHALLENGED = "challenged"
    PROVEN = "proven"
    OPEN = "open"
    CLOSED = "closed"


_NODE_REQUESTS: tuple[type, ...] = (Submit, Attest, Publish, Mirror, Collected, Unusable)
_COORDINATOR_ANSWERS: tuple[type, ...] = (Accepted, Refused, Deliver, Ahead, Documents)
_NODE_LEDGER: tuple[type, ...] = (Cosigned, Locate, Compare)
_COORDINATOR_LEDGER: tuple[type, ...] = (Witness, Witnessed, Located, Compared)
_BOTH: tuple[type, ...] = (Ping, Pong)

TABLE: dict[State, dict[Side, dict[type, State]]] = {
    State.START: {Side.NODE: {Hello: State.GREETED}, Side.COORDINATOR: {}},
    State.GREETED: {Side.NODE: {}, Side.COORDINATOR: {Challenge: State.CHALLENGED}},
    State.CHALLENGED: {Side.NODE: {Prove: State.PROVEN}, Side.COORDINATOR: {}},
    State.PROVEN: {Side.NODE: {}, Side.COORDINATOR: {Welcome: State.OPEN}},
    State.OPEN: {
        Side.NODE: dict.fromkeys((*_NODE_REQUESTS, *_NODE_LEDGER, *_BOTH), State.OPEN),
        Side.COORDINATOR: dict.fromkeys((*_COORDINATOR_ANSWERS, *_COORDINATOR_LEDGER, *_BOTH), State.OPEN),
    },
    State.CLOSED: {Side.NODE: {}, Side.COORDINATOR: {}},
}
for _state in State:
    if _state is not State.CLOSED:
        for _side in Side:
            TABLE[_state][_side][Bye] = State.CLOSED


def next_state(state: State, sender: Side, message: Message) -> State | None:
    """Return the state after ``sender`` sends ``message``, or None if that is not legal."""
    return TABLE[state][sender].get(type(message))
