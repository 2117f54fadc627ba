"""The coordinator's door: TLS, three paths, and nothing that a stranger could hold on to.

``GET /v1/session`` becomes a session; ``GET /livez`` and ``GET /readyz`` answer in plain text.
There is no other request, no body, no compression, no cookie and no redirect.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import hdrs, web

from exchange.clock import Clock
from exchange.link.door import Door, Report
from exchange.link.guard import GuardedConnection, ServerLimits, plain, refusal_of
from exchange.link.pump import MAX_FRAME_BYTES, SESSION_PATH, Link, LinkLimits
from exchange.link.tls import own_certificate_id
from protocol.errors import AlmenaraError, PeerCode
from protocol.session.session import Session
from protocol.session.table import Side

Handler = Callable[[Link, bytes], Awaitable[None]]
Ready = Callable[[], Awaitable[bool]]


class GuardedServer:
    """Accepts connections within the limits and hands every session to one handler.

    Args:
        handler: Serves one session until it ends; given the link and the SHA-256 of the peer's
            certificate. The link is closed when it returns or raises.
        ready: Whether the service can do its work now (it must try to write).
        report: Told of each session that ended with an error of this project, and of each
            certificate that TLS refused.
        clock: Whose monotonic time drives the sessions.
        limits: What strangers may cost.
        link_limits: What a session may cost.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        ready: Ready,
        report: Report,
        clock: Clock,
        limits: ServerLimits | None = None,
        link_limits: LinkLimits | None = None,
    ) -> None:
        self._handler = handler
        self._ready = ready
        self._report = report
        self._clock = clock
        self._link_limits = link_limits or LinkLimits()
        self._door = Door(self._answer, limits=limits or ServerLimits(), report=report)
        self.doorkeeper = self._door.doorkeeper
        self._links: set[Link] = set()

    async def listen(self, host: str, port: int, context: ssl.SSLContext | None) -> int:
        """Accept connections on one address; return the port, which may be asked for as 0.

        Args:
            host: The address to listen on.
            port: The port to listen on, or 0 for any.
            context: From :func:`exchange.link.tls.server_context`. Without one, this listener
                serves the two probes only, for a monitor that has no certificate.

        Raises:
            SetupError: the address cannot be listened on.
        """
        return await self._door.listen(host, port, context)

    def use(self, context: ssl.SSLContext) -> None:
        """Serve every *further* connection with this context: the directory has changed."""
        self._door.use(context)

    async def shut(self) -> None:
        """Let nobody in any more; the sessions that are open go on."""
        await self._door.shut()

    async def stop(self, seconds: float = 5.0) -> None:
        """Stop listening, say goodbye to every session, and cut what is left after ``seconds``."""
        await self._door.shut()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(link.close(PeerCode.GOING_AWAY) for link in self._links))
        await self._door.clear(seconds)

    # Requests.

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        refusal = _refusal(request)
        if refusal is not None:
            return plain(refusal)
        match request.path:
            case "/livez":
                return plain(HTTPStatus.OK)
            case "/readyz":
                return plain(HTTPStatus.OK if await self._ready() else HTTPStatus.SERVICE_UNAVAILABLE)
            case _:
                return await self._session(request)

    async def _session(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = web.WebSocketResponse(
            compress=False,
            max_msg_size=MAX_FRAME_BYTES,
            autoping=False,
            timeout=self._link_limits.close_seconds,
        )
        answer.headers[hdrs.SERVER] = "almenara"
        if not answer.can_prepare(request):
            return plain(HTTPStatus.UPGRADE_REQUIRED)
        await answer.prepare(request)
        connection = request.protocol
        assert isinstance(connection, GuardedConnection)  # noqa: S101 - we made it
        connection.became_session()
        link = Link(
            answer,
            Session(Side.COORDINATOR, self._clock.monotonic()),
            clock=self._clock,
            own_certificate=own_certificate_id(request.transport),
            limits=self._link_limits,
        )
        self._links.add(link)
        try:
            await self._handler(link, link.peer_certificate)
        except AlmenaraError as error:
            self._report(error)
        finally:
            self._links.discard(link)
            await link.close(PeerCode.INTERNAL)
        return answer


def _refusal(request: web.BaseRequest) -> HTTPStatus | None:
    """Return why this request is not even looked at, or None."""
    refusal = refusal_of(request)
    if refusal is not None:
        return refusal
    if request.path not in (SESSION_PATH, "/livez", "/readyz"):
        return HTTPStatus.NOT_FOUND
    if request.path == SESSION_PATH and request.transport is not None:
        tls = request.transport.get_extra_info("ssl_object")
        return None if tls is not None else HTTPStatus.FORBIDDEN
    return None
