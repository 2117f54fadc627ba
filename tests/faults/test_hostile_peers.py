"""Peers that are slow, silent, greedy or mad: each is gone in time, and the others are served.

The deadlines are those of :data:`tests.links.LIMITS`: short, so that the tests are.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest

from exchange.link.guard import ServerLimits
from exchange.link.pump import Link
from protocol.errors import PeerCode, RemoteProtocolError, Unreachable
from protocol.session.messages import MAX_MESSAGE_BYTES, Bye, Ping, parse_message
from tests.links import LIMITS, Party, World, world
from tests.patience import PATIENCE_S

UPGRADE = (
    b"GET /v1/session HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
IN_TIME = PATIENCE_S
TEXT, BINARY, CLOSE, PING = 0x81, 0x82, 0x88, 0x89

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as running:
        yield running
        # Whatever was done to it, it still serves.
        async with running.session(running.xab):
            pass


async def dial(here: World) -> Streams:
    context = here.xaa.client(here.coordinator)
    return await asyncio.open_connection("127.0.0.1", here.port, ssl=context)


async def upgraded(here: World) -> Streams:
    reader, writer = await dial(here)
    writer.write(UPGRADE + b"\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    return reader, writer


def frame(first: int, payload: bytes, *, length: int | None = None) -> bytes:
    """Return one masked frame with a zero mask; ``length`` lies about its size."""
    size = len(payload) if length is None else length
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    return head + bytes(4) + payload


async def rest(streams: Streams, seconds: float = IN_TIME) -> bytes:
    """Return all that still comes until the server closes, which must be in time."""
    reader, writer = streams
    received = b""
    async with asyncio.timeout(seconds):
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(65536):
                received += chunk
    writer.transport.abort()
    return received


def farewell(received: bytes) -> PeerCode:
    """Return the code of the Bye among the server's frames."""
    while received:
        first, size, at = received[0], received[1], 2
        if size == 126:
            size, at = struct.unpack("!H", received[2:4])[0], 4
        if first == BINARY:
            message = parse_message(received[at : at + size])
            if isinstance(message, Bye):
                return message.code
        received = received[at + size :]
    raise AssertionError("no goodbye was said")


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="silence"),
        pytest.param(b"GET / HTTP/1.1\r\nX-a: ", id="half a header"),
        pytest.param(
            b"POST /v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", id="half a body"
        ),
        pytest.param(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", id="an answered probe left open"),
        pytest.param(b"\x00\xff\x16\x03garbage\r\n\r\n", id="no HTTP"),
        pytest.param(b"GET /" + b"a" * 20_000, id="an endless line"),
        pytest.param(b"GET /livez HTTP/1.1\r\n" + b"X-a: b\r\n" * 500, id="endless headers"),
    ],
)
async def test_a_connection_that_is_no_session_is_closed_in_time(here: World, sent: bytes) -> None:
    """However little or however much it says."""
    streams = await dial(here)
    streams[1].write(sent)
    await rest(streams)


async def test_dripping_headers_gain_no_time(here: World) -> None:
    """The deadline counts from the connection, not from the last byte."""
    reader, writer = await dial(here)

    async def drip() -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"X")
                await writer.drain()
                await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    await rest((reader, writer))
    dripping.cancel()


async def test_a_tls_handshake_that_never_ends_is_closed_in_time(here: World) -> None:
    """A socket that says nothing, and one that says half a hello."""
    for sent in (b"", b"\x16\x03\x01\x02\x00\x01"):
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        writer.write(sent)
        await rest((reader, writer))


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (UPGRADE + b"Origin: https://example.org\r\n\r\n", b"403"),
        (UPGRADE + b"Content-Length: 3\r\n\r\nabc", b"400"),
        (UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (UPGRADE.replace(b"/v1/session", b"/v2/session") + b"\r\n", b"404"),
        (UPGRADE.replace(b"GET", b"POST") + b"\r\n", b"405"),
        (b"GET /v1/session HTTP/1.1\r\nHost: x\r\n\r\n", b"426"),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        (b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
    ],
)
async def test_only_three_requests_are_answered_and_no_software_is_named(
    here: World, request_: bytes, status: bytes
) -> None:
    """Everything else gets a status, a phrase, and the end of the connection."""
    streams = await dial(here)
    streams[1].write(request_)
    answer = await rest(streams)
    assert answer.split(b" ")[1] == status
    assert b"aiohttp" not in answer
    assert b"Python" not in answer


