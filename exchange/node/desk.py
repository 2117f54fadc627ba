"""The desk: everything a person or script may ask of a node, behind every face it has.

Each call says who asks; the role is checked here, once, for the CLI, scripts and any console.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple

import apsw
import msgspec

from exchange.node.at_recipients import AtRecipient, at_recipients
from exchange.node.context import NodeContext
from exchange.node.disclosing import disclosed
from exchange.node.exposure import Exposure
from exchange.node.health import Health
from exchange.node.milestones import SETTLED, Milestone
from exchange.node.officers import Officers
from exchange.node.outbox import Outbox, Submitted
from exchange.node.papers import Papers
from exchange.node.proofs import Proofs, proof_view
from exchange.node.requests import AnswerRequest, SubmitRequest
from exchange.node.schemas import SchemaBook, schema_view
from exchange.node.shedding import Shedding
from exchange.node.showing import Showing, event_view
from exchange.node.standing import Standing
from exchange.node.summary import unlock_body
from exchange.node.tokens import Identity, TokenRole
from exchange.node.views import (
    AnswerView,
    ContentView,
    DeliveryView,
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
    WaitingView,
)
from exchange.stores.node_books import clear_alarms, read_events, record_event
from exchange.stores.node_notices import (
    Direction,
    NoticeRow,
    accept_gaps,
    find_body,
    find_notice,
    ids_with_prefix,
    list_notices,
)
from exchange.stores.node_sealing import envelopes_of, first_of
from exchange.stores.node_statements import StatementRow, list_statements
from protocol.delivery import DeliveryState
from protocol.errors import BadRequest, ClockSkew, NodeRestored, NotFound
from protocol.notice import parse_manifest
from protocol.statement import DeclineReason, StatementKind

MIN_PREFIX = 6
_ID_DIGITS = 64
EVENTS_CHUNK = 256


class Desk:
    """One node's desk.

    Args:
        context: The node.
        outbox: Accepts notices.
        officers: Sign answers.
        schemas: Severity schemas.
        health: How the node is.
        papers: Documents, which anybody may look at and hand in.
    """

    def __init__(
        self,
        context: NodeContext,
        outbox: Outbox,
        officers: Officers,
        schemas: SchemaBook,
        health: Health,
        papers: Papers,
    ) -> None:
        self.papers = papers
        self._context = context
        self._outbox = outbox
        self._officers = officers
        self._schemas = schemas
        self._health = health
        self._showing = Showing(context, schemas)
        self._proofs = Proofs(context)
        self._standing = Standing(context)
        self.exposure = Exposure(context)
        self._shedding = Shedding(context.engine, context.clock)

    async def submit(self, who: Identity, request: SubmitRequest, request_id: str) -> SubmittedView:
        """Accept a notice; it is durable and will be sent when this returns."""
        who.require(TokenRole.SENDER)
        if request.refers_to is not None and len(request.refers_to) < _ID_DIGITS:
            request = msgspec.structs.replace(request, refers_to=await self.resolve(request.refers_to))
        async with self._shedding.taking():
            submitted = await self._outbox.submit(request, request_id)
        if submitted.sealed_for:
            return self._submitted(submitted, submitted.sealed_for, (), request_id)
        at = await self._context.engine.read(lambda db: at_recipients(db, submitted.row.id))
        waiting = tuple(view for one in at if (view := self._showing.waiting(one)) is not None)
        return self._submitted(submitted, tuple(one.recipient for one in at), waiting, request_id)

    async def inbox(
        self, who: Identity, *, unread: bool = False, limit: int = 100, before_ms: int | None = None
    ) -> tuple[NoticeView, ...]:
        """Return received notices, the most severe first and the newest first among equals."""
        states = ("unread",) if unread else ()
        shown = await self._list("received", who, states, limit, before_ms)
        return tuple(sorted(shown, key=lambda one: (not one.unread, -(one.severity.point or 0))))

    async def outbox(
        self, who: Identity, *, limit: int = 100, before_ms: int | None = None
    ) -> tuple[NoticeView, ...]:
        """Return sent notices, newest first."""
        return tuple(await self._list("sent", who, (), limit, before_ms))

    async def resolve(self, prefix: str) -> str:
        """Return the one full id that starts with ``prefix``, at least six hexadecimal digits."""
        prefix = prefix.lower()
        if not MIN_PREFIX <= len(prefix) <= _ID_DIGITS or any(
            char not in "0123456789abcdef" for char in prefix
        ):
            raise BadRequest(
                f"{prefix[:70]!r} is no notice id",
                hint=f"Give at least {MIN_PREFIX} hexadecimal digits of an id shown by: almenara inbox",
            )
        found = await self._context.engine.read(lambda db: ids_with_prefix(db, prefix))
        if not found:
            raise NotFound(f"no notice here has an id that starts with {prefix}")
        if len(found) > 1:
            raise BadRequest(
                f"several notices have an id that starts with {prefix}", hint="Give more digits."
            )
        return found[0].hex()

    async def notice(self, who: Identity, id_: str) -> NoticeView:
        """Return a notice without its content; nothing is signed."""
        row, recipients, _ = await self._read(id_)
        return self._showing.notice(row, recipients, who)

    async def open(self, who: Identity, id_: str) -> ContentView:
        """Return a notice with its content; for a received one the officer signs OPENED, once."""
        row, recipients, statements = await self._read(id_)
        who.require(TokenRole.OFFICER if row.direction == "received" else TokenRole.SENDER)
        content_id = row.content_id
        # Unlocked first: nobody signs OPENED for what cannot be shown.
        locked = await self._context.engine.read(lambda db: find_body(db, content_id))
        body = unlock_body(self._context.vault, content_id, locked)
        opened_by = None
        if row.direction == "received":
            # Neither a wrong clock nor a restored store may keep a warning from the person at the desk; it is
            # signed another time.
            with contextlib.suppress(ClockSkew, NodeRestored):
                await self._officers.sign(who, row, StatementKind.OPENED)
                opened_by = who.name
            row, recipients, statements = await self._read(id_)
        shown = self._showing.notice(row, recipients, who)
        return self._showing.content(
            row, body, shown, self._deliveries(row, recipients, statements, who), opened_by
        )

    async def answer(self, who: Identity, id_: str, request: AnswerRequest) -> AnswerView:
        """Sign an officer's answer to a received notice and queue it for the coordinator."""
        who.require(TokenRole.OFFICER)
        row, _, _ = await self._read(id_)
        if row.direction != "received":
            raise BadRequest(
                "this notice was sent from here; only its recipients answer it",
                hint=f"See who has answered: almenara status {row.id.hex()[:12]}",
            )
        kind = StatementKind[request.answer.upper()]
        code = _reason(request, kind)
        await self._officers.sign(who, row, StatementKind.OPENED)
        statement = await self._officers.sign(who, row, kind, code=code, note=request.note)
        return AnswerView(
            id=row.id.hex(),
            statement=statement.id.hex(),
            kind=kind.name.lower(),
            officer=who.name,
            at_ms=statement.at_ms,
            recorded=statement.recorded,
        )

    async def status(self, who: Identity, id_: str) -> StatusView:
        """Return a notice with where it stands at each recipient."""
        row, recipients, statements = await self._read(id_)
        return StatusView(
            notice=self._showing.notice(row, recipients, who),
            deliveries=self._deliveries(row, recipients, statements, who),
        )

    async def wait(self, who: Identity, id_: str, state: Milestone, timeout_s: float) -> StatusView:
        """Return once every delivery has reached a milestone or failed, or the time is up."""
        # That the time is up is an answer too: the status says how far it came.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not await self._has_settled(id_, SETTLED[state]):
                    pass
        return await self.status(who, id_)

    async def _has_settled(self, id_: str, states: frozenset[DeliveryState]) -> bool:
        """Return at once if it has; otherwise after the next event."""
        rung = self._context.events.listen()
        _, recipients, _ = await self._read(id_)
        if all(one.delivery.state in states for one in recipients):
            return True
        await rung.wait()
        return False

    async def node(self, who: Identity) -> NodeView:
        """Return how the node is."""
        del who
        return await self._health.view()

    async def proof(self, who: Identity, id_: str) -> ProofView:
        """Return the receipt of a notice: a file that anybody can verify for ever, without this node.

        A receipt is of one envelope; of a notice that was sealed again, the others are named.

        Raises:
            NotFound: nothing about it is in the witnessed ledger yet.
        """
        del who
        row, others = await self._envelope(id_)
        proved = await self._proofs.prove(row)
        return proof_view(row.id.hex(), proved, self._context.directory.documents, others)

    async def disclose(self, who: Identity, id_: str) -> DisclosureView:
        """Return a notice with its content key, for an auditor; the events keep who did so and when."""
        who.require(TokenRole.OFFICER)
        row, _ = await self._envelope(id_)
        return await disclosed(self._context, row, who)

    async def ledger(self, who: Identity) -> LedgerView:
        """Return how the coordinator's ledger stands, as this node has verified it."""
        del who
        node = await self._health.view()
        return await self._standing.view(connected=node.connected, alarms=node.alarms)

    async def dismiss(self, who: Identity) -> NodeView:
        """Take down the alarms that an officer says were dealt with; the event stream keeps who and when."""
        who.require(TokenRole.OFFICER)
        now_ms = self._context.clock.now_ms()

        def work(db: apsw.Connection) -> None:
            count = clear_alarms(db)
            accept_gaps(db)
            record_event(db, now_ms, "alarms.dismissed", detail=f"{count} by {who.name}")

        await self._context.engine.write(work)
        self._context.events.ring()
        return await self._health.view()

    async def members(self, who: Identity) -> tuple[MemberView, ...]:
        """Return every member, with whether a notice could be sealed for it now."""
        del who
        now_ms = self._context.clock.now_ms()
        return tuple(self._showing.member(entry, now_ms) for entry in self._context.directory.states())

    async def schemas(self, who: Identity) -> tuple[SchemaView, ...]:
        """Return every severity schema known here."""
        del who
        return tuple(schema_view(schema) for schema in self._schemas.all())

    async def translate(self, who: Identity, source: str, target: str) -> TranslationView:
        """Return one level in another schema's words."""
        del who
        return self._schemas.translation(source, target)

    async def events(self, who: Identity, since: int) -> AsyncIterator[EventView]:
        """Yield every event after number ``since``: from the store, then as they happen."""
        del who
        while True:
            rung = self._context.events.listen()
            rows = self._events_after(since)
            for row in rows:
                since = row.number
                yield row
            if not rows:
                await rung.wait()

    def _events_after(self, since: int) -> list[EventView]:
        rows = self._context.engine.look_up(lambda db: read_events(db, since, EVENTS_CHUNK))
        return [event_view(row) for row in rows]

    async def _list(
        self, direction: Direction, who: Identity, states: tuple[str, ...], limit: int, before_ms: int | None
    ) -> list[NoticeView]:
        def read(db: apsw.Connection) -> list[tuple[NoticeRow, tuple[AtRecipient, ...]]]:
            rows = list_notices(db, direction, states=states, before_ms=before_ms, limit=limit)
            return [(row, at_recipients(db, row.id)) for row in rows]

        found = await self._context.engine.read(read)
        return [self._showing.notice(row, recipients, who) for row, recipients in found]

    async def _read(self, id_: str) -> _Read:
        """Return a notice, whichever of its envelopes was named, with all that is known of it."""
        envelope = bytes.fromhex(await self.resolve(id_))

        def read(db: apsw.Connection) -> _Read | None:
            first = first_of(db, envelope)
            row = find_notice(db, first)
            if row is None:
                return None
            said = [one for name in envelopes_of(db, first) for one in list_statements(db, name)]
            return _Read(row, at_recipients(db, first), said)

        found = await self._context.engine.read(read)
        if found is None:
            raise NotFound(f"there is no notice {id_[:12]} here")
        return found

    async def _envelope(self, id_: str) -> tuple[NoticeRow, tuple[str, ...]]:
        """Return the envelope of this name, and the other ones that carry the same notice."""
        named = bytes.fromhex(await self.resolve(id_))

        def read(db: apsw.Connection) -> list[NoticeRow]:
            rows = [find_notice(db, name) for name in envelopes_of(db, first_of(db, named))]
            return [row for row in rows if row is not None and row.is_sealed]

        rows = await self._context.engine.read(read)
        if not rows:
            raise NotFound(
                f"notice {id_[:12]} is not sealed yet: its recipients have no usable key",
                hint=f"See who waits, and why: almenara status {id_[:12]}",
            )
        row = next((one for one in rows if one.id == named), rows[0])
        return row, tuple(one.id.hex() for one in rows if one is not row)

    def _deliveries(
        self,
        row: NoticeRow,
        recipients: tuple[AtRecipient, ...],
        statements: list[StatementRow],
        who: Identity,
    ) -> tuple[DeliveryView, ...]:
        if row.direction == "received":
            return self._showing.own_answers(row, statements, who)
        return self._showing.deliveries(row, recipients, statements, who)

    def _submitted(
        self,
        submitted: Submitted,
        recipients: tuple[str, ...],
        waiting: tuple[WaitingView, ...],
        request_id: str,
    ) -> SubmittedView:
        _, header = parse_manifest(submitted.row.manifest)
        return SubmittedView(
            id=submitted.row.id.hex(),
            incident=self._showing.incident_of(submitted.row),
            request_id=request_id,
            exists=submitted.exists,
            recipients=recipients,
            skipped=submitted.skipped,
            reduced_forward_secrecy=submitted.tails,
            severity=self._schemas.show(header.severity),
            respond_by_ms=header.respond_by_ms,
            state=submitted.row.state,
            waiting=waiting,
        )


class _Read(NamedTuple):
    """A notice with everything that is known of it."""

    row: NoticeRow
    recipients: tuple[AtRecipient, ...]
    statements: list[StatementRow]


def _reason(request: AnswerRequest, kind: StatementKind) -> str | None:
    reasons = ", ".join(DeclineReason)
    if kind is not StatementKind.DECLINED:
        if request.reason is not None:
            raise BadRequest("a reason goes with declining only", hint="Put anything else into the note.")
        return None
    if request.reason is None or request.reason not in set(DeclineReason):
        raise BadRequest(f"declining needs a reason, one of: {reasons}", hint="Repeat with --reason REASON.")
    return request.reason
