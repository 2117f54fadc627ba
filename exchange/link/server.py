"""The coordinator's door: TLS, three paths, and nothing that a stranger could hold on to.

``GET /v1/session`` becomes a session; ``GET /livez`` and ``GET /readyz`` answer in plain text.
There is no other request, no body, no compression, no cookie and no redirect.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import hdrs, web

from exchange.clock import Clock
from exchange.link.guard import Doorkeeper, GuardedConnection, ServerLimits, plain
from exchange.link.internals import require_compiled_parsers
from exchange.link.pump import MAX_FRAME_BYTES, SESSION_PATH, Link, LinkLimits
from protocol.errors import AlmenaraError, PeerCode, PeerNotPinned, SetupError
from protocol.session.session import Session
from protocol.session.table import Side

ACCEPT_PAUSE_SECONDS = 0.2
"""How long to wait before accepting again, for example when no file descriptor is left."""

Handler = Callable[[Link, bytes], Awaitable[None]]
Ready = Callable[[], Awaitable[bool]]
Report = Callable[[AlmenaraError], None]


class GuardedServer:
    """Accepts connections within the limits and hands every session to one handler.

    Args:
        handler: Serves one session until it ends; given the link and the SHA-256 of the peer's
            certificate. The link is closed when it returns or raises.
        ready: Whether the service can do its work now (it must try to write).
        report: Told of each session that ended with an error of this project, and of each
            certificate that TLS refused.
        clock: Whose monotonic time drives the sessions.
        own_certificate: SHA-256 of this side's certificate.
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
        own_certificate: bytes,
        limits: ServerLimits | None = None,
        link_limits: LinkLimits | None = None,
    ) -> None:
        require_compiled_parsers()
        self._handler = handler
        self._ready = ready
        self._report = report
        self._clock = clock
        self._own_certificate = own_certificate
        self._limits = limits or ServerLimits()
        self._link_limits = link_limits or LinkLimits()
        self.doorkeeper = Doorkeeper(self._limits)
        self._http = web.Server(self._answer)
        self._context: ssl.SSLContext | None = None
        self._listeners: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
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
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server((host, port), family=family, backlog=128)
        except OSError as error:
            raise SetupError(
                f"cannot listen on {host} port {port}: {error.strerror}",
                hint="Check that no other process uses the port and that the address is this machine's.",
            ) from error
        listener.setblocking(False)
        self._listeners.append(listener)
        if context is not None:
            self._context = context
        self._start(self._accept(listener, secure=context is not None))
        return int(listener.getsockname()[1])

    def use(self, context: ssl.SSLContext) -> None:
        """Serve every *further* connection with this context: the directory has changed."""
        self._context = context

    async def stop(self, seconds: float = 5.0) -> None:
        """Stop listening, say goodbye to every session, and cut what is left after ``seconds``."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listener in self._listeners:
            listener.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(link.close(PeerCode.GOING_AWAY) for link in self._links))
        self._http.pre_shutdown()
        await self._http.shutdown(seconds)

    # Connections.

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket, *, secure: bool) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, name = await loop.sock_accept(listener)
            except OSError as error:
                if error.errno != errno.ECONNABORTED:  # which is one peer that has gone again
                    await asyncio.sleep(ACCEPT_PAUSE_SECONDS)
                continue
            if self.doorkeeper.enter(name[0]):
                self._start(self._open(connection, name[0], secure=secure))
            else:
                connection.close()

    async def _open(self, connection: socket.socket, address: str, *, secure: bool) -> None:
        """Bring one accepted connection to HTTP; its place is given back when it ends."""
        loop = asyncio.get_running_loop()
        left = False

        def leave() -> None:
            nonlocal left
            if not left:
                left = True
                self.doorkeeper.leave(address)

        def guarded() -> GuardedConnection:
            return GuardedConnection(
                self._http, loop=loop, http_seconds=self._limits.http_seconds, gone=leave
            )

        context = self._context if secure else None
        try:
            await loop.connect_accepted_socket(
                guarded,
                connection,
                ssl=context,
                ssl_handshake_timeout=self._limits.tls_seconds if context else None,
                ssl_shutdown_timeout=self._limits.shutdown_seconds if context else None,
            )
        except OSError as error:
            # The handshake failed or took too long (ssl.SSLError is an OSError): a stranger.
            leave()
            self.doorkeeper.failed += 1
            if isinstance(error, ssl.SSLCertVerificationError):
                self._report(_not_listed(address, error))
        except BaseException:
            leave()
            raise

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
            own_certificate=self._own_certificate,
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


def _not_listed(address: str, error: ssl.SSLCertVerificationError) -> PeerNotPinned:
    return PeerNotPinned(
        f"a connection from {address} showed a TLS certificate that is refused: {error.verify_message}",
        hint="If a member is at that address, compare its certificate with its manifest in force.",
    )


def _refusal(request: web.BaseRequest) -> HTTPStatus | None:
    """Return why this request is not even looked at, or None."""
    if request.method != hdrs.METH_GET:
        return HTTPStatus.METHOD_NOT_ALLOWED
    if hdrs.ORIGIN in request.headers:
        return HTTPStatus.FORBIDDEN  # a browser; no page may speak to a coordinator
    if hdrs.CONTENT_LENGTH in request.headers or hdrs.TRANSFER_ENCODING in request.headers:
        return HTTPStatus.BAD_REQUEST  # a body before an upgrade is how requests are smuggled
    if request.path not in (SESSION_PATH, "/livez", "/readyz"):
        return HTTPStatus.NOT_FOUND
    if request.path == SESSION_PATH and request.transport is not None:
        tls = request.transport.get_extra_info("ssl_object")
        return None if tls is not None else HTTPStatus.FORBIDDEN
    return None
