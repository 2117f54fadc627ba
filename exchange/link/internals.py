"""The one place that touches what aiohttp does not document, and what we refuse to run without.

If a release of aiohttp moves these, the service refuses to start with a sentence that says so,
and ``tests/unit/exchange/test_internals.py`` fails before that.
"""

from __future__ import annotations

import asyncio
from typing import TypeAlias

import aiohttp
from aiohttp import http_parser, http_websocket, web

from protocol.errors import SetupError

Socket: TypeAlias = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


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
