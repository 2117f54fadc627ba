"""A node's courier against a scripted coordinator: real TLS and handshake; the test plays the hub."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from exchange.link.guard import ServerLimits
from exchange.link.handshake import Identity, authenticate_as_coordinator
from exchange.link.pump import Link
from exchange.link.server import GuardedServer
from exchange.link.tls import server_context
from exchange.node.addresses import Addresses
from exchange.node.answers import Answers
from exchange.node.backoff import Backoff
from exchange.node.courier import Courier
from exchange.node.inbox import Inbox
from exchange.node.ledger import Ledger
from exchange.node.mirror import Mirror
from exchange.node.openings import Openings
from exchange.node.receipts import Receipts
from exchange.node.tls_files import Certificates
from keys import enrolment, governance
from keys.documents import sign_document
from protocol import codec
from protocol.errors import AlmenaraError, PeerCode
from protocol.session.messages import Accepted, Attest, Message, Publish, Refused, Submit, Welcome
from protocol.session.messages import Mirror as MirrorRequest
from tests.clocks import FixedClock
from tests.community import HUB, YEAR_MS, Community
from tests.hubs import certificate
from tests.nodes import TestNode
from tests.patience import PATIENCE_S

WELCOME = Welcome(request_window=64, delivery_window=64, heartbeat_ms=20_000, documents=0)
PAUSE = 0.02


@dataclass
class Talk:
    """One session, seen from the coordinator's side; the test reads and answers."""

    link: Link
    heard: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)

    async def next(self) -> Message:
        """Return the next message that is no request for documents."""
        while isinstance(message := await asyncio.wait_for(self.heard.get(), PATIENCE_S), MirrorRequest):
            pass
        return message

    async def request(self) -> Submit | Attest | Publish:
        """Return the next message, which must be a request."""
        message = await self.next()
        assert isinstance(message, Submit | Attest | Publish), message
        return message

    async def quiet(self, seconds: float = 0.1) -> bool:
        """Return whether nothing more comes for a moment."""
        await asyncio.sleep(seconds)
        return self.heard.empty()

    def say(self, message: Message) -> None:
        """Send a message that the session allows."""
        self.link.send(message)

    def blurt(self, message: Message) -> None:
        """Send a message that an honest coordinator would not."""
        self.link.session._queue(codec.encode(message))
        self.link._kick()

    def cut(self) -> None:
        """Lose the connection without a goodbye."""
        self.link._transport.abort()


@dataclass
class ScriptedHub:
    """A coordinator whose every answer is the test's."""

    everyone: Community
    clock: FixedClock
    folder: Path
    documents: tuple[bytes, ...] = ()
    welcome: Welcome = WELCOME
    talks: asyncio.Queue[Talk] = field(default_factory=asyncio.Queue)
    visits: int = 0
    port: int = 0
    server: GuardedServer | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"wss://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen; the first time on any free port, afterwards on the same."""

        async def ready() -> bool:
            return True

        self.server = GuardedServer(
            self._handle,
            ready=ready,
            report=lambda _: None,
            clock=self.clock,
            limits=ServerLimits(shutdown_seconds=0.3, connections_per_address=8),
        )
        pinned = [certificate(code).der for code in self.everyone.members]
        context = server_context(self.folder / "hub.crt", self.folder / "hub.key", pinned)
        self.port = await self.server.listen("127.0.0.1", self.port, context)

    async def stop(self) -> None:
        """Stop listening and end every session."""
        if self.server is not None:
            await self.server.stop(1.0)
            self.server = None

    async def talk(self) -> Talk:
        """Return the next session that a node opens."""
        return await asyncio.wait_for(self.talks.get(), PATIENCE_S)

    async def _handle(self, link: Link, _certificate: bytes) -> None:
        self.visits += 1
        trust = self.everyone.directory()
        for document in self.documents:
            trust.update(document, self.clock.now_ms())
        await authenticate_as_coordinator(
            link,
            Identity(HUB, self.everyone.hub, self.everyone.verifier, trust),
            lambda _: self.everyone.hub,
            nonce=secrets.token_bytes(32),
            now_ms=self.clock.now_ms(),
            welcome=self.welcome,
        )
        talk = Talk(link)
        self.talks.put_nowait(talk)
        async for message in link.messages():
            talk.heard.put_nowait(message)


