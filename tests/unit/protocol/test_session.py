"""Two session cores joined by a fake link; time is an argument and nothing waits."""

from __future__ import annotations

import math

import msgpack
import pytest

from protocol import codec
from protocol.errors import LocalProtocolError, PeerCode, RemoteProtocolError
from protocol.fields import MAX_MILLIS
from protocol.session.handshake import Certificates, transcript
from protocol.session.messages import (
    MAX_HANDSHAKE_BYTES,
    MAX_MESSAGE_BYTES,
    Accepted,
    Attest,
    Bye,
    Collected,
    Deliver,
    Documents,
    Hello,
    ItemKind,
    Message,
    Mirror,
    Ping,
    Pong,
    Publish,
    Refused,
    Submit,
    Unusable,
    Welcome,
)
from protocol.session.session import HANDSHAKE_SECONDS, MISSED_HEARTBEATS, Session, choose_version
from protocol.session.table import TABLE, Side, State
from tests.sessions import CHALLENGE, EXAMPLES, HELLO, WAY, WELCOME, Pair

LARGE = bytes(300_000)


def test_a_whole_session_goes_by_the_book() -> None:
    """From the hello to the goodbye, both ends agree after every step."""
    pair = Pair()
    story: list[tuple[Side, Message]] = [
        *WAY[State.OPEN],
        (Side.NODE, Mirror(index=0)),
        (Side.COORDINATOR, Documents(first=0, documents=(b"root",), head=1)),
        (Side.NODE, Submit(ref=1, submission=b"sealed")),
        (Side.NODE, Attest(ref=2, statement=b"signed")),
        (Side.COORDINATOR, Accepted(ref=2, index=8, statement=None)),
        (Side.COORDINATOR, Accepted(ref=1, index=9, statement=b"promise")),
        (Side.NODE, Publish(ref=3, document=b"signed")),
        (Side.COORDINATOR, Refused(ref=3, code=PeerCode.NOT_TRUSTED)),
        (Side.COORDINATOR, Deliver(sequence=5, item=ItemKind.ENVELOPE, content=b"sealed")),
        (Side.COORDINATOR, Deliver(sequence=9, item=ItemKind.STATEMENT, content=b"signed")),
        (Side.NODE, Unusable(sequence=5, code=PeerCode.CANNOT_OPEN)),
        (Side.NODE, Collected(sequence=9)),
        (Side.COORDINATOR, Documents(first=1, documents=(b"directory",), head=2)),
        (Side.NODE, Bye(code=PeerCode.GOING_AWAY)),
    ]
    for sender, message in story:
        assert pair.pass_on(sender, message) == [message]
        assert pair[Side.NODE].state is pair[Side.COORDINATOR].state
    assert pair[Side.NODE].state is State.CLOSED


def test_the_examples_are_all_the_messages_there_are() -> None:
    """A new message cannot be forgotten in the tests below."""
    listed = {kind for sides in TABLE.values() for kinds in sides.values() for kind in kinds}
    assert {type(message) for message in EXAMPLES} == listed


@pytest.mark.parametrize("sender", list(Side))
@pytest.mark.parametrize("state", [state for state in State if state is not State.CLOSED])
@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_what_the_table_does_not_list_is_refused_at_both_ends(
    state: State, sender: Side, message: Message
) -> None:
    """Whose fault it is depends on the side that looks; what is legal does not."""
    if type(message) in TABLE[state][sender]:
        return
    pair = Pair(state)
    with pytest.raises(LocalProtocolError):
        pair[sender].send(message)
    assert pair[sender].state is state
    assert pair[sender].outgoing() == []
    with pytest.raises(RemoteProtocolError) as caught:
        pair.inject(sender, message)
    assert caught.value.tell is PeerCode.ILLEGAL_MESSAGE
    assert pair[sender.other].state is State.CLOSED
    assert pair.farewells(sender.other) == [PeerCode.ILLEGAL_MESSAGE]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("side", list(Side))
def test_after_the_goodbye_nothing_is_sent_and_nothing_heard(side: Side, message: Message) -> None:
    """What was under way when the session ended is nobody's fault."""
    pair = Pair(State.CLOSED)
    pair[Side.NODE].outgoing()
    with pytest.raises(LocalProtocolError):
        pair[side].send(message)
    assert pair.inject(side.other, message) is None
    pair[side].close(PeerCode.INTERNAL)
    assert pair[side].outgoing() == []
    pair[side].wake(1e9)
    assert pair[side].next_wakeup() == math.inf


