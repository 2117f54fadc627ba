"""The network between the members: streams that are late, stall in a partition, and break at any byte.

A session is a stream, so nothing is lost or overtaken inside one: what a network loses is the
connection, with everything on its way, and the message that was cut in the middle never arrives.
A partition may be of one direction only; what is sent into it waits, as TCP sends it again, and arrives
when it heals, if anybody is still there.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context
from typing import Any, NamedTuple

from aiohttp import WSMsgType

from exchange.clock import Clock
from exchange.link.pump import Link, LinkLimits
from protocol.errors import Unreachable
from protocol.session.session import Session
from protocol.session.table import Side
from tests.simulation.loop import LIFE, Life, SimLoop

HIGH_WATER = 256 * 1024
CONNECT_SECONDS = 10.0


class Frame(NamedTuple):
    """What a WebSocket returns."""

    type: WSMsgType
    data: Any = None


CLOSED = Frame(WSMsgType.CLOSED)
_GOODBYE = b""
"""What travels when one side closes in order; no message of a session is empty."""


class Tls:
    """What a connection shows of the certificates at its two ends."""

    def __init__(self, peer: bytes, context: object) -> None:
        self._peer = peer
        self.context = context

    def getpeercert(self, *, binary_form: bool) -> bytes:
        """Return the peer's certificate."""
        assert binary_form
        return self._peer


class Transport(asyncio.Transport):
    """The connection under a socket, as the pump sees it."""

    def __init__(self, end: End, tls: Tls) -> None:
        super().__init__()
        self._end = end
        self._tls = tls

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the TLS of this connection."""
        return self._tls if name == "ssl_object" else default

    def abort(self) -> None:
        """Cut the connection."""
        self._end.cut()


class End:
    """One end of a connection: as much of a WebSocket as the pump uses.

    Args:
        network: What it is an end in.
        life: Whose process has it.
        host: On which machine.
        number: Its own, from which the connection follows; even for the end that opened it.
        tls: What it shows of its certificates.
    """

    def __init__(self, network: Network, life: Life, host: str, number: int, tls: Tls) -> None:
        self.life = life
        self.host = host
        self.peer: End = self
        self.number = number
        self.transport = Transport(self, tls)
        self._writer = self
        """Where the pump looks for the transport."""
        self._network = network
        self._inbox: deque[Frame] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self.way: deque[bytes] = deque()
        """What is on its way to the other end."""
        self.way_bytes = 0
        self.arrives = 0.0
        self.moving = False
        self.open = True

    # What the pump calls.

    async def receive(self) -> Frame:
        """Return the next frame; CLOSED once the connection has ended."""
        while not self._inbox:
            if not self.open:
                return CLOSED
            self._waiting = self._network.loop.create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        return self._inbox.popleft()

    async def send_bytes(self, data: bytes) -> None:
        """Put a message on its way, and wait while too much is on it."""
        if not self.open or self.life.dead:
            raise ConnectionResetError("the connection has ended")
        self._network.leaves(self, data)
        self._put(data)
        while self.open and self.way_bytes > HIGH_WATER:
            self._drained = self._network.loop.create_future()
            await self._drained
        if not self.open:
            raise ConnectionResetError("the connection has ended")

    async def close(self) -> bool:
        """Close in order: what was sent before arrives first."""
        if self.open and not self.life.dead:
            self._put(_GOODBYE)
            self.shut()
        return True

    # What the network does to it.

    def cut(self, *, seen: bool = True) -> None:
        """Lose the connection with all that is on its way; the other end sees it, now or never."""
        self.shut()
        self.way.clear()
        if seen and self.peer.open:
            self._network.later(self.host, self.peer.host, self.peer.lost)

    def lost(self) -> None:
        """See that the connection has ended."""
        self.way.clear()
        self.shut()

    def shut(self) -> None:
        """End this side: whoever waits here is told."""
        self.open = False
        for future in (self._waiting, self._drained):
            if future is not None and not future.done():
                future.set_result(None)
        self._network.ends.pop(self.number, None)

    def _put(self, data: bytes) -> None:
        self.way.append(data)
        self.way_bytes += len(data)
        if not self.moving:
            self.moving = True
            self._network.move(self)

    def arrive(self) -> None:
        """Let the first message on the way reach the other end."""
        self.moving = False
        if not self.way or not self.peer:
            return
        data = self.way.popleft()
        self.way_bytes -= len(data)
        if self.way:
            self.moving = True
            self._network.move(self)
        if self._drained is not None and not self._drained.done() and self.way_bytes <= HIGH_WATER:
            self._drained.set_result(None)
        self.peer.take(data)

    def take(self, data: bytes) -> None:
        """Take one message that has arrived."""
        if not self.open:
            return
        if data == _GOODBYE:
            self.shut()
            return
        self._network.arrived(self, data)
        self._inbox.append(Frame(WSMsgType.BINARY, data))
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class Outlet:
    """Stands for :class:`exchange.link.internals.Outlet`: one message is one piece.

    Args:
        end: Where to write.
    """

    def __init__(self, end: End) -> None:
        self._end = end

    def pieces(self, messages: Iterable[bytes]) -> Iterator[bytes]:
        """Return the messages."""
        return iter(messages)

    async def write(self, piece: bytes) -> None:
        """Send one message."""
        await self._end.send_bytes(piece)


class Tap:
    """Sees every message that leaves a process, and every one that arrives at one."""

    def opened(self, end: End) -> None:
        """A connection was opened; ``end`` is the node's."""

    def leaves(self, end: End, data: bytes) -> None:
        """A message leaves a process."""

    def arrived(self, end: End, data: bytes) -> None:
        """A message has arrived at an end, and will be read if the process lives."""


