"""A coordinator and two nodes on loopback, with real certificates, real TLS and real keys."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from exchange.clock import SystemClock
from exchange.link.certificate import Certificate, make_certificate
from exchange.link.client import connect
from exchange.link.guard import ServerLimits
from exchange.link.handshake import (
    Identity,
    Visitor,
    Welcomed,
    authenticate_as_coordinator,
    authenticate_as_node,
)
from exchange.link.pump import Link, LinkLimits
from exchange.link.server import GuardedServer
from exchange.link.tls import client_context, server_context
from keys.signature import SecretKey
from keys.signer import Signer, Verifier, sign_possession
from protocol.documents import CoordinatorEntry, KeyEntry, Role
from protocol.errors import AlmenaraError, UnknownSigner, UnknownState
from protocol.notice import DirectoryHead
from protocol.session.messages import Welcome
from tests.community import log_keys
from tests.patience import PATIENCE_S

CLOCK = SystemClock()
COMMUNITY = bytes(range(32))
COORDINATOR = "NORTH-1"
WELCOME = Welcome(request_window=64, delivery_window=64, heartbeat_ms=20_000, documents=0)
LIMITS = ServerLimits(tls_seconds=0.4, http_seconds=0.6, shutdown_seconds=0.3, connections_per_address=8)
LINK_LIMITS = LinkLimits(pending_bytes=256 * 1024, write_seconds=0.5, close_seconds=0.3)


@dataclass(frozen=True)
class Party:
    """One end: its TLS certificate on disk and its signing key."""

    code: str
    certificate: Certificate
    signer: Signer
    folder: Path

    @classmethod
    def make(cls, folder: Path, code: str, role: Role, name: str = "") -> Party:
        now_ms = CLOCK.now_ms()
        certificate = make_certificate(code, now_ms, 3_600_000)
        mine = folder / (name or code)
        mine.mkdir()
        (mine / "tls.pem").write_bytes(certificate.pem)
        (mine / "tls.key").write_bytes(certificate.key_pem)
        return cls(code, certificate, Signer(SecretKey.generate(), role), mine)

    def server(self, *clients: Party) -> ssl.SSLContext:
        pinned = [client.certificate.der for client in clients]
        return server_context(self.folder / "tls.pem", self.folder / "tls.key", pinned)

    def client(self, server: Party) -> ssl.SSLContext:
        return client_context(self.folder / "tls.pem", self.folder / "tls.key", [server.certificate.der])


@dataclass
class StaticTrust:
    """A directory that lists these parties, as a trusted directory would answer."""

    coordinators: list[Party]
    nodes: list[Party]
    community: bytes = COMMUNITY

    def head(self) -> DirectoryHead:
        return DirectoryHead(version=1, hash=bytes(32))

    def coordinator(self, code: str) -> CoordinatorEntry:
        for party in self.coordinators:
            if party.code == code:
                return CoordinatorEntry(
                    code=code,
                    name="Coordinator",
                    url="wss://localhost",
                    key=party.signer.public,
                    possession=sign_possession(party.signer, code, self.community),
                    certificates=(party.certificate.der,),
                    log=log_keys(code, self.community),
                )
        raise UnknownState(f"{code} is no coordinator")

    def node_key(self, state: str, key_id: bytes, at_ms: int) -> KeyEntry:
        for party in self.nodes:
            if party.code == state and party.signer.key_id == key_id:
                return KeyEntry(
                    key=party.signer.public,
                    role=Role.NODE,
                    owner=state,
                    from_ms=0,
                    until_ms=at_ms + 1,
                    possession=sign_possession(party.signer, state, self.community),
                )
        raise UnknownSigner(f"{state} lists no such key")

    def certificates(self, party: str) -> frozenset[bytes]:
        listed = [*self.coordinators, *self.nodes]
        return frozenset(each.certificate.der for each in listed if each.code == party)

    def identity(self, party: Party) -> Identity:
        return Identity(party.code, party.signer, Verifier(), self)


Serve = Callable[[Link, Visitor], Awaitable[None]]


async def echo(link: Link, visitor: Visitor) -> None:
    """Serve a session that does nothing but live."""
    async for _ in link.messages():
        pass


@dataclass
class World:
    """A running coordinator, and what its sessions reported."""

    coordinator: Party
    xaa: Party
    xab: Party
    trust: StaticTrust
    folder: Path
    server: GuardedServer = field(init=False)
    serve: Serve = echo
    port: int = 0
    reports: asyncio.Queue[AlmenaraError] = field(default_factory=asyncio.Queue)
    welcome: Welcome = WELCOME

    async def handle(self, link: Link, certificate: bytes) -> None:
        me = self.trust.identity(self.coordinator)
        visitor = await authenticate_as_coordinator(
            link,
            me,
            lambda _: me.signer,
            nonce=secrets.token_bytes(32),
            now_ms=CLOCK.now_ms(),
            welcome=self.welcome,
        )
        await self.serve(link, visitor)

    @property
    def url(self) -> str:
        return f"wss://127.0.0.1:{self.port}"

    async def connect(
        self, node: Party, server: Party | None = None, *, url: str = "", limits: LinkLimits = LINK_LIMITS
    ) -> Link:
        context = node.client(server or self.coordinator)
        own = node.certificate.id
        return await connect(url or self.url, context, clock=CLOCK, own_certificate=own, limits=limits)

    async def greet(self, link: Link, node: Party, expected: str = COORDINATOR) -> Welcomed:
        return await authenticate_as_node(
            link,
            self.trust.identity(node),
            coordinator=expected,
            nonce=secrets.token_bytes(32),
            now_ms=CLOCK.now_ms(),
        )

    @asynccontextmanager
    async def session(self, node: Party, *, limits: LinkLimits = LINK_LIMITS) -> AsyncIterator[Link]:
        link = await self.connect(node, limits=limits)
        try:
            await self.greet(link, node)
            yield link
        finally:
            await link.close()

    async def reported(self) -> AlmenaraError:
        """Return the next error that a session of the coordinator ended with."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reports.get()


@asynccontextmanager
async def world(
    folder: Path, *, limits: ServerLimits = LIMITS, link_limits: LinkLimits = LINK_LIMITS
) -> AsyncIterator[World]:
    """Run a coordinator that lists XAA and XAB, and stop it again."""
    coordinator = Party.make(folder, COORDINATOR, Role.COORDINATOR)
    xaa, xab = Party.make(folder, "XAA", Role.NODE), Party.make(folder, "XAB", Role.NODE)
    trust = StaticTrust([coordinator], [xaa, xab])
    here = World(coordinator, xaa, xab, trust, folder)

    async def ready() -> bool:
        return True

    here.server = GuardedServer(
        here.handle,
        ready=ready,
        report=here.reports.put_nowait,
        clock=CLOCK,
        limits=limits,
        link_limits=link_limits,
    )
    here.port = await here.server.listen("127.0.0.1", 0, coordinator.server(xaa, xab))
    try:
        yield here
    finally:
        await here.server.stop(2.0)