@pytest.mark.parametrize(
    ("data", "tell"),
    [
        (b"", PeerCode.MALFORMED),
        (b"\xc1", PeerCode.MALFORMED),
        (b"\x90", PeerCode.MALFORMED),
        (msgpack.packb([]), PeerCode.MALFORMED),
        (msgpack.packb({1: 2}), PeerCode.MALFORMED),
        (msgpack.packb([1.5]), PeerCode.MALFORMED),
        (msgpack.packb([True, 1]), PeerCode.MALFORMED),
        (b"\x92\xcc\x14\x01", PeerCode.MALFORMED),
        (b"\x92\x14\x01\x00", PeerCode.MALFORMED),
        (msgpack.packb([20, "1"]), PeerCode.MALFORMED),
        (msgpack.packb([20, 1, 1]), PeerCode.MALFORMED),
        (b"\x91" * 5000 + b"\x14", PeerCode.MALFORMED),
        (msgpack.packb([99, 1]), PeerCode.UNKNOWN_KIND),
        (msgpack.packb(["ping", 1]), PeerCode.UNKNOWN_KIND),
        (bytes(MAX_MESSAGE_BYTES + 1), PeerCode.TOO_LARGE),
    ],
)
def test_bytes_that_are_no_message_close_the_session_with_the_right_code(data: bytes, tell: PeerCode) -> None:
    """Malformed, too large and unknown are told apart, and nothing more is told."""
    pair = Pair(State.OPEN)
    with pytest.raises(RemoteProtocolError) as caught:
        pair[Side.COORDINATOR].receive(data, 1.0)
    assert caught.value.tell is tell
    assert pair.farewells(Side.COORDINATOR) == [tell]
    assert pair[Side.COORDINATOR].state is State.CLOSED


def test_before_the_welcome_only_small_messages_are_parsed() -> None:
    """A stranger cannot make us parse megabytes."""
    pair = Pair()
    with pytest.raises(RemoteProtocolError) as caught:
        pair[Side.COORDINATOR].receive(bytes(MAX_HANDSHAKE_BYTES + 1), 0.0)
    assert caught.value.tell is PeerCode.TOO_LARGE


def test_the_whole_handshake_fits_its_limit() -> None:
    """Both signatures at their longest, with a full batch path."""
    longest = CHALLENGE.proof.__class__(
        signature=CHALLENGE.proof.signature, index=255, size=256, path=(bytes(32),) * 8
    )
    challenge = CHALLENGE.__class__(
        version=1,
        party="A" * 16,
        nonce=bytes(32),
        time_ms=MAX_MILLIS,
        key_id=bytes(32),
        proof=longest,
    )
    assert len(codec.encode(challenge)) <= MAX_HANDSHAKE_BYTES


# Versions.


def test_the_highest_common_version_is_chosen() -> None:
    """Unknown versions are passed over; none in common is said."""
    assert choose_version((1, 9)) == 1
    assert choose_version((2, 9)) is None


def test_a_version_that_was_not_offered_is_refused() -> None:
    """A coordinator cannot talk a node into a version it did not name."""
    pair = Pair()
    pair.pass_on(
        Side.NODE,
        Hello(
            versions=(5,),
            community=HELLO.community,
            party=HELLO.party,
            nonce=HELLO.nonce,
            time_ms=0,
            directory=HELLO.directory,
        ),
    )
    with pytest.raises(LocalProtocolError):
        pair[Side.COORDINATOR].send(CHALLENGE)
    with pytest.raises(RemoteProtocolError) as caught:
        pair.inject(Side.COORDINATOR, CHALLENGE)
    assert caught.value.tell is PeerCode.NO_COMMON_VERSION


def test_both_ends_keep_the_hello_exactly_as_sent() -> None:
    """The transcript covers these very bytes."""
    pair = Pair(State.GREETED)
    assert pair[Side.NODE].hello == pair[Side.COORDINATOR].hello == codec.encode(HELLO)


def test_every_fact_of_the_transcript_changes_what_is_signed() -> None:
    """A signature for one connection, side or version is none for another."""
    ours, theirs = bytes(32), bytes([1] * 32)
    pinned = Certificates(node=ours, coordinator=ours)
    variants = [
        transcript(Side.NODE, b"hello", 1, "NORTH-1", ours, 7, pinned),
        transcript(Side.COORDINATOR, b"hello", 1, "NORTH-1", ours, 7, pinned),
        transcript(Side.NODE, b"hullo", 1, "NORTH-1", ours, 7, pinned),
        transcript(Side.NODE, b"hello", 2, "NORTH-1", ours, 7, pinned),
        transcript(Side.NODE, b"hello", 1, "SOUTH-1", ours, 7, pinned),
        transcript(Side.NODE, b"hello", 1, "NORTH-1", theirs, 7, pinned),
        transcript(Side.NODE, b"hello", 1, "NORTH-1", ours, 8, pinned),
        transcript(Side.NODE, b"hello", 1, "NORTH-1", ours, 7, Certificates(node=theirs, coordinator=ours)),
        transcript(Side.NODE, b"hello", 1, "NORTH-1", ours, 7, Certificates(node=ours, coordinator=theirs)),
    ]
    assert len(set(variants)) == len(variants)


