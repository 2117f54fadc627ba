"""The table of what can be asked over HTTP. Descriptions of the interface are made from it.

Every row names the least role that may ask, what the query and the body must be, and what comes
back; the handlers below only pass these to the desk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from exchange.node.exposure_views import ExposureView
from exchange.node.milestones import Milestone
from exchange.node.paper_views import DocumentsView, DocumentView
from exchange.node.requests import AnswerRequest, Ask, DocumentRequest, SubmitRequest
from exchange.node.tokens import Identity, TokenRole
from exchange.node.views import (
    AnswerView,
    ContentView,
    DisclosureView,
    EventView,
    LedgerView,
    MemberView,
    NodeView,
    NoticeView,
    ProofView,
    SchemaView,
    StatusView,
    SubmittedView,
    TranslationView,
    View,
)
from protocol.text import parse_base64

if TYPE_CHECKING:
    from exchange.node.desk import Desk

MAX_WAIT_S = 300
Limit = Annotated[int, Meta(ge=1, le=1000)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Query(Ask, frozen=True, kw_only=True):
    """Base of what may stand behind the question mark; an unknown name is refused."""


Q = TypeVar("Q", bound=Query)


class OutboxQuery(Query, frozen=True, kw_only=True):
    """``before`` is a time in milliseconds UTC: the page of notices stored earlier."""

    limit: Limit = 100
    before: Count | None = None


class InboxQuery(OutboxQuery, frozen=True, kw_only=True):
    """``unread`` leaves out what was opened."""

    unread: bool = False


class StatusQuery(Query, frozen=True, kw_only=True):
    """With ``wait``, the answer comes when all deliveries got there, failed, or time is up."""

    wait: Milestone | None = None
    timeout: Annotated[float, Meta(ge=0, le=MAX_WAIT_S)] = 30.0


class EventsQuery(Query, frozen=True, kw_only=True):
    """Events after this number; 0 begins with the oldest one kept."""

    since: Count | None = None


class TranslateQuery(Query, frozen=True, kw_only=True, rename={"source": "from", "target": "to"}):
    """A level written ``schema@version:level``, and the schema to say it in."""

    source: Annotated[str, Meta(max_length=200)]
    target: Annotated[str, Meta(max_length=200)]


class DocumentsQuery(Query, frozen=True, kw_only=True):
    """Documents of one kind, or of one state; with ``history`` every version, in the order of acceptance."""

    kind: Literal["root", "directory", "manifest", "prekeys", "publication"] | None = None
    state: Annotated[str, Meta(max_length=16)] | None = None
    history: bool = False


class ExposureQuery(Query, frozen=True, kw_only=True):
    """The beginning of a key's id, ``node`` or ``opening``; from a time on, milliseconds UTC."""

    key: Annotated[str, Meta(max_length=64)]
    since: Count = 0


class Notices(View, frozen=True, kw_only=True):
    """A list of notices."""

    notices: tuple[NoticeView, ...]


class Members(View, frozen=True, kw_only=True):
    """A list of members."""

    members: tuple[MemberView, ...]


class Schemas(View, frozen=True, kw_only=True):
    """A list of severity schemas."""

    schemas: tuple[SchemaView, ...]


class Health(View, frozen=True, kw_only=True):
    """That the process lives, or can write."""

    status: Literal["ok"]


