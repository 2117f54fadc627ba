"""The link between a node and a coordinator: real sockets, real TLS, real signatures."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import http_parser
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from exchange.link.client import connect
from exchange.link.handshake import Visitor
from exchange.link.pump import Link, LinkLimits
from exchange.link.server import GuardedServer, Handler
from protocol.documents import Role
from protocol.envelope import MAX_SUBMISSION_BYTES
from protocol.errors import (
    BadSignature,
    LocalProtocolError,
    PeerCode,
    PeerNotPinned,
    RemoteProtocolError,
    SetupError,
    UnknownSigner,
    Unreachable,
    WrongCommunity,
)
from protocol.session.messages import Accepted, Bye, Ping, Submit, Welcome
from tests.links import CLOCK, COORDINATOR, LINK_LIMITS, Party, World, world
from tests.patience import PATIENCE_S


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as running:
        yield running


async def answering(link: Link, visitor: Visitor) -> None:
    async for message in link.messages():
        if isinstance(message, Submit):
            link.send(Accepted(ref=message.ref, index=message.ref, statement=None))


async def test_a_listed_node_opens_a_session_and_its_request_is_answered(here: World) -> None:
    """The good way, from TLS to an answer and a goodbye."""
    here.serve = answering
    async with here.session(here.xaa) as link:
        link.send(Submit(ref=1, submission=b"sealed"))
        await link.flush()
        assert await link.receive() == Accepted(ref=1, index=1, statement=None)
    assert here.reports.empty()


async def test_many_requests_are_answered_in_order(here: World) -> None:
    """A full window travels without one task per message."""
    here.serve = answering
    async with here.session(here.xaa) as link:
        for ref in range(64):
            link.send(Submit(ref=ref, submission=bytes(3000)))
        assert [(await link.receive()) for _ in range(64)] == [
            Accepted(ref=ref, index=ref, statement=None) for ref in range(64)
        ]


async def test_the_largest_message_passes(here: World) -> None:
    """The limit of a frame and the limit of a message are the same."""
    here.serve = answering
    roomy = LinkLimits()
    async with here.session(here.xaa, limits=roomy) as link:
        largest = MAX_SUBMISSION_BYTES
        link.send(Submit(ref=1, submission=bytes(largest)))
        assert isinstance(await link.receive(), Accepted)


async def test_both_sides_learn_the_difference_of_their_clocks(here: World) -> None:
    """Skew is told to the owner, not refused here."""
    seen: asyncio.Queue[Visitor] = asyncio.Queue()

    async def serve(link: Link, visitor: Visitor) -> None:
        seen.put_nowait(visitor)
        async for _ in link.messages():
            pass

    here.serve = serve
    link = await here.connect(here.xaa)
    welcomed = await here.greet(link, here.xaa)
    visitor = await seen.get()
    assert abs(welcomed.skew_ms) < 5000
    assert abs(visitor.skew_ms) < 5000
    assert (visitor.state, visitor.key_id) == ("XAA", here.xaa.signer.key_id)
    await link.close()


async def test_a_goodbye_ends_the_other_side_quietly(here: World) -> None:
    """The iteration ends, and the code is at hand."""

    async def serve(link: Link, visitor: Visitor) -> None:
        await link.close(PeerCode.GOING_AWAY)

    here.serve = serve
    async with here.session(here.xaa) as link:
        assert [message async for message in link.messages()] == []
        assert link.farewell is PeerCode.GOING_AWAY


async def test_closing_while_another_task_reads_ends_that_reader_quietly(here: World) -> None:
    """The owner may close from anywhere."""
    async with here.session(here.xaa) as link:

        async def read() -> int:
            return len([message async for message in link.messages()])

        reader = asyncio.create_task(read())
        await asyncio.sleep(0.05)
        await link.close()
        assert await reader == 0


async def test_a_lost_connection_is_told_apart_from_a_goodbye(here: World) -> None:
    """Silence is never a state: the owner hears that the line broke."""

    async def serve(link: Link, visitor: Visitor) -> None:
        await link.flush()
        link._transport.abort()

    here.serve = serve
    async with here.session(here.xaa) as link:
        with pytest.raises(Unreachable):
            await link.receive()


async def test_a_client_without_a_listed_certificate_is_refused(here: World) -> None:
    """TLS itself turns it away; the handler never sees it."""
    stranger = Party.make(here.folder, "XAZ", Role.NODE)
    with pytest.raises(Unreachable) as caught:
        await here.connect(stranger)
    assert "manifest" in caught.value.hint
    error = await here.reported()
    assert isinstance(error, PeerNotPinned)
    assert "127.0.0.1" in error.message


async def test_a_server_without_the_pinned_certificate_is_refused(here: World) -> None:
    """Another server at the coordinator's address is not spoken to."""
    impostor = Party.make(here.folder, COORDINATOR, Role.COORDINATOR, name="impostor")
    with pytest.raises(PeerNotPinned):
        await here.connect(here.xaa, impostor)


