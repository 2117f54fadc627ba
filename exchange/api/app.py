"""The HTTP application: every request is checked, parsed, answered by the desk, and encoded.

The order of checks is the same for each: where it comes from, whose token, which media type,
how large, whether it parses. Only then is the desk asked.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec
import structlog
from aiohttp import hdrs, web

from exchange.api import auth, problems
from exchange.api.events import HEARTBEAT_S, Streams, resume_after
from exchange.api.problems import Refusal
from exchange.api.routes import ROUTES, Call, EventsQuery, Handler, Health, Q, Route, parse_query
from exchange.node.requests import Ask
from exchange.node.views import View
from protocol.errors import AlmenaraError, BadRequest, NotFound, Overloaded, TooLarge

if TYPE_CHECKING:
    from exchange.node.desk import Desk
    from exchange.node.tokens import TokenBook

MAX_BODY_BYTES = 3 * 1024 * 1024
RETRY_AFTER_S = 5
_HTTP_REFUSALS = {
    404: NotFound("there is nothing at this address", hint="See what this node understands: almenara --help"),
    405: BadRequest("this address does not take that method"),
    413: TooLarge(f"the request is over {MAX_BODY_BYTES} bytes"),
}
_HEADERS = {"Server": "almenara", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_REQUEST_ID = web.RequestKey("request_id", str)
_log = structlog.get_logger()

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Ready = Callable[[], Awaitable[None]]
"""Returns when the node can write to its store now; raises an AlmenaraError when it cannot."""


def make_app(
    desk: Desk, tokens: TokenBook, ready: Ready, *, heartbeat_s: float = HEARTBEAT_S
) -> web.Application:
    """Return the application of one node.

    Args:
        desk: The node.
        tokens: Those who may ask.
        ready: Returns when the node can write to its store.
        heartbeat_s: Seconds of silence after which an event stream says that it is alive.
    """
    app = web.Application(middlewares=[_guard], client_max_size=MAX_BODY_BYTES)
    streams = Streams(heartbeat_s)
    app.on_shutdown.append(streams.close)
    app.on_response_prepare.append(_set_headers)
    for route in ROUTES:
        if route.handler is None:
            answer = _events(route, desk, tokens, streams)
        else:
            answer = _plain(route, route.handler, desk, tokens)
        app.router.add_route(route.method, route.path, answer, name=route.name)
    app.router.add_get("/livez", _alive)
    app.router.add_get("/readyz", _ready(ready))
    return app


@web.middleware
async def _guard(request: web.Request, handler: Answer) -> web.StreamResponse:
    """Give the request an id, and turn every failure into a problem."""
    request[_REQUEST_ID] = secrets.token_hex(8)
    try:
        auth.check_origin(request)
        return await handler(request)
    except Refusal as refusal:
        return _refused(request, refusal.error, status=refusal.status, headers=refusal.headers)
    except AlmenaraError as error:
        return _refused(request, error)
    except web.HTTPException as error:
        known = _HTTP_REFUSALS.get(error.status)
        return _refused(
            request, known or BadRequest("the request is not valid HTTP here"), status=error.status
        )
    except Exception as error:
        # The caller was told to look for this id; what the error says may quote a notice.
        _log.error("request.failed", request=request[_REQUEST_ID], exc_info=error)
        return _problem(problems.internal_problem(request[_REQUEST_ID]))


def _refused(
    request: web.Request,
    error: AlmenaraError,
    *,
    status: int | None = None,
    headers: dict[str, str] | None = None,
) -> web.Response:
    if isinstance(error, Overloaded):
        headers = {hdrs.RETRY_AFTER: str(RETRY_AFTER_S), **(headers or {})}
    return _problem(problems.problem_of(error, request[_REQUEST_ID], status=status), headers)


def _problem(problem: problems.Problem, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(problem),
        status=problem.status,
        content_type=problems.MEDIA_TYPE,
        headers=headers,
    )


async def _set_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
    if _REQUEST_ID in request:
        response.headers["X-Request-Id"] = request[_REQUEST_ID]


def _plain(route: Route, handler: Handler, desk: Desk, tokens: TokenBook) -> Answer:
    """Return the answerer of one row of the table."""

    async def answer(request: web.Request) -> web.StreamResponse:
        who = auth.identify(request, tokens, route.role)
        if route.repeatable:
            request[_REQUEST_ID] = _idempotency_key(request)
        query = _query(route.query, request)
        body = await _body(route.asks, request)
        prefix = request.match_info.get("id")
        id = "" if prefix is None else await desk.resolve(prefix)
        reply = await handler(desk, Call(who, id, query, body, request[_REQUEST_ID]))
        return _json(reply.view, reply.status)

    return answer


def _events(route: Route, desk: Desk, tokens: TokenBook, streams: Streams) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        who = auth.identify(request, tokens, route.role)
        query = _query(EventsQuery, request)

        def allowed() -> bool:
            try:
                return auth.identify(request, tokens, route.role) == who
            except Refusal:
                return False

        return await streams.serve(request, desk.events(who, resume_after(request, query.since)), allowed)

    return answer


def _idempotency_key(request: web.Request) -> str:
    key = request.headers.get("Idempotency-Key", "")
    if problems.REPEATABLE.fullmatch(key) is None:
        raise BadRequest(
            "the header Idempotency-Key is missing, or is not 8 to 64 letters, digits, '-' and '_'",
            hint="Make a random key before the first try, and repeat the request with the same one.",
        )
    return key


def _query(kind: type[Q], request: web.Request) -> Q:
    words = dict(request.query)
    if len(words) != len(request.query):
        raise BadRequest("a name stands twice in the query")
    try:
        return parse_query(kind, words)
    except msgspec.ValidationError as error:
        raise BadRequest(f"the query does not fit: {error}") from error


async def _body(kind: type[Ask] | None, request: web.Request) -> Ask | None:
    if kind is None:
        return None
    if request.content_type != "application/json":
        raise Refusal(415, BadRequest("the body must be application/json"))
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(f"the body does not fit: {error}") from error


def _json(view: View, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(view), status=status, content_type="application/json")


async def _alive(request: web.Request) -> web.StreamResponse:
    return _json(Health(status="ok"))


def _ready(ready: Ready) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        await ready()
        return _json(Health(status="ok"))

    return answer