@dataclass(frozen=True, slots=True)
class Call:
    """One request, parsed: ``id`` is complete, ``request_id`` is the caller's for a submission."""

    who: Identity
    id: str
    query: Any
    body: Any
    request_id: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back, and under which HTTP status."""

    view: View
    status: int = 200


Handler = Callable[["Desk", Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Route:
    """One row: enough to serve it and to describe it.

    ``repeatable`` rows need an ``Idempotency-Key``. A row without a handler is the event stream,
    whose ``answers`` is the type of each event.
    """

    name: str
    method: Literal["GET", "POST"]
    path: str
    role: TokenRole
    summary: str
    answers: type[View]
    handler: Handler | None
    query: type[Query] = Query
    asks: type[Ask] | None = None
    repeatable: bool = False


async def _submit(desk: Desk, call: Call) -> Reply:
    view = await desk.submit(call.who, call.body, call.request_id)
    return Reply(view, 200 if view.exists else 201)


async def _inbox(desk: Desk, call: Call) -> Reply:
    query: InboxQuery = call.query
    found = await desk.inbox(call.who, unread=query.unread, limit=query.limit, before_ms=query.before)
    return Reply(Notices(notices=found))


async def _outbox(desk: Desk, call: Call) -> Reply:
    found = await desk.outbox(call.who, limit=call.query.limit, before_ms=call.query.before)
    return Reply(Notices(notices=found))


async def _notice(desk: Desk, call: Call) -> Reply:
    return Reply(await desk.notice(call.who, call.id))


async def _open(desk: Desk, call: Call) -> Reply:
    return Reply(await desk.open(call.who, call.id))


async def _answer(desk: Desk, call: Call) -> Reply:
    return Reply(await desk.answer(call.who, call.id, call.body))


async def _status(desk: Desk, call: Call) -> Reply:
    query: StatusQuery = call.query
    if query.wait is None:
        return Reply(await desk.status(call.who, call.id))
    return Reply(await desk.wait(call.who, call.id, query.wait, query.timeout))


async def _node(desk: Desk, call: Call) -> Reply:
    return Reply(await desk.node(call.who))


async def _proof(desk: Desk, call: Call) -> Reply:
    return Reply(await desk.proof(call.who, call.id))


async def _disclose(desk: Desk, call: Call) -> Reply:
    return Reply(await desk.disclose(call.who, call.id))


async def _ledger(desk: Desk, call: Call) -> Reply:
    return Reply(await desk.ledger(call.who))


async def _dismiss(desk: Desk, call: Call) -> Reply:
    return Reply(await desk.dismiss(call.who))


async def _members(desk: Desk, call: Call) -> Reply:
    return Reply(Members(members=await desk.members(call.who)))


async def _schemas(desk: Desk, call: Call) -> Reply:
    return Reply(Schemas(schemas=await desk.schemas(call.who)))


async def _translate(desk: Desk, call: Call) -> Reply:
    return Reply(await desk.translate(call.who, call.query.source, call.query.target))


async def _documents(desk: Desk, call: Call) -> Reply:
    query: DocumentsQuery = call.query
    return Reply(await desk.papers.list(call.who, query.kind, query.state, history=query.history))


async def _hand_in(desk: Desk, call: Call) -> Reply:
    asked: DocumentRequest = call.body
    return Reply(await desk.papers.hand_in(call.who, parse_base64(asked.document, what="document")))


async def _exposure(desk: Desk, call: Call) -> Reply:
    query: ExposureQuery = call.query
    return Reply(await desk.exposure.of(call.who, query.key, query.since))


MONITOR, SENDER, OFFICER = TokenRole.MONITOR, TokenRole.SENDER, TokenRole.OFFICER

ROUTES: tuple[Route, ...] = (
    Route(
        "submit", "POST", "/v1/notices", SENDER, "Send a notice.",
        SubmittedView, _submit, asks=SubmitRequest, repeatable=True,
    ),
    Route("inbox", "GET", "/v1/inbox", MONITOR, "List received notices.", Notices, _inbox, InboxQuery),
    Route("outbox", "GET", "/v1/outbox", MONITOR, "List sent notices.", Notices, _outbox, OutboxQuery),
    Route("notice", "GET", "/v1/notices/{id}", MONITOR, "Show one row of a list.", NoticeView, _notice),
    Route(
        "open", "POST", "/v1/notices/{id}/open", SENDER,
        "Read a notice; an officer who reads a received one signs OPENED.", ContentView, _open,
    ),
    Route(
        "answer", "POST", "/v1/notices/{id}/answer", OFFICER,
        "Accept, decline or complete a received notice.", AnswerView, _answer, asks=AnswerRequest,
    ),
    Route(
        "status", "GET", "/v1/notices/{id}/status", MONITOR,
        "Show every delivery of a notice, or wait for it.", StatusView, _status, StatusQuery,
    ),
    Route(
        "proof", "GET", "/v1/notices/{id}/proof", MONITOR,
        "Get the receipt of a notice, which anybody can verify offline.", ProofView, _proof,
    ),
    Route(
        "disclose", "POST", "/v1/notices/{id}/disclose", OFFICER,
        "Open a notice for an auditor: hand over its content key.", DisclosureView, _disclose,
    ),
    Route("events", "GET", "/v1/events", MONITOR, "Follow what happens.", EventView, None, EventsQuery),
    Route("node", "GET", "/v1/node", MONITOR, "Show the node's own condition.", NodeView, _node),
    Route("ledger", "GET", "/v1/ledger", MONITOR, "Show how the ledger stands.", LedgerView, _ledger),
    Route(
        "dismiss", "POST", "/v1/node/dismiss", OFFICER, "Take down the alarms that were dealt with.",
        NodeView, _dismiss,
    ),
    Route(
        "documents", "GET", "/v1/documents", MONITOR,
        "Get the trusted documents, each in its newest version, or all.",
        DocumentsView, _documents, DocumentsQuery,
    ),
    Route(
        "deposit", "POST", "/v1/documents", SENDER,
        "Hand in a signed document: it proves itself.", DocumentView, _hand_in, asks=DocumentRequest,
    ),
    Route(
        "exposure", "GET", "/v1/exposure", OFFICER,
        "Show what a key signed, and what it could open.", ExposureView, _exposure, ExposureQuery,
    ),
    Route("members", "GET", "/v1/members", MONITOR, "List the members.", Members, _members),
    Route("schemas", "GET", "/v1/severity", MONITOR, "List the severity schemas.", Schemas, _schemas),
    Route(
        "translate", "GET", "/v1/severity/translate", MONITOR, "Say a level in another schema's words.",
        TranslationView, _translate, TranslateQuery,
    ),
)  # fmt: skip


def parse_query(kind: type[Q], words: dict[str, str]) -> Q:
    """Return the typed query; raises msgspec.ValidationError."""
    return msgspec.convert(words, kind, strict=False)
