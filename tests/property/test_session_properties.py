"""Whatever arrives, a session accepts it or closes with a code, and two ends never disagree."""

from __future__ import annotations

import math
import string

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from protocol import codec
from protocol.errors import LocalProtocolError, PeerCode, RemoteProtocolError
from protocol.session.messages import (
    Accepted,
    Attest,
    Bye,
    Collected,
    Deliver,
    Documents,
    ItemKind,
    Message,
    Mirror,
    Ping,
    Publish,
    Refused,
    Submit,
    Unusable,
)
from protocol.session.session import Session
from protocol.session.table import Side, State
from tests.sessions import CHALLENGE, EXAMPLES, HELLO, PROVE, WELCOME, Pair

numbers = st.integers(0, 12)
contents = st.binary(max_size=40)
codes = st.sampled_from(list(PeerCode))
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.binary(max_size=40)
    | st.text(string.printable, max_size=8),
    lambda inner: st.lists(inner, max_size=6),
    max_leaves=12,
)
messages: st.SearchStrategy[Message] = st.one_of(
    st.sampled_from([HELLO, CHALLENGE, PROVE, WELCOME]),
    st.builds(Submit, ref=numbers, submission=contents),
    st.builds(Attest, ref=numbers, statement=contents),
    st.builds(Publish, ref=numbers, document=contents),
    st.builds(Accepted, ref=numbers, index=numbers, statement=st.none() | contents),
    st.builds(Refused, ref=numbers, code=codes),
    st.builds(Deliver, sequence=numbers, item=st.sampled_from(list(ItemKind)), content=contents),
    st.builds(Collected, sequence=numbers),
    st.builds(Unusable, sequence=numbers, code=codes),
    st.builds(Mirror, index=numbers),
    st.builds(Documents, first=numbers, documents=st.tuples(contents), head=numbers),
    st.builds(Ping, token=numbers),
)
sides = st.sampled_from(list(Side))


def survives(session: Session, data: bytes) -> None:
    """Feed bytes; the only permitted exception closes the session with its code."""
    try:
        session.receive(data, 1.0)
    except RemoteProtocolError as error:
        refused = error
    else:
        return
    assert session.state is State.CLOSED
    assert session.outgoing()[-1] == codec.encode(Bye(code=refused.tell))


@given(data=st.binary(max_size=300), side=sides, state=st.sampled_from(list(State)))
def test_any_bytes_are_taken_or_refused_and_nothing_else(data: bytes, side: Side, state: State) -> None:
    """No other exception leaves the core, in any state, at either end."""
    survives(Pair(state)[side], data)


@given(
    tag=st.integers(0, 30),
    fields=st.lists(anything, max_size=8),
    side=sides,
    state=st.sampled_from(list(State)),
)
def test_any_array_with_a_number_in_front_is_taken_or_refused(
    tag: int, fields: list[object], side: Side, state: State
) -> None:
    """Nearly right messages reach deeper than noise does."""
    survives(Pair(state)[side], msgpack.packb([tag, *fields]))


@given(message=st.sampled_from(EXAMPLES), at=st.integers(0, 4000), byte=st.integers(0, 255), side=sides)
def test_a_message_with_one_byte_changed_is_taken_or_refused(
    message: Message, at: int, byte: int, side: Side
) -> None:
    """Also where only a length or a type byte is touched."""
    data = bytearray(codec.encode(message))
    data[at % len(data)] = byte
    for state in State:
        survives(Pair(state)[side], bytes(data))


class TwoEnds(RuleBasedStateMachine):
    """Two ends over a link that delivers late but in order, as a stream does."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair()
        self.wire: dict[Side, list[bytes]] = {side: [] for side in Side}
        self.sent: dict[Side, list[Message]] = {side: [] for side in Side}
        self.got: dict[Side, list[Message]] = {side: [] for side in Side}

    @rule(side=sides, message=messages)
    def send(self, side: Side, message: Message) -> None:
        before = self.pair[side].state
        try:
            self.pair[side].send(message)
        except LocalProtocolError:
            assert self.pair[side].state is before
        else:
            self.sent[side].append(message)
        self._write(side)

    @rule()
    def advance_the_handshake(self) -> None:
        for side, message in ((Side.NODE, HELLO), (Side.COORDINATOR, CHALLENGE), (Side.NODE, PROVE)):
            self.send(side, message)
            self.carry_all(side)
        self.send(Side.COORDINATOR, WELCOME)
        self.carry_all(Side.COORDINATOR)

    @rule(side=sides)
    def carry_all(self, side: Side) -> None:
        while self.wire[side]:
            self.carry(side)

    @precondition(lambda self: any(self.wire.values()))
    @rule(side=sides)
    def carry(self, side: Side) -> None:
        if self.wire[side]:
            # What one honest end sends, the other accepts: RemoteProtocolError would fail the test.
            message = self.pair[side.other].receive(self.wire[side].pop(0), self.pair.now)
            if message is not None:
                self.got[side.other].append(message)
            self._write(side.other)

    @precondition(lambda self: any(self.wire.values()))
    @rule(side=sides, at=st.integers(0, 10_000))
    def cut_the_connection(self, side: Side, at: int) -> None:
        """At any byte: half a message is never taken for one, and the next session begins anew."""
        if not self.wire[side]:
            return
        first = self.wire[side][0]
        half, receiver = first[: at % len(first)], self.pair[side.other]
        if receiver.next_wakeup() < math.inf:
            survives(receiver, half)
            assert receiver.next_wakeup() == math.inf, "half a message was taken for one"
        self.pair = Pair(now=self.pair.now)
        for held in (self.wire, self.sent, self.got):
            for end in Side:
                held[end].clear()

    @rule(seconds=st.integers(1, 25))
    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.pair.now += 1
            for side in Side:
                if self.pair[side].state is State.OPEN:
                    self.pair[side].wake(self.pair.now)
                    self._write(side)
                    self.carry_all(side)
                    self.carry_all(side.other)

    @invariant()
    def what_arrived_is_what_was_sent(self) -> None:
        for side in Side:
            seen = self.got[side.other]
            sent = [message for message in self.sent[side] if not isinstance(message, Ping)]
            assert seen == sent[: len(seen)]

    @invariant()
    def with_nothing_under_way_both_ends_stand_alike(self) -> None:
        if not any(self.wire.values()):
            node, coordinator = self.pair[Side.NODE], self.pair[Side.COORDINATOR]
            assert node.state is coordinator.state
            assert node.may_request(0) == coordinator.may_request(0)
            assert node.may_deliver(0) == coordinator.may_deliver(0)

    def _write(self, side: Side) -> None:
        self.wire[side] += self.pair[side].outgoing()


TestTwoEnds = TwoEnds.TestCase
TestTwoEnds.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