async def test_compression_is_not_agreed_to(here: World) -> None:
    """The server's opening names no extension."""
    reader, writer = await dial(here)
    writer.write(UPGRADE + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    assert b"deflate" not in head
    writer.transport.abort()


def deep(levels: int) -> bytes:
    return b"\x91" * levels + b"\x01"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        pytest.param(b"", PeerCode.MALFORMED, id="nothing"),
        pytest.param(b"\xc1", PeerCode.MALFORMED, id="no MessagePack"),
        pytest.param(deep(10_000), PeerCode.MALFORMED, id="deep nesting"),
        pytest.param(b"\xdd\xff\xff\xff\xff", PeerCode.MALFORMED, id="a huge array that is not there"),
        pytest.param(b"\xc6\x7f\xff\xff\xff", PeerCode.MALFORMED, id="huge bytes that are not there"),
        pytest.param(msgpack.packb([99, 1]), PeerCode.UNKNOWN_KIND, id="an unknown kind"),
        pytest.param(msgpack.packb([20, 1]), PeerCode.ILLEGAL_MESSAGE, id="a heartbeat before the hello"),
        pytest.param(bytes(20_000), PeerCode.TOO_LARGE, id="a large first message"),
        pytest.param(bytes(range(255, 0, -1)), None, id="noise"),
    ],
)
async def test_a_message_that_breaks_the_rules_ends_the_session_with_its_code(
    here: World, payload: bytes, code: PeerCode | None
) -> None:
    """The peer is told one coarse code; the operator gets the reason."""
    streams = await upgraded(here)
    streams[1].write(frame(BINARY, payload))
    told = farewell(await rest(streams))
    assert code in (told, None)
    error = await here.reported()
    assert isinstance(error, RemoteProtocolError)
    assert error.tell is told


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(frame(TEXT, b"hello"), id="text"),
        pytest.param(frame(PING, b"hello"), id="ping"),
        pytest.param(frame(PING, b"") * 5000, id="a flood of pings"),
        pytest.param(frame(0xC2, zlib.compress(bytes(100_000))), id="compressed"),
        pytest.param(frame(0x83, b"x"), id="reserved kind"),
        pytest.param(frame(0x80, b"x"), id="continuation of nothing"),
        pytest.param(frame(BINARY, b"", length=MAX_MESSAGE_BYTES + 1), id="one byte too large"),
        pytest.param(frame(BINARY, b"", length=2**63), id="a length of 2^63"),
        pytest.param(frame(CLOSE, b"\x03"), id="half a close code"),
        pytest.param(bytes(range(255, 0, -1)), id="noise"),
    ],
)
async def test_a_frame_that_is_not_plain_binary_ends_the_session(here: World, sent: bytes) -> None:
    """There are no text frames, WebSocket pings, extensions or oversized frames."""
    streams = await upgraded(here)
    streams[1].write(sent)
    await rest(streams)
    assert isinstance(await here.reported(), RemoteProtocolError | Unreachable)


async def test_endless_empty_fragments_gain_no_time(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that never become a message are silence."""
    monkeypatch.setattr("protocol.session.session.HANDSHAKE_SECONDS", 0.4)
    reader, writer = await upgraded(here)

    async def feed() -> None:
        first = 0x02
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(frame(first, b""))
                first = 0x00
                await writer.drain()
                await asyncio.sleep(0.001)

    feeding = asyncio.create_task(feed())
    received = await rest((reader, writer))
    feeding.cancel()
    assert farewell(received) is PeerCode.TIMEOUT


async def test_a_session_without_a_hello_is_closed_in_time(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handshake has its own deadline once HTTP's is lifted."""
    monkeypatch.setattr("protocol.session.session.HANDSHAKE_SECONDS", 0.3)
    assert farewell(await rest(await upgraded(here))) is PeerCode.TIMEOUT


async def test_a_peer_that_ignores_the_goodbye_loses_the_connection(here: World) -> None:
    """Neither TLS's nor WebSocket's closing can be held up."""
    streams = await upgraded(here)
    streams[1].write(frame(TEXT, b"x"))
    assert farewell(await rest(streams)) is PeerCode.ILLEGAL_MESSAGE


async def test_a_session_outlives_the_deadline_of_strangers(here: World) -> None:
    """The HTTP deadline does not reach into a session."""
    async with here.session(here.xaa) as link:
        await asyncio.sleep(LIMITS.http_seconds + 0.2)
        link.send(Ping(token=1))
        await link.flush()
        assert link.session.state == "open"


async def test_one_address_cannot_take_all_places(tmp_path: Path) -> None:
    """The cap counts connections that are still in the TLS handshake, and frees places again."""
    limits = replace(LIMITS, connections_per_address=3)
    async with world(tmp_path, limits=limits) as here:
        silent = [await asyncio.open_connection("127.0.0.1", here.port) for _ in range(3)]
        with pytest.raises(Unreachable):
            await here.connect(here.xaa)
        for streams in silent:
            await rest(streams)
        async with here.session(here.xaa):
            pass


async def test_all_addresses_together_have_a_limit(tmp_path: Path) -> None:
    """A flood from many addresses is bounded too."""
    limits: ServerLimits = replace(LIMITS, connections=2)
    async with world(tmp_path, limits=limits) as here:
        silent = [await asyncio.open_connection("127.0.0.1", here.port) for _ in range(2)]
        with pytest.raises(Unreachable):
            await here.connect(here.xaa)
        for streams in silent:
            await rest(streams)
        async with here.session(here.xaa):
            pass


async def test_a_certificate_can_be_withdrawn_while_the_server_runs(tmp_path: Path) -> None:
    """The next connection is checked against the new list."""
    async with world(tmp_path) as here:
        late = Party.make(tmp_path, "XAC", here.xaa.signer.role)
        with pytest.raises(Unreachable):
            await here.connect(late)
        here.server.use(here.coordinator.server(late))
        link: Link = await here.connect(late)
        await link.close()
        with pytest.raises(Unreachable):
            await here.connect(here.xaa)
