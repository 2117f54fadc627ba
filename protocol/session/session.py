"""The session core: bytes in, events out. It never waits, never reads a clock or a socket.

The shell around it does three things, always the same: hand in received bytes, write whatever
:meth:`Session.outgoing` holds, act on the events. Whether to believe the peer is the caller's
decision: the core says what arrived, the caller answers with :meth:`Session.send`.

Times are monotonic seconds, given by the caller.
"""

from __future__ import annotations

import math
from typing import NoReturn

from protocol import codec
from protocol.errors import FormatError, LocalProtocolError, PeerCode, RemoteProtocolError
from protocol.session.flow import Window
from protocol.session.messages import (
    MAX_HANDSHAKE_BYTES,
    MAX_MESSAGE_BYTES,
    VERSIONS,
    Accepted,
    Attest,
    Bye,
    Challenge,
    Collected,
    Deliver,
    Hello,
    Message,
    Ping,
    Pong,
    Publish,
    Refused,
    Submit,
    Unusable,
    Welcome,
    parse_message,
)
from protocol.session.table import Side, State, next_state

HANDSHAKE_SECONDS = 10.0
MISSED_HEARTBEATS = 3
REQUEST_WINDOW_BYTES = 8 * 1024 * 1024
DELIVERY_WINDOW_BYTES = 8 * 1024 * 1024