async def test_a_certificate_issued_by_a_member_is_refused(here: World) -> None:
    """A listed certificate is trusted as itself, never as an issuer."""
    issuer = x509.load_der_x509_certificate(here.xab.certificate.der)
    issuer_key = serialization.load_pem_private_key(here.xab.certificate.key_pem, None)
    child = Party.make(here.folder, "XAA", Role.NODE, name="child")
    made = x509.load_der_x509_certificate(child.certificate.der)
    forged = (
        x509.CertificateBuilder()
        .subject_name(made.subject)
        .issuer_name(issuer.subject)
        .public_key(made.public_key())
        .serial_number(7)
        .not_valid_before(made.not_valid_before_utc)
        .not_valid_after(made.not_valid_after_utc)
        .sign(issuer_key, hashes.SHA256())  # type: ignore[arg-type]
    )
    chain = forged.public_bytes(serialization.Encoding.PEM) + here.xab.certificate.pem
    (child.folder / "tls.pem").write_bytes(chain)
    with pytest.raises(Unreachable):
        await here.connect(child)


async def test_a_member_cannot_claim_to_be_another_member(here: World) -> None:
    """XAB's certificate is trusted by TLS, but not for XAA."""
    link = await here.connect(here.xab)
    with pytest.raises(RemoteProtocolError) as caught:
        await here.greet(link, replace(here.xab, code="XAA"))
    assert caught.value.tell is PeerCode.NOT_AUTHENTICATED
    assert isinstance(await here.reported(), PeerNotPinned)


async def test_a_stolen_certificate_without_the_key_opens_nothing(here: World) -> None:
    """The signed hello needs a node key of the state's manifest."""
    thief = Party.make(here.folder, "XAA", Role.NODE, name="thief")
    link = await here.connect(here.xaa)
    with pytest.raises(RemoteProtocolError) as caught:
        await here.greet(link, replace(here.xaa, signer=thief.signer))
    assert caught.value.tell is PeerCode.NOT_AUTHENTICATED
    assert isinstance(await here.reported(), UnknownSigner)


async def test_a_coordinator_without_its_key_is_refused(here: World) -> None:
    """The certificate alone does not make it the coordinator."""
    other = Party.make(here.folder, COORDINATOR, Role.COORDINATOR, name="other")
    genuine = here.coordinator
    here.coordinator = replace(genuine, signer=other.signer)
    link = await here.connect(here.xaa, genuine)
    with pytest.raises(UnknownSigner):
        await here.greet(link, here.xaa)
    assert isinstance(await here.reported(), RemoteProtocolError)


async def test_a_relay_that_both_ends_let_in_by_tls_is_still_found_out(here: World) -> None:
    """The signatures cover both certificates as each side saw them."""
    # The worst case: the relay holds the node's stolen TLS key, and a certificate that the node
    # takes for the coordinator's. It passes every message on unchanged, and gains nothing.
    other = Party.make(here.folder, COORDINATOR, Role.COORDINATOR, name="relay")
    relay = replace(here.coordinator, certificate=other.certificate, folder=other.folder)
    here.trust.coordinators.append(relay)

    async def pass_on(link: Link, certificate: bytes) -> None:
        upstream = await here.connect(here.xaa)
        upstream.send(await link.receive())
        link.send(await upstream.receive())
        await link.receive()
        await upstream.close()

    async with _server(relay, pass_on, here.xaa) as url:
        link = await here.connect(here.xaa, relay, url=url)
        with pytest.raises(BadSignature):
            await here.greet(link, here.xaa)


