"""The one place that touches what aiohttp does not document, and what we refuse to run without.

If a release of aiohttp moves these, the service refuses to start with a sentence that says so,
and ``tests/unit/exchange/test_internals.py`` fails before that.
"""

from __future__ import annotations

import asyncio
import secrets
import socket as socket_module
import struct
from asyncio import sslproto
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import aiohttp
from aiohttp import http_parser, http_websocket, web
from aiohttp._websocket.helpers import websocket_mask

from protocol.errors import SetupError

Socket: TypeAlias = web.WebSocketResponse | aiohttp.ClientWebSocketResponse

PIECE_BYTES = 64 * 1024
"""About so much is written at once: a few TLS records, and half a second of a slow line."""

UNSENT_BYTES = 32 * 1024
"""So much may lie unsent below us, twice: what is urgent cannot overtake what was handed down."""

TLS_BUFFER_BYTES = 64 * 1024

_BINARY = 0x82
_MASKED = 0x80


def require_compiled_parsers() -> None:
    """Refuse to run with aiohttp's pure-Python parsers, which read some requests in other ways.

    Raises:
        SetupError: the compiled parsers are missing.
    """
    parsers = (http_parser.HttpRequestParser, http_parser.HttpResponseParser, http_websocket.WebSocketReader)
    if any("_py" in parser.__module__ or parser.__module__ == "aiohttp.http_parser" for parser in parsers):
        raise SetupError(
            "aiohttp is installed without its compiled parsers",
            hint="Install the aiohttp wheel for this platform, and unset AIOHTTP_NO_EXTENSIONS.",
        )


def keep_tls_small() -> None:
    """Let asyncio read TLS in pieces of 64 KiB: it keeps a buffer of that size for each connection.

    Its own 256 KiB are written with zeros, so a thousand strangers would cost as many times that.
    """
    if hasattr(sslproto.SSLProtocol, "max_size"):
        sslproto.SSLProtocol.max_size = TLS_BUFFER_BYTES


def transport_of(socket: Socket) -> asyncio.Transport:
    """Return the connection under a WebSocket: to see its certificate, and to cut it.

    Raises:
        SetupError: this release of aiohttp keeps it elsewhere.
    """
    transport = getattr(getattr(socket, "_writer", None), "transport", None)
    if not isinstance(transport, asyncio.Transport):
        raise SetupError(
            "this release of aiohttp does not show a WebSocket's connection where it is expected",
            hint="Install the aiohttp version that requirements.lock names.",
        )
    return transport


class Outlet:
    """Writes messages to a WebSocket, many in one piece: a system call costs more than a message.

    aiohttp's own way writes each frame by itself. These are frames of RFC 6455, section 5.2: final,
    binary, masked if this side is the client.

    Args:
        socket: An established WebSocket without compression; its closing stays its own business.

    Raises:
        SetupError: this release of aiohttp keeps its insides elsewhere.
    """

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._transport = transport_of(socket)
        writer = getattr(socket, "_writer", None)
        protocol, masks = getattr(writer, "protocol", None), getattr(writer, "use_mask", None)
        if not hasattr(protocol, "_drain_helper") or not isinstance(masks, bool):
            raise SetupError(
                "this release of aiohttp does not show how a WebSocket writes",
                hint="Install the aiohttp version that requirements.lock names.",
            )
        self._protocol: Any = protocol
        self._transport.set_write_buffer_limits(high=UNSENT_BYTES)
        below = self._transport.get_extra_info("socket")
        if below is not None and hasattr(socket_module, "TCP_NOTSENT_LOWAT"):
            below.setsockopt(socket_module.IPPROTO_TCP, socket_module.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        self._masks = masks

    def pieces(self, messages: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the messages as frames, in pieces of about :data:`PIECE_BYTES`."""
        parts: list[bytes] = []
        size = 0
        for message in messages:
            self._frame(message, parts)
            size += len(message)
            if size >= PIECE_BYTES:
                yield b"".join(parts)
                parts, size = [], 0
        if parts:
            yield b"".join(parts)

    async def write(self, piece: bytes) -> None:
        """Write one piece, and wait until the other side takes more.

        Raises:
            ConnectionError: the connection is lost or is being closed.
        """
        if self._socket.closed or self._transport.is_closing():
            raise ConnectionResetError("the connection is being closed")
        self._transport.write(piece)
        if self._protocol.writing_paused:
            await self._protocol._drain_helper()

    def _frame(self, message: bytes, parts: list[bytes]) -> None:
        size, masked = len(message), _MASKED if self._masks else 0
        if size < 126:
            parts.append(struct.pack("!BB", _BINARY, masked | size))
        elif size < 65536:
            parts.append(struct.pack("!BBH", _BINARY, masked | 126, size))
        else:
            parts.append(struct.pack("!BBQ", _BINARY, masked | 127, size))
        if masked:
            mask, covered = secrets.token_bytes(4), bytearray(message)
            websocket_mask(mask, covered)
            parts += (mask, bytes(covered))
        else:
            parts.append(message)
