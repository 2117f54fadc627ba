"""A member's end of a session at a fraction of a node's cost: real TLS, real hello, then bare frames.

What the load driver spends comes out of the same two cores as what it measures, so from the hello on
nothing is checked that the coordinator sends: a frame is cut, unpacked and handed on.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections.abc import Callable
from typing import Any

import msgpack

from exchange.link.handshake import Identity, authenticate_as_node
from exchange.link.tls import peer_certificate_id
from keys.signer import Verifier
from protocol.errors import Unreachable
from protocol.session.messages import Message, Welcome
from protocol.session.session import Session
from protocol.session.table import Side, State
from tests.benchmarks.crowd import CLOCK, HUB, Crowd

SUBMIT, ATTEST, ACCEPTED, REFUSED, DELIVER, COLLECTED, PING, PONG, BYE, AHEAD = (
    5,
    6,
    8,
    9,
    10,
    11,
    20,
    21,
    22,
    25,
)
_UPGRADE = (
    b"GET /v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)

Heard = Callable[[list[Any]], None]
"""Takes the messages of one reading, each as the list that it is on the wire."""


class Lean(asyncio.Protocol):
    """One connection. It is a link as the handshake asks for one, until :meth:`listen`."""

    def __init__(self, own_certificate: bytes) -> None:
        self.session = Session(Side.NODE, CLOCK.monotonic())
        self.own_certificate = own_certificate
        self.peer_certificate = b""
        self.window = 0
        """How many requests may be under way."""
        self.lost: asyncio.Event = asyncio.Event()
        self._held = bytearray()
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._upgraded = False
        self._heard: Heard | None = None
        self._transport: asyncio.Transport | None = None

    # What the handshake calls.

    def send(self, message: Message) -> None:
        """Send one message through the session's rules."""
        self.session.send(message)
        self.write([frame(data) for data in self.session.outgoing()])

    async def receive(self) -> Message:
        """Return the next message of the handshake."""
        while True:
            data = await self._frames.get()
            if data is None:
                raise Unreachable("the coordinator hung up")
            message = self.session.receive(data, CLOCK.monotonic())
            if isinstance(message, Welcome):
                self.window = message.request_window
            if message is not None:
                return message

    async def close(self, *_: object) -> None:
        """Say goodbye, and cut the connection."""
        if self._transport is not None:
            if self.session.state is State.OPEN:
                self.write([frame(b"\x92\x16\xaagoing-away")])
            self._transport.close()

    # The bare part.

    def listen(self, heard: Heard) -> None:
        """Hand everything that comes from now on to ``heard``; heartbeats are answered here."""
        self._heard = heard
        while not self._frames.empty():
            data = self._frames.get_nowait()
            if data is not None:
                heard([msgpack.unpackb(data)])

    def write(self, frames: list[bytes]) -> None:
        """Send frames in one piece."""
        assert self._transport is not None
        self._transport.write(b"".join(frames))

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a session."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.peer_certificate = peer_certificate_id(transport)
        transport.write(_UPGRADE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let nobody wait for more."""
        self._frames.put_nowait(None)
        self.lost.set()

    def data_received(self, data: bytes) -> None:
        """Cut frames."""
        held = self._held
        held += data
        if not self._upgraded:
            head, ending, rest = held.partition(b"\r\n\r\n")
            if not ending:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                raise RuntimeError(f"no session: {bytes(head)!r}")
            self._upgraded = True
            self._held = held = bytearray(rest)
        cut = _cut(held)
        if self._heard is None:
            for one in cut:
                self._frames.put_nowait(one)
        elif cut:
            messages = [msgpack.unpackb(one) for one in cut]
            pings = [frame(msgpack.packb([PONG, one[1]])) for one in messages if one[0] == PING]
            if pings:
                self.write(pings)
            self._heard(messages)


def _cut(held: bytearray) -> list[bytes]:
    """Take the whole frames out of what came; a server's frames have no mask."""
    frames: list[bytes] = []
    at, end = 0, len(held)
    while end - at >= 2:
        size, body = held[at + 1], at + 2
        if size == 126:
            if end - at < 4:
                break
            size, body = struct.unpack_from("!H", held, at + 2)[0], at + 4
        elif size == 127:
            if end - at < 10:
                break
            size, body = struct.unpack_from("!Q", held, at + 2)[0], at + 10
        if end < body + size:
            break
        if held[at] == 0x82:
            frames.append(bytes(held[body : body + size]))
        at = body + size
    del held[:at]
    return frames


def frame(payload: bytes) -> bytes:
    """Return a client's binary frame with a mask of zeros, which changes nothing."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x82, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", 0x82, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x82, 0x80 | 127, size)
    return head + bytes(4) + payload


async def enter(crowd: Crowd, code: str, *, address: str = "127.0.0.1", port: int = 0) -> Lean:
    """Open a session for a member, as its node does.

    Args:
        crowd: The community.
        code: Whose session.
        address: The loopback address to come from.
        port: Where to connect, if not straight to the coordinator.
    """
    loop = asyncio.get_running_loop()
    _, lean = await loop.create_connection(
        lambda: Lean(crowd.certificates[code].id),
        "127.0.0.1",
        port or crowd.port,
        ssl=crowd.context(code),
        server_hostname="",
        local_addr=(address, 0),
    )
    me = Identity(code, crowd.members[code].node, Verifier(), crowd.directory)
    await authenticate_as_node(
        lean,  # type: ignore[arg-type]  # as much of a link as the handshake needs
        me,
        coordinator=HUB,
        nonce=secrets.token_bytes(32),
        now_ms=CLOCK.now_ms(),
    )
    return lean
