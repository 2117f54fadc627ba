"""A door to the network: listens, lets in within the limits, brings each connection to HTTP.

What is behind it answers requests; see :mod:`exchange.link.guard` for the limits.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web

from exchange.link.first_record import has_first_record
from exchange.link.guard import Doorkeeper, GuardedConnection, ServerLimits
from exchange.link.internals import keep_tls_small, require_compiled_parsers
from protocol.errors import AlmenaraError, PeerNotPinned, SetupError

ACCEPT_PAUSE_SECONDS = 0.2
"""How long to wait before accepting again, for example when no file descriptor is left."""

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Report = Callable[[AlmenaraError], None]


class Door:
    """Listens on one or more addresses.

    Args:
        answer: Answers each request.
        limits: What strangers may cost.
        report: Told of each certificate that TLS refused.
    """

    def __init__(self, answer: Answer, *, limits: ServerLimits, report: Report) -> None:
        require_compiled_parsers()
        keep_tls_small()
        self._report = report
        self._limits = limits
        self.doorkeeper = Doorkeeper(limits)
        self._http = web.Server(answer)
        self._context: ssl.SSLContext | None = None
        self._listeners: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, host: str, port: int, context: ssl.SSLContext | None) -> int:
        """Accept connections on one address; return the port, which may be asked for as 0.

        Args:
            host: The address to listen on.
            port: The port to listen on, or 0 for any.
            context: From :func:`exchange.link.tls.server_context`, or None for a listener without TLS.

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

    async def shut(self) -> None:
        """Let nobody in any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listener in self._listeners:
            listener.close()

    async def clear(self, seconds: float) -> None:
        """Let requests under way finish, and cut what is left after ``seconds``; first :meth:`shut` it."""
        self._http.pre_shutdown()
        await self._http.shutdown(seconds)

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
            if self.doorkeeper.enter(name[0], loop.time()):
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
            if context and not await has_first_record(connection, self._limits.tls_seconds):
                connection.close()
                leave()
                self.doorkeeper.failed += 1
                return
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
            connection.close()
            leave()
            raise


def _not_listed(address: str, error: ssl.SSLCertVerificationError) -> PeerNotPinned:
    return PeerNotPinned(
        f"a connection from {address} showed a TLS certificate that is refused: {error.verify_message}",
        hint="If a member is at that address, compare its certificate with its manifest in force.",
    )