async def test_a_member_of_another_community_is_told_so(here: World) -> None:
    """The community's id is compared before anything is signed."""
    link = await here.connect(here.xaa)
    stranger = replace(here, trust=replace(here.trust, community=bytes(32)))
    with pytest.raises(RemoteProtocolError) as caught:
        await stranger.greet(link, here.xaa)
    assert caught.value.tell is PeerCode.NOT_TRUSTED
    assert isinstance(await here.reported(), WrongCommunity)


async def test_without_a_common_version_both_sides_say_so(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer node is told the reason in a code of its own."""
    monkeypatch.setattr("exchange.link.handshake.VERSIONS", (7,))
    link = await here.connect(here.xaa)
    with pytest.raises(RemoteProtocolError) as caught:
        await here.greet(link, here.xaa)
    assert caught.value.tell is PeerCode.NO_COMMON_VERSION
    assert "--version" in caught.value.hint


async def test_the_wrong_coordinator_at_the_right_address_is_refused(here: World) -> None:
    """The node names the coordinator it expects."""
    second = Party.make(here.folder, "SOUTH-1", Role.COORDINATOR)
    here.trust.coordinators.append(replace(second, certificate=here.coordinator.certificate))
    link = await here.connect(here.xaa)
    with pytest.raises(PeerNotPinned):
        await here.greet(link, here.xaa, expected="SOUTH-1")


async def test_tls_1_2_is_refused(here: World) -> None:
    """There is no older version to fall back to."""
    context = here.xaa.client(here.coordinator)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(Unreachable):
        await connect(here.url, context, clock=CLOCK, own_certificate=here.xaa.certificate.id)


async def test_an_address_where_nobody_listens_is_unreachable(here: World) -> None:
    """The error names the address, and trying again is left to the courier."""
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
        await here.connect(here.xaa, url="wss://127.0.0.1:1")


async def test_a_redirection_is_not_followed(here: World) -> None:
    """Only the directory says where the coordinator is."""

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        answer = f"HTTP/1.1 302 Found\r\nLocation: {here.url}/v1/session\r\nContent-Length: 0\r\n\r\n"
        writer.write(answer.encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(redirect, "127.0.0.1", 0, ssl=here.coordinator.server(here.xaa))
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(Unreachable, match="redirect"):
            await here.connect(here.xaa, url=f"wss://127.0.0.1:{port}")


async def test_a_server_that_never_answers_is_given_up(here: World) -> None:
    """One deadline covers TCP, TLS and the opening."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0, ssl=here.coordinator.server(here.xaa))
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(Unreachable, match=r"within 0\.2 seconds"):
            await connect(
                f"wss://127.0.0.1:{port}",
                here.xaa.client(here.coordinator),
                clock=CLOCK,
                own_certificate=here.xaa.certificate.id,
                seconds=0.2,
            )


async def test_heartbeats_keep_an_idle_session_alive(here: World) -> None:
    """Nothing is said for many heartbeats, and the session is still there."""
    here.serve = answering
    here.welcome = Welcome(request_window=8, delivery_window=8, heartbeat_ms=300, documents=0)
    async with here.session(here.xaa) as link:
        reading = asyncio.create_task(link.receive())
        await asyncio.sleep(1.5)
        assert not reading.done()
        link.send(Submit(ref=1, submission=b""))
        assert isinstance(await reading, Accepted)


async def test_a_peer_that_falls_silent_is_given_up(here: World) -> None:
    """Three heartbeats without a word, and the owner hears of it."""
    here.welcome = Welcome(request_window=8, delivery_window=8, heartbeat_ms=100, documents=0)
    async with here.session(here.xaa) as link:
        assert link._timer is not None
        link._timer.cancel()  # and as nobody reads here, no heartbeat is answered either
        error = await here.reported()
    assert isinstance(error, RemoteProtocolError)
    assert error.tell is PeerCode.TIMEOUT


async def test_a_peer_that_does_not_read_is_given_up_and_its_memory_let_go(here: World) -> None:
    """What waits to be written is bounded in bytes."""
    limits = LinkLimits(pending_bytes=300_000, write_seconds=30, close_seconds=0.2)

    async def deaf(link: Link, visitor: Visitor) -> None:
        await asyncio.sleep(0.5)

    here.serve = deaf
    async with here.session(here.xaa, limits=limits) as link:
        for ref in range(40):
            try:
                link.send(Submit(ref=ref, submission=bytes(200_000)))
                await asyncio.sleep(0)
            except LocalProtocolError:
                break
        with pytest.raises(RemoteProtocolError) as caught:
            await link.receive()
        assert caught.value.tell is PeerCode.TIMEOUT
        assert link.session.outgoing_bytes < 1000


async def test_a_peer_that_stops_taking_is_given_up_in_time(here: World) -> None:
    """What waits to be written is bounded in time, even for a peer that still talks."""
    here.welcome = Welcome(request_window=64, delivery_window=64, heartbeat_ms=100, documents=0)
    limits = LinkLimits(write_seconds=0.3, close_seconds=0.2)

    async def deaf(link: Link, visitor: Visitor) -> None:
        _small_buffers(link)
        link._transport.pause_reading()
        link.session._heard = math.inf  # it does not mind our silence
        for token in range(16):
            link.send(Ping(token=token))
            await asyncio.sleep(0.05)

    here.serve = deaf
    async with here.session(here.xaa, limits=limits) as link:
        _small_buffers(link)
        for ref in range(30):
            link.send(Submit(ref=ref, submission=bytes(250_000)))
        with pytest.raises(RemoteProtocolError, match="takes nothing") as caught:
            await asyncio.wait_for(link.receive(), PATIENCE_S)
        assert caught.value.tell is PeerCode.TIMEOUT


async def test_a_pure_python_parser_is_refused(monkeypatch: pytest.MonkeyPatch, here: World) -> None:
    """aiohttp's slow parsers read some requests differently; we do not start on them."""
    monkeypatch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
    with pytest.raises(SetupError):
        await here.connect(here.xaa)


async def test_a_listener_without_tls_serves_the_probes_only(here: World) -> None:
    """A monitor needs no certificate; a session does."""
    port = await here.server.listen("127.0.0.1", 0, None)
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    async with aiohttp.ClientSession() as http:
        seen = [
            (await http.get(f"http://127.0.0.1:{port}{path}", headers=headers)).status
            for path, headers in (("/livez", {}), ("/readyz", {}), ("/v1/session", upgrade), ("/", {}))
        ]
    assert seen == [200, 200, 403, 404]


async def test_a_port_that_is_taken_is_reported_with_its_number(here: World) -> None:
    """The operator reads which address it was."""
    with pytest.raises(SetupError, match=str(here.port)):
        await here.server.listen("127.0.0.1", here.port, None)


async def test_stopping_says_goodbye_to_every_session(here: World) -> None:
    """A node learns at once that it should look for another time."""
    async with here.session(here.xaa) as link:
        await here.server.stop(1.0)
        assert await link.receive() == Bye(code=PeerCode.GOING_AWAY)


def _small_buffers(link: Link) -> None:
    """Keep the kernel from taking megabytes on the peer's behalf."""
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        link._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, option, 16384)


@asynccontextmanager
async def _server(coordinator: Party, handler: Handler, *members: Party) -> AsyncIterator[str]:
    """Serve another handler with this party's certificate; yield the address."""

    async def ready() -> bool:
        return False

    server = GuardedServer(
        handler,
        ready=ready,
        report=lambda error: None,
        clock=CLOCK,
        link_limits=LINK_LIMITS,
    )
    port = await server.listen("127.0.0.1", 0, coordinator.server(*members))
    try:
        yield f"wss://127.0.0.1:{port}"
    finally:
        await server.stop(2.0)