Serve = Callable[[End], None]


class Network:
    """Everything between the machines.

    Args:
        loop: Virtual time.
        chance: Decides delays.
        center: The one machine that can be connected to.
        tap: Sees all that passes.
    """

    def __init__(self, loop: SimLoop, chance: random.Random, center: str, tap: Tap) -> None:
        self.loop = loop
        self.center = center
        self.server: tuple[Life, bytes, object, Serve] | None = None
        """Who listens: the process, its certificate and TLS context, and what serves a connection."""
        self.blocked: set[tuple[str, str]] = set()
        self.ends: dict[int, End] = {}
        self.messages = 0
        self._numbers = 0
        self._chance = chance
        self._tap = tap
        self._stuck: dict[tuple[str, str], list[Callable[[], None]]] = {}
        self._trace = hashlib.blake2b(digest_size=16)
        self._nobody = Context()

    @property
    def trace(self) -> str:
        """A hash of everything that has arrived anywhere, and when."""
        return self._trace.hexdigest()

    def note(self, *words: object) -> None:
        """Let something else be part of the trace."""
        self._trace.update(repr(words).encode())

    # Connections.

    async def connect(
        self, certificate: bytes, *, clock: Clock, own_certificate: bytes, seconds: float, limits: LinkLimits
    ) -> Link:
        """Connect the process that asks to the center; as :func:`exchange.link.client.connect`.

        Raises:
            Unreachable: nobody answers.
        """
        life = LIFE.get()
        assert life is not None
        host = life.name
        if (host, self.center) in self.blocked or (self.center, host) in self.blocked:
            await asyncio.sleep(seconds)
            raise Unreachable("nobody answered in time")
        await asyncio.sleep(self._delay() * 2)
        if self.server is None or self.server[0].dead:
            raise Unreachable("the connection was refused")
        server, theirs, context, serve = self.server
        here = End(self, life, host, self._numbers, Tls(theirs, None))
        there = End(self, server, self.center, self._numbers + 1, Tls(certificate, context))
        here.peer, there.peer = there, here
        self._numbers += 2
        self.ends[here.number], self.ends[there.number] = here, there
        self._tap.opened(here)
        serve(there)
        return Link(
            here,  # type: ignore[arg-type]
            Session(Side.NODE, clock.monotonic()),
            clock=clock,
            own_certificate=own_certificate,
            limits=limits,
        )

    def ends_of(self, life: Life) -> list[End]:
        """Return the open ends that a process has."""
        return [end for end in self.ends.values() if end.life is life]

    def gone(self, life: Life, *, seen: bool) -> None:
        """A process has ended: its connections break, which the others see, or not if its machine is gone."""
        if self.server is not None and self.server[0] is life:
            self.server = None
        for end in self.ends_of(life):
            end.cut(seen=seen)

    # Partitions.

    def block(self, source: str, target: str) -> None:
        """Let nothing through in one direction."""
        self.blocked.add((source, target))

    def heal(self, source: str, target: str) -> None:
        """Let everything through again that was sent meanwhile."""
        self.blocked.discard((source, target))
        for go in self._stuck.pop((source, target), ()):
            self._at(self.loop.time() + self._delay(), go)

    def later(self, source: str, target: str, what: Callable[[], None]) -> None:
        """Let something happen that travels from one machine to another."""

        def go() -> None:
            if (source, target) in self.blocked:
                self._stuck.setdefault((source, target), []).append(go)
            else:
                what()

        self._at(self.loop.time() + self._delay(), go)

    def move(self, end: End) -> None:
        """Let the first message on an end's way travel; later ones never overtake it."""
        end.arrives = max(end.arrives, self.loop.time() + self._delay())

        def go() -> None:
            if (end.host, end.peer.host) in self.blocked:
                self._stuck.setdefault((end.host, end.peer.host), []).append(go)
            else:
                end.arrive()

        self._at(end.arrives, go)

    def leaves(self, end: End, data: bytes) -> None:
        """Show a message that leaves."""
        self._tap.leaves(end, data)

    def arrived(self, end: End, data: bytes) -> None:
        """Show a message that has arrived, and let it be part of the trace."""
        self.messages += 1
        self._trace.update(
            b"%d %d " % (int(self.loop.time() * 1e6), end.number)
            + hashlib.blake2b(data, digest_size=16).digest()
        )
        self._tap.arrived(end, data)

    def _at(self, when: float, what: Callable[[], None]) -> None:
        self.loop.call_at(when, what, context=self._nobody)

    def _delay(self) -> float:
        """Return how long a message takes: tens of milliseconds, and now and then seconds."""
        chance = self._chance.random()
        if chance < 0.002:
            return self._chance.uniform(0.5, 4.0)
        return 0.004 + chance * 0.05
