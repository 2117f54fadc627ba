"""Who may be connected, and for how long: caps per address and in all, and one HTTP deadline.

aiohttp has no deadline for slow headers, half bodies or connections that never speak. Ours needs
no knowledge of its insides: a connection that has not become a session is cut when its time is
up, whatever it is doing.
"""

from __future__ import annotations

import asyncio
import http
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import hdrs, web

MAX_HEADER_LINE_BYTES = 4096
MAX_HEADERS = 32
ADDRESSES_KEPT = 4096
"""Of so many addresses it is remembered how often they came; the longest unseen is forgotten first."""


@dataclass(frozen=True)
class ServerLimits:
    """What strangers may cost.

    Attributes:
        tls_seconds: A TLS handshake takes at most so long.
        http_seconds: A connection that has not become a session lives at most so long after.
        shutdown_seconds: A TLS goodbye takes at most so long.
        connections: At most this many, those still in the TLS handshake included.
        connections_per_address: At most this many from one address.
        entries_per_second: At most so many new ones from one address, in the long run,
        entries_at_once: and so many after a silence: a handshake costs a millisecond, a refusal nothing.
    """

    tls_seconds: float = 5.0
    http_seconds: float = 10.0
    shutdown_seconds: float = 2.0
    connections: int = 512
    connections_per_address: int = 16
    entries_per_second: float = 20.0
    entries_at_once: int = 64


class Doorkeeper:
    """Counts the connections, by address."""

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._by_address: Counter[str] = Counter()
        self._entries: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """How many entries an address has left, and when that was reckoned; who came last is last."""
        self.refused = 0
        """How many connections were turned away because there was no room."""
        self.failed = 0
        """How many did not finish the TLS handshake."""

    def __len__(self) -> int:
        return self._by_address.total()

    def enter(self, address: str, now: float) -> bool:
        """Count one more from this address, or return False if it must stay outside.

        Args:
            address: Where it comes from.
            now: Monotonic seconds.
        """
        if (
            len(self) >= self._limits.connections
            or self._by_address.get(address, 0) >= self._limits.connections_per_address
            or not self._has_entry(address, now)
        ):
            self.refused += 1
            return False
        self._by_address[address] += 1
        return True

    def _has_entry(self, address: str, now: float) -> bool:
        """Take one entry of an address, if it has one left."""
        limits = self._limits
        left, reckoned = self._entries.pop(address, (float(limits.entries_at_once), now))
        left = min(limits.entries_at_once, left + (now - reckoned) * limits.entries_per_second)
        self._entries[address] = (left - 1 if left >= 1 else left, now)
        if len(self._entries) > ADDRESSES_KEPT:
            self._entries.popitem(last=False)
        return left >= 1

    def leave(self, address: str) -> None:
        """Count one less from this address."""
        self._by_address[address] -= 1
        if self._by_address[address] <= 0:
            del self._by_address[address]


class GuardedConnection(web.RequestHandler):
    """An HTTP connection that is cut at its deadline unless it has become a session."""

    __slots__ = ("_deadline", "_gone", "_http_seconds")

    def __init__(
        self,
        manager: web.Server,
        *,
        loop: asyncio.AbstractEventLoop,
        http_seconds: float,
        gone: Callable[[], None],
    ) -> None:
        super().__init__(
            manager,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # None is how aiohttp is told to keep none
            max_line_size=MAX_HEADER_LINE_BYTES,
            max_field_size=MAX_HEADER_LINE_BYTES,
            max_headers=MAX_HEADERS,
            lingering_time=0,
            auto_decompress=False,
        )
        self._http_seconds = http_seconds
        self._gone = gone
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock: from here on the peer has :attr:`ServerLimits.http_seconds`."""
        super().connection_made(transport)
        self.goes_on()

    def goes_on(self) -> None:
        """Start the clock anew: whoever asked is known, and may take its answer and ask again."""
        self.became_session()
        self._deadline = asyncio.get_running_loop().call_later(self._http_seconds, self._cut)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop the clock and make room for another."""
        self.became_session()
        self._gone()
        super().connection_lost(exc)

    def became_session(self) -> None:
        """Lift the deadline: from here on the session's own rules hold."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer with the status alone; aiohttp's own page repeats what the peer sent."""
        if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log_exception("A request could not be answered", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun; no other can be sent")
        return plain(http.HTTPStatus(status))

    def _cut(self) -> None:
        if self.transport is not None:
            self.transport.abort()


def plain(status: http.HTTPStatus) -> web.Response:
    """Return a short answer in plain text that ends the connection and names no software."""
    answer = web.Response(status=status, text=f"{status.phrase.lower()}\n", headers={"Server": "almenara"})
    answer.force_close()
    return answer


def refusal_of(request: web.BaseRequest) -> http.HTTPStatus | None:
    """Return why no request of this kind is even looked at, wherever it goes, or None."""
    if request.method != hdrs.METH_GET:
        return http.HTTPStatus.METHOD_NOT_ALLOWED
    if hdrs.ORIGIN in request.headers:
        return http.HTTPStatus.FORBIDDEN  # a browser; no page may speak to a coordinator
    if hdrs.CONTENT_LENGTH in request.headers or hdrs.TRANSFER_ENCODING in request.headers:
        return http.HTTPStatus.BAD_REQUEST  # a body before an upgrade is how requests are smuggled
    return None