def located(everyone: Community, *ports: int) -> tuple[bytes, ...]:
    """Return the documents that say where the coordinator is, and list real certificates."""
    trusted, now_ms = everyone.directory(), everyone.now_ms
    hub = msgspec.structs.replace(
        everyone.hub_entry,
        url=" ".join(f"wss://127.0.0.1:{port}" for port in ports),
        certificates=(certificate(HUB).der,),
    )
    directory = governance.next_directory(trusted, trusted.states(), [hub], now_ms=now_ms, life_ms=YEAR_MS)
    fresh = [everyone.signed_by_governance(directory)]
    for member in everyone.members.values():
        manifest = enrolment.next_manifest(
            trusted.documents.manifests[member.code],
            state=member.code,
            community=everyone.id,
            keys=member.keys,
            certificates=[certificate(member.code).der],
            now_ms=now_ms,
            life_ms=YEAR_MS,
        )
        fresh.append(sign_document(manifest, [member.identity]))
    return tuple(fresh)


@asynccontextmanager
async def a_hub(folder: Path, node: TestNode) -> AsyncIterator[ScriptedHub]:
    """Run a scripted coordinator that the node's directory names."""
    async with several_hubs(folder, node, 1) as (hub,):
        yield hub


@asynccontextmanager
async def several_hubs(folder: Path, node: TestNode, count: int) -> AsyncIterator[tuple[ScriptedHub, ...]]:
    """Run one scripted coordinator as several processes; this node's order of their addresses is theirs."""
    for name, content in (("hub.crt", certificate(HUB).pem), ("hub.key", certificate(HUB).key_pem)):
        (folder / name).write_bytes(content)
    hubs = [ScriptedHub(node.everyone, node.clock, folder) for _ in range(count)]
    for hub in hubs:
        await hub.start()
    fresh = located(node.everyone, *(hub.port for hub in hubs))
    for document in fresh:
        node.context.directory.update(document, node.clock.now_ms())
    for hub in hubs:
        hub.documents = fresh
    order = order_of(node.context.state)
    try:
        yield tuple(sorted(hubs, key=lambda hub: order.all([one.url for one in hubs]).index(hub.url)))
    finally:
        for hub in hubs:
            await hub.stop()


def order_of(state: str, cap_seconds: float = PAUSE) -> Addresses:
    """Return the order in which a state's node tries addresses, with pauses that a test can bear."""
    return Addresses(state, (), Backoff(cap_seconds, lambda: 0.0), lambda: 0.0)


def make_courier(folder: Path, node: TestNode, mirror: Mirror, cap_seconds: float = PAUSE) -> Courier:
    """Return a node's courier, not yet running."""
    code = node.context.state
    (folder / "tls.crt").write_bytes(certificate(code).pem)
    (folder / "tls.key").write_bytes(certificate(code).key_pem)
    answers = Answers(node.context, Receipts(node.context))
    ledger = Ledger(node.context, node.link_state, folder / "evidence")
    addresses = order_of(code, cap_seconds)
    return Courier(node.context, Certificates(folder), mirror, answers, node.link_state, addresses, ledger)


MakeInbox = Callable[[TestNode, Callable[[], Awaitable[None]]], Inbox]


def plain_inbox(node: TestNode, catch_up: Callable[[], Awaitable[None]]) -> Inbox:
    """Return a node's inbox that asks its courier for newer documents."""
    receipts = Receipts(node.context)
    return Inbox(node.context, Openings(node.context), receipts, catch_up, node.link_state)


@asynccontextmanager
async def carrying(
    folder: Path, node: TestNode, make_inbox: MakeInbox = plain_inbox, cap_seconds: float = PAUSE
) -> AsyncIterator[asyncio.Task[None]]:
    """Run a node's courier; it must still be running at the end.

    It has looked already at what others know of it, for which it would wait in its first session.
    """
    node.context.restored.looked.set()
    courier = make_courier(folder, node, await Mirror.open(node.context), cap_seconds)
    running = asyncio.create_task(courier.run(make_inbox(node, courier.catch_up)))
    try:
        yield running
        assert not running.done(), running.exception()
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError, AlmenaraError):
            await running


def accepted(node: TestNode, request: Submit | Attest | Publish, envelope: bytes | None = None) -> Accepted:
    """Return an honest coordinator's answer."""
    statement = None if envelope is None else node.relayed(envelope)
    return Accepted(ref=request.ref, index=0, statement=statement)


def refused(request: Submit | Attest | Publish, code: PeerCode) -> Refused:
    """Return a refusal with this code."""
    return Refused(ref=request.ref, code=code)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is true, at most as long as is reasonable."""
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - what is waited for lies in a store
            await asyncio.sleep(0.005)