# Flow control.


def test_a_node_may_have_as_many_requests_open_as_the_coordinator_said() -> None:
    """The window is counted in requests of all three kinds together."""
    pair = Pair(State.OPEN)
    node = pair[Side.NODE]
    node.send(Submit(ref=1, submission=b""))
    node.send(Attest(ref=2, statement=b""))
    node.send(Publish(ref=3, document=b""))
    assert node.may_request(0)
    node.send(Submit(ref=4, submission=b""))
    assert not node.may_request(0)
    assert node.outstanding_requests == 4
    with pytest.raises(LocalProtocolError):
        node.send(Submit(ref=5, submission=b""))
    pair.deliver(Side.NODE)
    with pytest.raises(RemoteProtocolError) as caught:
        pair.inject(Side.NODE, Submit(ref=5, submission=b""))
    assert caught.value.tell is PeerCode.OVER_QUOTA


def test_an_answer_makes_room_for_one_request_more() -> None:
    """In whatever order the answers come."""
    pair = Pair(State.OPEN)
    for ref in range(4):
        pair.pass_on(Side.NODE, Submit(ref=ref, submission=b""))
    pair.pass_on(Side.COORDINATOR, Refused(ref=2, code=PeerCode.INTERNAL))
    pair.pass_on(Side.NODE, Submit(ref=4, submission=b""))
    pair.pass_on(Side.COORDINATOR, Accepted(ref=0, index=0, statement=None))
    assert pair[Side.NODE].outstanding_requests == 3
    assert pair[Side.NODE].may_request(0)


def test_the_windows_are_counted_in_bytes_too() -> None:
    """Few large items fill the window as well; a single one always fits."""
    roomy = Welcome(request_window=1000, delivery_window=1000, heartbeat_ms=20_000, documents=0)
    pair = Pair(State.OPEN, welcome=roomy)
    sent = 0
    while pair[Side.COORDINATOR].may_deliver(len(LARGE)):
        sent += 1
        pair.pass_on(Side.COORDINATOR, Deliver(sequence=sent, item=ItemKind.ENVELOPE, content=LARGE))
    assert sent == 27
    with pytest.raises(RemoteProtocolError) as caught:
        pair.inject(Side.COORDINATOR, Deliver(sequence=99, item=ItemKind.ENVELOPE, content=LARGE))
    assert caught.value.tell is PeerCode.OVER_QUOTA


def test_collecting_makes_room_for_deliveries() -> None:
    """Up to and including the number; saying it again changes nothing."""
    pair = Pair(State.OPEN)
    for sequence in (3, 4, 8, 9):
        pair.pass_on(Side.COORDINATOR, Deliver(sequence=sequence, item=ItemKind.STATEMENT, content=b""))
    assert not pair[Side.COORDINATOR].may_deliver(0)
    pair.pass_on(Side.NODE, Collected(sequence=8))
    pair.pass_on(Side.NODE, Collected(sequence=8))
    pair.pass_on(Side.NODE, Collected(sequence=5))
    for sequence in (10, 11, 12):
        pair.pass_on(Side.COORDINATOR, Deliver(sequence=sequence, item=ItemKind.STATEMENT, content=b""))
    assert not pair[Side.COORDINATOR].may_deliver(0)