class Session:
    """One session as one side sees it.

    Args:
        side: Which end this is.
        now: Monotonic seconds at the start of the connection.

    After a :class:`RemoteProtocolError` the session is closed: write :meth:`outgoing` and drop
    the connection. A :class:`LocalProtocolError` changes nothing.
    """

    def __init__(self, side: Side, now: float) -> None:
        self.side = side
        self.state = State.START
        self.hello: bytes = b""
        """The Hello message exactly as sent, once it is; the transcript covers it."""
        self.outgoing_bytes = 0
        """How many bytes wait to be written; the shell gives up a peer that lets this grow."""
        self._outgoing: list[bytes] = []
        self._requests = Window(1, REQUEST_WINDOW_BYTES)
        self._deliveries = Window(1, DELIVERY_WINDOW_BYTES)
        self._versions: tuple[int, ...] = VERSIONS
        self._heartbeat = HANDSHAKE_SECONDS
        self._deadline = now + HANDSHAKE_SECONDS
        self._heard = now
        self._pinged = now
        self._ping_token = 0

    # What the shell calls.

    def receive(self, data: bytes, now: float) -> Message | None:
        """Take one complete message from the peer.

        Returns:
            The message, or None if the core dealt with it alone (heartbeats), or if the session
            is over: what was on its way when one side said goodbye is nobody's fault.

        Raises:
            RemoteProtocolError: the peer broke the rules; ``tell`` is the code to close with,
                and the Bye that says so is already in :meth:`outgoing`.
        """
        if self.state is State.CLOSED:
            return None
        try:
            message = self._parse(data)
            self._step(self.side.other, message, data)
        except RemoteProtocolError as error:
            self._fail(error.tell)
            raise
        self._heard = now
        match message:
            case Ping():
                self._emit(Pong(token=message.token))
                return None
            case Pong():
                return None
            case _:
                return message

    def send(self, message: Message) -> None:
        """Queue one message of ours.

        Raises:
            LocalProtocolError: the table or the flow control forbids it now.
        """
        try:
            data = codec.encode(message)
        except FormatError as error:
            raise LocalProtocolError(f"our own {type(message).__name__} breaks the format") from error
        self._step(self.side, message, data)
        self._queue(data)

    def outgoing(self) -> list[bytes]:
        """Return the messages to write now, each as one binary WebSocket message, and forget them."""
        out, self._outgoing = self._outgoing, []
        self.outgoing_bytes = 0
        return out

    def next_wakeup(self) -> float:
        """Return the monotonic second at which :meth:`wake` must be called; infinity for never."""
        if self.state is State.CLOSED:
            return math.inf
        if self.state is not State.OPEN:
            return self._deadline
        return min(self._pinged + self._heartbeat, self._heard + MISSED_HEARTBEATS * self._heartbeat)

    def wake(self, now: float) -> None:
        """Act on the time: send a heartbeat, or give the peer up.

        Raises:
            RemoteProtocolError: the handshake took too long, or the peer is silent.
        """
        if self.state is State.CLOSED:
            return
        if self.state is not State.OPEN:
            if now >= self._deadline:
                self._give_up("the peer did not finish the handshake in time")
            return
        if now >= self._heard + MISSED_HEARTBEATS * self._heartbeat:
            self._give_up("the peer has been silent for three heartbeats")
        if now >= self._pinged + self._heartbeat:
            self._pinged = now
            self._ping_token += 1
            self._emit(Ping(token=self._ping_token))

    def close(self, code: PeerCode) -> None:
        """Say goodbye, if there is still somebody to say it to."""
        if self.state is not State.CLOSED:
            self._fail(code)

    # What the caller may ask before it sends.

    def may_request(self, size: int) -> bool:
        """Whether a Submit, Attest or Publish with ``size`` bytes of content may be sent now."""
        return self.state is State.OPEN and self._requests.has_room(size)

    def may_deliver(self, size: int) -> bool:
        """Whether a Deliver with ``size`` bytes of content may be sent now."""
        return self.state is State.OPEN and self._deliveries.has_room(size)

    @property
    def outstanding_requests(self) -> int:
        """How many requests wait for an answer."""
        return len(self._requests)

    # The rules.

    def _parse(self, data: bytes) -> Message:
        limit = MAX_MESSAGE_BYTES if self.state is State.OPEN else MAX_HANDSHAKE_BYTES
        try:
            return parse_message(data, limit=limit)
        except FormatError as error:
            raise RemoteProtocolError(
                "the peer sent bytes that are no message", tell=error.peer_code
            ) from error

    def _step(self, sender: Side, message: Message, data: bytes) -> None:
        following = next_state(self.state, sender, message)
        if following is None:
            self._broken(sender, f"{type(message).__name__} is not allowed in state {self.state}")
        match message:
            case Hello():
                self.hello = data
                self._versions = message.versions
            case Challenge():
                if message.version not in self._versions or message.version not in VERSIONS:
                    self._broken(sender, "the chosen version was not offered", PeerCode.NO_COMMON_VERSION)
            case Welcome():
                self._requests = Window(message.request_window, REQUEST_WINDOW_BYTES)
                self._deliveries = Window(message.delivery_window, DELIVERY_WINDOW_BYTES)
                self._heartbeat = message.heartbeat_ms / 1000
                self._pinged = self._heard
            case _:
                self._step_flow(sender, message)
        self.state = following

    def _step_flow(self, sender: Side, message: Message) -> None:
        match message:
            case Submit():
                self._open(sender, self._requests, message.ref, len(message.submission))
            case Attest():
                self._open(sender, self._requests, message.ref, len(message.statement))
            case Publish():
                self._open(sender, self._requests, message.ref, len(message.document))
            case Deliver():
                self._open(sender, self._deliveries, message.sequence, len(message.content))
            case Accepted() | Refused():
                if not self._requests.close(message.ref):
                    self._broken(sender, "this request was not made, or was answered before")
            case Collected():
                if not self._deliveries.close_up_to(message.sequence):
                    self._broken(sender, "an item was collected before it was delivered")
            case Unusable():
                if not self._deliveries.knows(message.sequence):
                    self._broken(sender, "this item was not delivered, or was collected before")
            case _:
                return

    def _open(self, sender: Side, window: Window, number: int, size: int) -> None:
        if not window.rises(number):
            self._broken(sender, f"the number {number} does not rise")
        if not window.open(number, size):
            self._broken(sender, "more is outstanding than the window allows", PeerCode.OVER_QUOTA)

    def _broken(self, sender: Side, why: str, tell: PeerCode = PeerCode.ILLEGAL_MESSAGE) -> NoReturn:
        if sender is self.side:
            raise LocalProtocolError(why)
        raise RemoteProtocolError(why, tell=tell)

    def _give_up(self, why: str) -> NoReturn:
        self._fail(PeerCode.TIMEOUT)
        raise RemoteProtocolError(why, tell=PeerCode.TIMEOUT)

    def _fail(self, code: PeerCode) -> None:
        if self.state is not State.CLOSED:
            self._emit(Bye(code=code))
            self.state = State.CLOSED

    def _emit(self, message: Message) -> None:
        self._queue(codec.encode(message))

    def _queue(self, data: bytes) -> None:
        self._outgoing.append(data)
        self.outgoing_bytes += len(data)


def choose_version(offered: tuple[int, ...]) -> int | None:
    """Return the highest version that both sides know, or None."""
    return max(set(offered) & set(VERSIONS), default=None)
