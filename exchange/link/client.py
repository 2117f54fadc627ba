"""A node's way to its coordinator: one attempt, with deadlines; retrying is the courier's business."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import aiohttp

from exchange.clock import Clock
from exchange.link.internals import require_compiled_parsers
from exchange.link.pump import MAX_FRAME_BYTES, SESSION_PATH, Link, LinkLimits
from protocol.errors import PeerNotPinned, Unreachable
from protocol.session.session import Session
from protocol.session.table import Side

CONNECT_SECONDS = 10.0


async def connect(
    url: str,
    context: ssl.SSLContext,
    *,
    clock: Clock,
    own_certificate: bytes,
    seconds: float = CONNECT_SECONDS,
    limits: LinkLimits | None = None,
) -> Link:
    """Connect once and return the link, before the signed hello.

    Args:
        url: The coordinator's ``wss://host:port``; the path is the protocol's own.
        context: From :func:`exchange.link.tls.client_context`.
        clock: Whose monotonic time drives the session.
        own_certificate: SHA-256 of this node's certificate.
        seconds: For name, TCP, TLS and the WebSocket's opening together.
        limits: What the coordinator may cost us.

    Raises:
        PeerNotPinned: the server's certificate is not the pinned one.
        Unreachable: no answer, or none that opens a session.
        SetupError: aiohttp lacks its compiled parsers.
    """
    require_compiled_parsers()
    limits = limits or LinkLimits()
    http = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit=1, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,  # a proxy named in the environment would see our peers
        auto_decompress=False,
        middlewares=(_no_detour,),
    )
    try:
        async with asyncio.timeout(seconds):
            socket = await http.ws_connect(
                url.rstrip("/") + SESSION_PATH,
                compress=0,
                max_msg_size=MAX_FRAME_BYTES,
                autoping=False,
                timeout=aiohttp.ClientWSTimeout(ws_close=limits.close_seconds),
            )
            return Link(
                socket,
                Session(Side.NODE, clock.monotonic()),
                clock=clock,
                own_certificate=own_certificate,
                limits=limits,
                released=http.close,
            )
    except BaseException as error:
        await http.close()
        explained = _explained(url, error, seconds)
        if explained is None:
            raise
        raise explained from error


async def _no_detour(
    request: aiohttp.ClientRequest,
    handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]],
) -> aiohttp.ClientResponse:
    """Refuse a redirection before it is followed: the directory says where the coordinator is."""
    response = await handler(request)
    if 300 <= response.status < 400:
        response.close()
        raise aiohttp.ClientConnectionError("the server redirects elsewhere")
    return response


def _explained(url: str, error: BaseException, seconds: float) -> Exception | None:
    """Return what to raise instead; None for anything unforeseen, which stays what it is."""
    match error:
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
            return PeerNotPinned(
                f"the server at {url} shows a TLS certificate that is not the coordinator's",
                hint="Do not work around this. Compare the certificate with the coordinator's operator.",
            )
        case TimeoutError():
            return Unreachable(f"{url} did not open a session within {seconds:g} seconds")
        case aiohttp.WSServerHandshakeError():
            return Unreachable(f"{url} answered with status {error.status} instead of opening a session")
        case aiohttp.ServerDisconnectedError() | ssl.SSLError() | aiohttp.ClientSSLError():
            # A server that does not know our certificate may hang up without a word (TLS 1.3).
            return Unreachable(
                f"{url} hung up while the connection was opened: {error}",
                hint="A new member is let in once the coordinator has the community file that lists it: ask "
                "its "
                "operator. Otherwise, if this repeats, check that this state's manifest in force lists this "
                "node's TLS "
                "certificate, and that the certificate has not expired.",
            )
        case aiohttp.ClientError() | OSError():
            return Unreachable(f"{url} cannot be reached: {error}")
        case _:
            return None