@pytest.mark.parametrize(
    ("sender", "message"),
    [
        (Side.COORDINATOR, Accepted(ref=2, index=0, statement=None)),
        (Side.COORDINATOR, Refused(ref=2, code=PeerCode.INTERNAL)),
        (Side.COORDINATOR, Deliver(sequence=1, item=ItemKind.ENVELOPE, content=b"")),
        (Side.NODE, Submit(ref=1, submission=b"")),
        (Side.NODE, Collected(sequence=2)),
        (Side.NODE, Unusable(sequence=2, code=PeerCode.TAMPERED)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_numbers_rise_and_answers_belong_to_something(sender: Side, message: Message) -> None:
    """An answer to nothing, a number used twice: both are broken rules at both ends."""
    pair = Pair(State.OPEN)
    pair.pass_on(Side.NODE, Submit(ref=1, submission=b""))
    pair.pass_on(Side.COORDINATOR, Deliver(sequence=1, item=ItemKind.ENVELOPE, content=b""))
    with pytest.raises(LocalProtocolError):
        pair[sender].send(message)
    with pytest.raises(RemoteProtocolError) as caught:
        pair.inject(sender, message)
    assert caught.value.tell is PeerCode.ILLEGAL_MESSAGE


def test_a_message_that_breaks_its_own_bounds_is_our_bug() -> None:
    """It is found before it is sent, and changes nothing."""
    pair = Pair(State.OPEN)
    with pytest.raises(LocalProtocolError):
        pair[Side.NODE].send(Submit(ref=-1, submission=b""))
    assert pair[Side.NODE].may_request(0)
    assert pair[Side.NODE].outgoing_bytes == 0


def test_what_waits_to_be_written_is_counted() -> None:
    """The shell gives up a peer that lets it grow."""
    node = Pair(State.OPEN)[Side.NODE]
    node.send(Submit(ref=1, submission=bytes(100)))
    waiting = node.outgoing_bytes
    assert waiting == sum(len(data) for data in node.outgoing())
    assert waiting > 100
    assert node.outgoing_bytes == 0


# Time.


@pytest.mark.parametrize("state", [state for state in WAY if state not in (State.OPEN, State.CLOSED)])
@pytest.mark.parametrize("side", list(Side))
def test_a_handshake_that_takes_too_long_is_given_up(side: Side, state: State) -> None:
    """At every step, at both ends, counted from the connection's start."""
    session = Pair(state, now=100.0)[side]
    assert session.next_wakeup() == 100.0 + HANDSHAKE_SECONDS
    session.wake(99.9 + HANDSHAKE_SECONDS)
    session.outgoing()
    with pytest.raises(RemoteProtocolError) as caught:
        session.wake(100.0 + HANDSHAKE_SECONDS)
    assert caught.value.tell is PeerCode.TIMEOUT
    assert session.state is State.CLOSED
    assert session.outgoing() == [codec.encode(Bye(code=PeerCode.TIMEOUT))]


@pytest.mark.parametrize("side", list(Side))
def test_a_silent_peer_is_asked_and_then_given_up(side: Side) -> None:
    """A heartbeat each period; after three without a word it is over."""
    pair = Pair(State.OPEN)
    session, beat = pair[side], WELCOME.heartbeat_ms / 1000
    session.outgoing()
    for number in range(1, MISSED_HEARTBEATS):
        assert session.next_wakeup() == number * beat
        session.wake(number * beat)
        assert session.outgoing() == [codec.encode(Ping(token=number))]
    assert session.next_wakeup() == MISSED_HEARTBEATS * beat
    with pytest.raises(RemoteProtocolError) as caught:
        session.wake(MISSED_HEARTBEATS * beat)
    assert caught.value.tell is PeerCode.TIMEOUT


def test_an_answered_heartbeat_keeps_the_session() -> None:
    """The cores answer each other alone; their owners see nothing of it."""
    pair = Pair(State.OPEN)
    beat = WELCOME.heartbeat_ms / 1000
    for number in range(1, 50):
        pair.now = number * beat
        pair[Side.NODE].wake(pair.now)
        assert pair.deliver(Side.NODE) == []
        assert pair.deliver(Side.COORDINATOR) == []
    assert pair[Side.NODE].state is pair[Side.COORDINATOR].state is State.OPEN
    assert pair[Side.COORDINATOR].next_wakeup() <= pair.now + beat


def test_waking_too_early_does_nothing() -> None:
    """A timer that fires early costs nothing."""
    session = Pair(State.OPEN)[Side.NODE]
    session.outgoing()
    session.wake(0.1)
    assert session.outgoing() == []


def test_a_pong_answers_with_the_same_token() -> None:
    """Heartbeats may cross without being mixed up."""
    pair = Pair(State.OPEN)
    pair[Side.COORDINATOR].outgoing()
    assert pair.inject(Side.NODE, Ping(token=77)) is None
    assert pair[Side.COORDINATOR].outgoing() == [codec.encode(Pong(token=77))]


def test_a_session_needs_no_more_than_its_side_and_a_time() -> None:
    """It starts with nothing to say."""
    session = Session(Side.NODE, 5.0)
    assert session.outgoing() == []
    assert not session.may_request(0)
    assert not session.may_deliver(0)
