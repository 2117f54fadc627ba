"""The one pump: a WebSocket and a timer round a :class:`~protocol.session.session.Session`.

Every entry, be it bytes from the peer, a message from the owner or the time, ends with the same
step: write whatever the session holds. One task writes, the owner's own task reads, one timer
serves heartbeats and deadlines; there is no task, timer or lock per message.

The owner must keep reading, as heartbeats travel between the messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from aiohttp import WSCloseCode, WSMessage, WSMsgType

from exchange.clock import Clock
from exchange.link.internals import Outlet, Socket, transport_of
from exchange.link.tls import peer_certificate_id
from protocol.errors import AlmenaraError, PeerCode, RemoteProtocolError, Unreachable
from protocol.session.messages import MAX_MESSAGE_BYTES, Bye, Message, Welcome
from protocol.session.session import DELIVERY_WINDOW_BYTES, REQUEST_WINDOW_BYTES, Session

SESSION_PATH = "/v1/session"
MAX_FRAME_BYTES = MAX_MESSAGE_BYTES + 1
"""What aiohttp is told: it refuses a frame that reaches its limit, not one that exceeds it."""


@dataclass(frozen=True)
class LinkLimits:
    """What a peer may cost. The defaults leave room for both flow-control windows.

    Attributes:
        pending_bytes: Give the peer up when more than this waits to be written.
        write_seconds: Give the peer up when it has taken nothing for so long.
        close_seconds: A goodbye may take this long; then the connection is cut.
    """

    pending_bytes: int = REQUEST_WINDOW_BYTES + DELIVERY_WINDOW_BYTES
    write_seconds: float = 30.0
    close_seconds: float = 2.0


class Link:
    """One live session over one connection. Make it inside the event loop.

    Args:
        socket: An established WebSocket without compression or automatic pings.
        session: This side's session, fresh.
        clock: Whose monotonic time drives the session.
        own_certificate: SHA-256 of the certificate that this side presented.
        limits: What the peer may cost.
        released: Called once at the very end, to let go of what carries the socket.
    """

    def __init__(
        self,
        socket: Socket,
        session: Session,
        *,
        clock: Clock,
        own_certificate: bytes,
        limits: LinkLimits | None = None,
        released: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.session = session
        self.own_certificate = own_certificate
        self._socket = socket
        self._transport = transport_of(socket)
        self._outlet = Outlet(socket)
        self.peer_certificate = peer_certificate_id(self._transport)
        """SHA-256 of the certificate that the peer presented on this connection."""
        self.farewell: PeerCode | None = None
        """The code of the peer's goodbye, once it has said it."""
        self._clock = clock
        self._limits = limits or LinkLimits()
        self._released = released
        self._loop = asyncio.get_running_loop()
        self._error: AlmenaraError | None = None
        self._left = False
        self._work = asyncio.Event()
        self._written = asyncio.Event()
        self._written.set()
        self._writing_since = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None
        self._writer = self._loop.create_task(self._write())
        self._schedule()

    # What the owner calls.

    async def messages(self) -> AsyncIterator[Message]:
        """Yield the peer's messages until either side says goodbye.

        Raises:
            RemoteProtocolError: the peer broke the rules or was silent; it has been told, and
                the connection is being closed.
            Unreachable: the connection was lost without a goodbye.
        """
        while not self._over():
            try:
                message = await self.receive()
            except Unreachable:
                if self._left:
                    return
                raise
            if isinstance(message, Bye):
                return
            yield message

    async def receive(self) -> Message:
        """Return the peer's next message; a :class:`Bye` too. Raises as :meth:`messages`."""
        while True:
            frame = await self._socket.receive()
            if frame.type is not WSMsgType.BINARY:
                raise self._ended(frame)
            try:
                message = self.session.receive(frame.data, self._clock.monotonic())
            except RemoteProtocolError as error:
                self._give_up(error)
                raise
            if self.session.outgoing_bytes:
                self._kick()
            if message is None:
                continue
            match message:
                case Welcome():
                    self._schedule()
                case Bye():
                    self.farewell = message.code
                    self._end()
            return message

    def send(self, message: Message) -> None:
        """Queue one message; it is written as soon as the owner lets the loop run.

        Raises:
            LocalProtocolError: the session or its flow control forbids it now.
        """
        self.session.send(message)
        if isinstance(message, Welcome):
            self._schedule()
        self._kick()

    async def flush(self) -> None:
        """Wait until everything queued is written and the peer takes more.

        Raises:
            RemoteProtocolError, Unreachable: the session ended before.
        """
        await self._written.wait()
        if self._error is not None:
            raise self._error

    async def close(self, code: PeerCode = PeerCode.GOING_AWAY) -> None:
        """Say goodbye and let go of the connection; harmless when it is gone already."""
        self._left = True
        self.session.close(code)
        self._kick()
        await asyncio.shield(self._end())

    # The pump.

    def _kick(self) -> None:
        if self.session.outgoing_bytes > self._limits.pending_bytes:
            self._give_up(RemoteProtocolError("the peer takes nothing we send", tell=PeerCode.TIMEOUT))
        elif self.session.outgoing_bytes and not self._writer.done():
            self._written.clear()
            self._work.set()

    async def _write(self) -> None:
        try:
            while True:
                await self._work.wait()
                self._work.clear()
                for piece in self._outlet.pieces(self.session.outgoing()):
                    self._writing_since = self._clock.monotonic()
                    await self._outlet.write(piece)
                self._writing_since = math.inf
                if not self._work.is_set():
                    self._written.set()
        except ConnectionError as error:
            self._fail(Unreachable(f"the connection was lost: {error}"))
        finally:
            self._written.set()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait = self.session.next_wakeup() - self._clock.monotonic()
        if wait < math.inf and self._ending is None:
            self._timer = self._loop.call_later(max(0.0, wait), self._tick)

    def _tick(self) -> None:
        now = self._clock.monotonic()
        try:
            self.session.wake(now)
            if now - self._writing_since > self._limits.write_seconds:
                raise RemoteProtocolError("the peer takes nothing we send", tell=PeerCode.TIMEOUT)
        except RemoteProtocolError as error:
            self._give_up(error)
            return
        self._kick()
        self._schedule()

    # The end.

    def _over(self) -> bool:
        return self.farewell is not None or (self._ending is not None and self._error is None)

    def _fail(self, error: AlmenaraError) -> None:
        if self._error is None:
            self._error = error

    def _give_up(self, error: RemoteProtocolError) -> None:
        self._fail(error)
        self.session.close(error.tell)
        if self.session.outgoing_bytes > self._limits.pending_bytes:
            self.session.outgoing()  # it will never be taken: let go of the memory
        self._kick()
        self._end()

    def _ended(self, frame: WSMessage) -> AlmenaraError:
        """Return why there is no next message."""
        match frame.type:
            case WSMsgType.TEXT | WSMsgType.PING | WSMsgType.PONG:
                self._give_up(RemoteProtocolError("the peer sent a frame that is not binary"))
            case WSMsgType.ERROR:
                large = getattr(frame.data, "code", None) == WSCloseCode.MESSAGE_TOO_BIG
                tell = PeerCode.TOO_LARGE if large else PeerCode.MALFORMED
                self._give_up(RemoteProtocolError(f"the peer broke WebSocket: {frame.data}", tell=tell))
            case _:
                self._fail(Unreachable("the connection ended without a goodbye"))
                self.session.close(PeerCode.GOING_AWAY)
                self._end()
        assert self._error is not None  # noqa: S101 - each case above has set it
        return self._error

    def _end(self) -> asyncio.Task[None]:
        if self._ending is None:
            if self._timer is not None:
                self._timer.cancel()
            self._ending = self._loop.create_task(self._take_down())
        return self._ending

    async def _take_down(self) -> None:
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(self._limits.close_seconds):
                await self._written.wait()
                await self._socket.close()
        self._writer.cancel()
        # Whatever the peer does with our goodbye, it does not keep the connection.
        self._loop.call_later(self._limits.close_seconds, self._transport.abort)
        if self._released is not None:
            await self._released()
