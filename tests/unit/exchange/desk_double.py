"""A desk that keeps everything in memory, for tests of the local interface and the commands.

The real desk is exercised with real processes in ``tests/acceptance``.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import cast

import msgspec
from aiohttp import web
from msgspec import structs

from exchange.api.app import make_app
from exchange.node.desk import Desk
from exchange.node.milestones import Milestone
from exchange.node.requests import AnswerRequest, SubmitRequest
from exchange.node.tokens import Identity, TokenBook, TokenRole, format_token, parse_token
from exchange.node.views import (
    AlarmView,
    AnswerView,
    AttachmentView,
    ContentView,
    DeliveryView,
    EventView,
    LedgerView,
    LevelView,
    LogView,
    MemberView,
    NodeView,
    NoticeView,
    PendingView,
    ProofView,
    SchemaView,
    SeverityView,
    StatusView,
    SubmittedView,
    TranslationView,
    WaitingView,
    WitnessView,
)
from protocol.errors import (
    AlmenaraError,
    BadRequest,
    IdReused,
    NotAuthorized,
    NotFound,
    UnknownSeverity,
    UnknownState,
)
from protocol.text import format_base64
from tests.clocks import DAWN

OFFICER, SENDER, MONITOR = (
    format_token(Identity(role, name, bytes([place]) * 32))
    for place, (role, name) in enumerate(
        [(TokenRole.OFFICER, "Ana José"), (TokenRole.SENDER, "feed"), (TokenRole.MONITOR, "screen")]
    )
)
RECEIVED_ID = "ab" * 32
HOSTILE = "Bank \x1b[2J\x1b]0;owned\x07 \u202eevil\u202c z\u200bw"

SEVERITY = SeverityView(
    reference="xaa-national@1:grave",
    name="Grave",
    schema_title="Escala nacional",
    point=4,
    local="xbb-national@1:c2",
    local_name="Highly significant",
    local_candidates=("xbb-national@1:c2",),
    note="",
)


class TokenDouble:
    """Knows three tokens, one for each role, until they are taken back."""

    taken_back: frozenset[str] = frozenset()

    def identify(self, text: str) -> Identity:
        """Return whose token this is."""
        if text not in {OFFICER, SENDER, MONITOR} - self.taken_back:
            raise NotAuthorized("the token is not known here")
        return parse_token(text)


def delivery(recipient: str, state: str = "queued", **changes: object) -> DeliveryView:
    view = DeliveryView(
        recipient=recipient,
        state=state,
        since_ms=DAWN,
        reached_ms={"queued": DAWN},
        code=None,
        officer=None,
        note=None,
        reduced_forward_secrecy=False,
    )
    return msgspec.structs.replace(view, **changes)


def notice(id: str, **changes: object) -> NoticeView:
    view = NoticeView(
        id=id,
        direction="received",
        kind="report",
        exercise=False,
        sender="XAA",
        recipients=("XBB", "XCC"),
        incident="cd" * 16,
        refers_to=None,
        subject="Wiper at a water utility",
        tlp="amber",
        severity=SEVERITY,
        created_ms=DAWN,
        received_ms=DAWN + 900,
        expires_ms=DAWN + 72 * 3_600_000,
        respond_by_ms=DAWN + 4 * 3_600_000,
        state="received",
        unread=True,
        attachments=0,
    )
    return msgspec.structs.replace(view, **changes)


RECEIPT = "almenara receipt v1\n# Receipt for a notice — señal\n"
LEDGER = LedgerView(
    coordinator="HUB",
    connected=True,
    now_ms=DAWN + 12_000,
    logs=(
        LogView(
            log="ack",
            origin="hub.example/almenara/ack",
            size=1204,
            root="5a" * 32,
            witnessed_size=1200,
            witnessed_ms=DAWN,
            cosigned_here=1204,
            needed=2,
            witnesses=(
                WitnessView(state="XAA", cosigned_ms=DAWN),
                WitnessView(state="XBB", cosigned_ms=DAWN),
                WitnessView(state="XCC", cosigned_ms=None),
            ),
        ),
        LogView(
            log="dir",
            origin="hub.example/almenara/dir",
            size=0,
            root="",
            witnessed_size=None,
            witnessed_ms=None,
            cosigned_here=0,
            needed=2,
            witnesses=(),
        ),
    ),
    promised=0,
    unwitnessed=3,
    merge_delay_ms=800,
    worst_merge_delay_ms=1_400,
    evidence=("ledger-forked-3f2a9c1e5d6b7a80.txt",),
    alarms=(
        AlarmView(code="ledger-forked", message="there are two versions", next="Call XBB.", since_ms=DAWN),
    ),
)


@dataclass
class DeskDouble:
    """Keeps notices in dictionaries; ``fail`` is raised by the next call that reaches it."""

    notices: dict[str, NoticeView] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[AttachmentView, ...]] = field(default_factory=dict)
    deliveries: dict[str, tuple[DeliveryView, ...]] = field(default_factory=dict)
    submitted: dict[str, tuple[SubmitRequest, str]] = field(default_factory=dict)
    answers: list[tuple[str, AnswerRequest]] = field(default_factory=list)
    history: list[EventView] = field(default_factory=list)
    reach: str = "queued"
    fail: Exception | None = None
    fail_events: Exception | None = None
    writable: bool = True
    pending: tuple[PendingView, ...] = ()
    others: tuple[str, ...] = ()
    waiting: tuple[WaitingView, ...] = ()
    shown_ledger: LedgerView = field(default_factory=lambda: LEDGER)

    async def ready(self) -> None:
        """Say whether the node can write."""
        if not self.writable:
            raise AlmenaraError("the store cannot write")

    def receive(self, id: str = RECEIVED_ID, *, text: str = "Please look.", **changes: object) -> None:
        """Put a notice into the inbox."""
        self.notices[id] = notice(id, **changes)
        self.texts[id] = text

    def happen(self, event: str, id: str | None = None) -> None:
        """Append an event."""
        number = len(self.history) + 1
        self.history.append(
            EventView(
                number=number, at_ms=DAWN + number, event=event, id=id, state="XBB", code=None, detail=""
            )
        )

    def _check(self) -> None:
        if self.fail is not None:
            error, self.fail = self.fail, None
            raise error

    async def submit(self, who: Identity, request: SubmitRequest, request_id: str) -> SubmittedView:
        """Accept a notice once."""
        self._check()
        for state in request.to:
            if state not in {"XBB", "XCC", "XDD"} and not state.startswith("Y"):
                raise UnknownState(f"{state} is no member of this community")
        if request.severity.startswith("nowhere"):
            raise UnknownSeverity(f"no schema {request.severity}")
        exists = request_id in self.submitted
        if exists and self.submitted[request_id][0] != request:
            raise IdReused(f"the request id {request_id} was used for another notice")
        id = hashlib.sha256(request_id.encode()).hexdigest()
        self.submitted[request_id] = (request, id)
        self.notices[id] = notice(
            id, direction="sent", subject=request.subject, recipients=request.to, tlp=request.tlp
        )
        self.texts[id] = request.text
        self.files[id] = tuple(
            AttachmentView(name=a.name, media_type=a.media_type, bytes=0, sha256="", content=a.content)
            for a in request.attachments
        )
        self.deliveries[id] = tuple(delivery(state, self.reach) for state in request.to)
        return SubmittedView(
            id=id,
            incident="cd" * 16,
            request_id=request_id,
            exists=exists,
            recipients=request.to,
            skipped=(),
            reduced_forward_secrecy=(),
            severity=SEVERITY,
            respond_by_ms=None,
            state="waiting-for-key" if self.waiting else "queued",
            waiting=self.waiting,
        )

    async def inbox(
        self, who: Identity, *, unread: bool = False, limit: int = 100, before_ms: int | None = None
    ) -> tuple[NoticeView, ...]:
        """List received notices."""
        self._check()
        found = [n for n in self.notices.values() if n.direction == "received" and (n.unread or not unread)]
        return tuple(found[:limit])

    async def outbox(
        self, who: Identity, *, limit: int = 100, before_ms: int | None = None
    ) -> tuple[NoticeView, ...]:
        """List sent notices."""
        self._check()
        return tuple(n for n in self.notices.values() if n.direction == "sent")[:limit]

    async def resolve(self, prefix: str) -> str:
        """Complete an id."""
        self._check()
        if len(prefix) < 6:
            raise BadRequest("an id needs at least 6 digits")
        found = [id for id in self.notices if id.startswith(prefix)]
        if not found:
            raise NotFound(f"no notice begins with {prefix[:64]}")
        if len(found) > 1:
            raise BadRequest(f"{len(found)} notices begin with {prefix[:64]}")
        return found[0]

    async def notice(self, who: Identity, id: str) -> NoticeView:
        """Return one row."""
        self._check()
        return self.notices[id]

    async def open(self, who: Identity, id: str) -> ContentView:
        """Return the content and mark it read."""
        self._check()
        row = msgspec.structs.replace(self.notices[id], unread=False)
        self.notices[id] = row
        return ContentView(
            notice=row,
            language="en",
            text=self.texts[id],
            attachments=self.files.get(id, ()),
            signed_by="XAA node key 5d0c",
            opened_by=who.name,
            deliveries=self.deliveries.get(id, ()),
        )

    async def answer(self, who: Identity, id: str, request: AnswerRequest) -> AnswerView:
        """Keep an answer."""
        self._check()
        self.answers.append((id, request))
        return AnswerView(
            id=id, statement="ef" * 32, kind=request.answer, officer=who.name, at_ms=DAWN, recorded=True
        )

    async def status(self, who: Identity, id: str) -> StatusView:
        """Return every delivery."""
        self._check()
        return StatusView(notice=self.notices[id], deliveries=self.deliveries.get(id, ()))

    async def wait(self, who: Identity, id: str, state: Milestone, timeout_s: float) -> StatusView:
        """Answer at once if all is done, else after the time."""
        view = await self.status(who, id)
        if any(d.state == "queued" for d in view.deliveries):
            await asyncio.sleep(timeout_s)
        return view

    async def proof(self, who: Identity, id: str) -> ProofView:
        """Return a receipt that is only text."""
        self._check()
        return ProofView(id=id, receipt=RECEIPT, statements=4, pending=self.pending, others=self.others)

    async def ledger(self, who: Identity) -> LedgerView:
        """Return a ledger with one silent witness."""
        self._check()
        return self.shown_ledger

    async def dismiss(self, who: Identity) -> NodeView:
        """Return the node's condition without its alarms."""
        return structs.replace(await self.node(who), alarms=())

    async def node(self, who: Identity) -> NodeView:
        """Return the node's condition."""
        self._check()
        alarm = AlarmView(
            code="clock-skew", message="the clock is 11 minutes slow", next="chronyc makestep", since_ms=DAWN
        )
        return NodeView(
            state="XAA",
            version="0.1.0",
            coordinator="wss://127.0.0.1:7443",
            connected=False,
            connected_since_ms=None,
            last_error="the coordinator does not answer",
            queued=2,
            inbox_unread=1,
            directory_version=3,
            clock_skew_ms=660_000,
            alarms=(alarm,),
        )

    async def members(self, who: Identity) -> tuple[MemberView, ...]:
        """List two members, one without a key."""
        self._check()
        fine = MemberView(
            code="XBB",
            name="Xibobia",
            status="active",
            usable_key=True,
            key_note="",
            key_until_ms=DAWN,
            schemas=("xbb-national@1",),
        )
        silent = msgspec.structs.replace(fine, code="XCC", usable_key=False, key_note="no prekey for today")
        return (fine, silent)

    async def schemas(self, who: Identity) -> tuple[SchemaView, ...]:
        """List one schema."""
        self._check()
        level = LevelView(
            code="grave", rank=40, names={"es": "Grave"}, definition={"es": "Daño."}, point=4, low=4, high=5
        )
        return (
            SchemaView(
                reference="xaa-national@1",
                issuer="XAA",
                title={"es": "Escala nacional"},
                status="fictitious",
                published_by_state=False,
                provenance="made up",
                source="none",
                levels=(level,),
            ),
        )

    async def translate(self, who: Identity, source: str, target: str) -> TranslationView:
        """Translate one level."""
        self._check()
        if source.startswith("nowhere"):
            raise UnknownSeverity("there is no schema nowhere")
        return TranslationView(
            source=source, target=target, level="c2", candidates=("c2", "c1"), note="equal"
        )

    async def events(self, who: Identity, since: int) -> AsyncIterator[EventView]:
        """Replay, then follow."""
        seen = since
        while True:
            for event in self.history[seen:]:
                seen = event.number
                yield event
            if self.fail_events is not None:
                raise self.fail_events
            await asyncio.sleep(0.01)


def attachment(name: str, data: bytes, *, content: str | None = None) -> AttachmentView:
    """Return an attachment as the node shows it; ``content`` replaces the bytes it carries."""
    return AttachmentView(
        name=name,
        media_type="application/json",
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        content=format_base64(data) if content is None else content,
    )


def app_of(desk: DeskDouble, *, heartbeat_s: float = 0.05) -> web.Application:
    """Return the real application over the double."""
    return make_app(cast(Desk, desk), cast(TokenBook, TokenDouble()), desk.ready, heartbeat_s=heartbeat_s)
