"""The reading room: auditors and members read the ledger here over HTTPS, and nobody writes.

A listener of its own, apart from the one of the sessions: TLS with the coordinator's certificate, GET
alone, no body, no page of a browser. Who asks is known by a token or by a client certificate; who is
neither learns nothing, not even what there is.
"""

from __future__ import annotations

import asyncio
import ssl
from http import HTTPStatus

import structlog
from aiohttp import hdrs, web

from exchange.clock import Clock
from exchange.coordinator.budget import Allowance, Budgets
from exchange.coordinator.pages import Page, Pages
from exchange.coordinator.readers import Reader, Readers
from exchange.link.door import Door, Report
from exchange.link.guard import GuardedConnection, ServerLimits, plain, refusal_of
from protocol.errors import NotAuthorized, OverQuota, ServiceError

PREFIX = "/v1/ledger/"

LIMITS = ServerLimits(
    http_seconds=30.0,
    connections=128,
    connections_per_address=16,
    entries_per_second=100.0,
    entries_at_once=1_000,
)

READING_ALLOWANCE = Allowance(items_per_second=200.0, items_at_once=5_000.0)
"""How often one reader may ask; far above what an export needs, and below what would slow deliveries."""

MOST_WAITING = 32
"""So many requests may wait for their page; pages are read one at a time."""

RETRY_AFTER_SECONDS = 2

FOR_EVER = "private, max-age=31536000, immutable"
FOR_NOW = "private, max-age=1"

log = structlog.get_logger()


class ReadingRoom:
    """Serves the ledger.

    Args:
        pages: What there is.
        readers: Who may read it.
        clock: Fills budgets.
        report: Told of each certificate that TLS refused.
        limits: What strangers may cost.
    """

    def __init__(
        self,
        pages: Pages,
        readers: Readers,
        clock: Clock,
        report: Report,
        limits: ServerLimits | None = None,
    ) -> None:
        self._pages = pages
        self._readers = readers
        self._clock = clock
        self._budgets = Budgets(READING_ALLOWANCE)
        self._one_at_a_time = asyncio.Lock()
        self._waiting = 0
        self._door = Door(self._answer, limits=limits or LIMITS, report=report)

    async def listen(self, host: str, port: int, context: ssl.SSLContext) -> int:
        """Begin to serve on one address; return the port, which may be asked for as 0.

        Raises:
            SetupError: the address cannot be listened on.
        """
        return await self._door.listen(host, port, context)

    def use(self, context: ssl.SSLContext) -> None:
        """Serve every further connection with this context: the directory has changed."""
        self._door.use(context)

    async def stop(self, seconds: float) -> None:
        """Stop listening, and cut what is left after ``seconds``."""
        await self._door.shut()
        await self._door.clear(seconds)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        refusal = refusal_of(request)
        if refusal is not None:
            return plain(refusal)
        try:
            reader = self._identify(request)
            self._budgets.charge(reader.name, 0, self._clock.monotonic())
        except NotAuthorized:
            answer = plain(HTTPStatus.UNAUTHORIZED)
            answer.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
            return answer
        except OverQuota:
            return busy(HTTPStatus.TOO_MANY_REQUESTS)
        connection = request.protocol
        assert isinstance(connection, GuardedConnection)  # noqa: S101 - we made it
        connection.goes_on()
        return await self._page(request.raw_path, reader)

    async def _page(self, path: str, reader: Reader) -> web.StreamResponse:
        if not path.startswith(PREFIX):
            return plain(HTTPStatus.NOT_FOUND)
        if self._waiting >= MOST_WAITING:
            return busy(HTTPStatus.SERVICE_UNAVAILABLE)
        self._waiting += 1
        try:
            # The store has few readers' threads; deliveries need them more.
            async with self._one_at_a_time:
                page = await self._pages.find(path.removeprefix(PREFIX), reader.state)
        except ServiceError as error:
            log.error("ledger.page_failed", code=error.code, exc_info=error)
            return busy(HTTPStatus.SERVICE_UNAVAILABLE)
        finally:
            self._waiting -= 1
        return plain(HTTPStatus.NOT_FOUND) if page is None else _response(page)

    def _identify(self, request: web.BaseRequest) -> Reader:
        tls = None if request.transport is None else request.transport.get_extra_info("ssl_object")
        certificate = None if tls is None else tls.getpeercert(binary_form=True)
        return self._readers.identify(request.headers.get(hdrs.AUTHORIZATION), certificate)


def busy(status: HTTPStatus) -> web.Response:
    """Return a short answer that says to come back soon."""
    answer = plain(status)
    answer.headers[hdrs.RETRY_AFTER] = str(RETRY_AFTER_SECONDS)
    return answer


def _response(page: Page) -> web.Response:
    return web.Response(
        body=page.body,
        headers={
            hdrs.CONTENT_TYPE: page.media_type,
            hdrs.CACHE_CONTROL: FOR_EVER if page.fixed else FOR_NOW,
            hdrs.SERVER: "almenara",
            "X-Content-Type-Options": "nosniff",
        },
    )
