"""Turning stored rows into what people see. Nothing is decided or changed here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from exchange.node.again import KEY_REVOKED, NO_KEY
from exchange.node.at_recipients import AtRecipient
from exchange.node.choosing import choose
from exchange.node.context import NodeContext
from exchange.node.doubts import doubtful_since, standing_of
from exchange.node.schemas import SchemaBook
from exchange.node.summary import unlock_summary
from exchange.node.suspended import SUSPENDED, what_helps
from exchange.node.tokens import Identity, TokenRole
from exchange.node.views import (
    AlarmView,
    AttachmentView,
    AttemptView,
    ContentView,
    DeliveryView,
    EventView,
    MemberView,
    NoticeView,
    WaitingView,
)
from exchange.stores.node_books import AlarmRow, EventRow
from exchange.stores.node_notices import DeliveryRow, NoticeRow
from exchange.stores.node_sealing import Attempt, WaitingRow
from exchange.stores.node_statements import StatementRow
from keys.held import Documents
from protocol.delivery import DeliveryState, advance
from protocol.documents import StateEntry
from protocol.errors import AlmenaraError, NoUsableKey, PeerCode, TrustError, UnknownState
from protocol.marking import Tlp
from protocol.notice import Body, parse_manifest
from protocol.statement import StatementKind
from protocol.text import format_base64, format_utc

HIDDEN = "(hidden from this token)"

# A notice of several recipients shows the state that most needs a person: among answers, the refusal.
_NEEDING_A_LOOK = (
    DeliveryState.REFUSED,
    DeliveryState.REJECTED,
    DeliveryState.WAITING,
    DeliveryState.QUEUED,
    DeliveryState.UNDELIVERED,
    DeliveryState.RELAYED,
    DeliveryState.RECEIVED,
    DeliveryState.OPENED,
    DeliveryState.DECLINED,
    DeliveryState.ACCEPTED,
    DeliveryState.COMPLETED,
)


class Showing:
    """Makes views for one node.

    Args:
        context: The node, for its vault and directory.
        schemas: For showing severities.
    """

    def __init__(self, context: NodeContext, schemas: SchemaBook) -> None:
        self._context = context
        self._schemas = schemas

    def notice(self, row: NoticeRow, recipients: Sequence[AtRecipient], who: Identity) -> NoticeView:
        """Return a notice as lists show it; a monitor's token sees no subject."""
        _, header = parse_manifest(row.manifest)
        summary = unlock_summary(self._context.vault, row)
        state, codes = row.state, tuple(addressee.state for addressee in header.recipients)
        if row.direction == "sent" and recipients:
            state = min((one.delivery.state for one in recipients), key=_NEEDING_A_LOOK.index).value
            codes = tuple(one.recipient for one in recipients)
        return NoticeView(
            id=row.id.hex(),
            direction=row.direction,
            kind=header.kind.name.lower(),
            exercise=header.exercise,
            sender=header.sender,
            recipients=codes,
            incident=summary.incident,
            refers_to=summary.refers_to,
            subject=summary.subject if who.role.covers(TokenRole.SENDER) else HIDDEN,
            tlp=Tlp(summary.tlp).label,
            severity=self._schemas.show(header.severity),
            created_ms=row.created_ms,
            received_ms=row.stored_ms if row.direction == "received" else None,
            expires_ms=header.expires_ms,
            respond_by_ms=header.respond_by_ms,
            state=state,
            unread=row.direction == "received" and row.state == "unread",
            attachments=summary.attachments,
        )

    def incident_of(self, row: NoticeRow) -> str:
        """Return the incident's id, in hexadecimal."""
        return unlock_summary(self._context.vault, row).incident

    def content(
        self,
        row: NoticeRow,
        body: Body,
        shown: NoticeView,
        deliveries: tuple[DeliveryView, ...],
        opened_by: str | None,
    ) -> ContentView:
        """Return a notice with its content."""
        key_id = parse_manifest(row.manifest)[1].key_id
        standing = standing_of(self._context.directory.documents, row.sender, key_id)
        return ContentView(
            notice=shown,
            language=body.language,
            text=body.text,
            attachments=tuple(
                AttachmentView(
                    name=file.name,
                    media_type=file.media_type,
                    bytes=len(file.content),
                    sha256=hashlib.sha256(file.content).hexdigest(),
                    content=format_base64(file.content),
                )
                for file in body.attachments
            ),
            signed_by=f"{row.sender} node key {key_id.hex()[:16]}{standing}",
            opened_by=opened_by,
            deliveries=deliveries,
        )

    def deliveries(
        self,
        row: NoticeRow,
        recipients: Sequence[AtRecipient],
        statements: Sequence[StatementRow],
        who: Identity,
    ) -> tuple[DeliveryView, ...]:
        """Return each recipient of a sent notice with when each state was reached."""
        return tuple(self._at_recipient(row, one, statements, who) for one in recipients)

    def _at_recipient(
        self, row: NoticeRow, one: AtRecipient, statements: Sequence[StatementRow], who: Identity
    ) -> DeliveryView:
        newest = one.newest
        # Of an earlier envelope that came to nothing, the attempts tell; of one that is not there, nobody.
        sealed = newest.delivery.state is not DeliveryState.WAITING
        about = [said for said in statements if sealed and said.envelope == newest.envelope]
        shown = self._delivery(row, one.delivery, about, who)
        attempts: tuple[AttemptView, ...] = ()
        if len(one.attempts) > 1 or (sealed and one.waiting is not None):
            attempts = tuple(_attempt(attempt) for attempt in one.attempts)
        shown.reached_ms.setdefault(newest.delivery.state.value, newest.delivery.since_ms)
        return msgspec.structs.replace(shown, waiting=self.waiting(one), attempts=attempts)

    def waiting(self, one: AtRecipient) -> WaitingView | None:
        """Return why a recipient waits for a key, and who must do what about it; None if it does not."""
        row = one.waiting
        if row is None or one.has_it:
            return None
        return WaitingView(
            state=row.recipient,
            since_ms=row.since_ms,
            code=row.cause,
            reason=self._reason(one, row),
            owner=f"the administrators of {row.recipient}",
            next=what_helps(self._context.directory, row.recipient),
        )

    def _reason(self, one: AtRecipient, row: WaitingRow) -> str:
        before = _BEFORE.get(row.cause, "its last envelope was not delivered")
        try:
            choose(self._context.directory, row.recipient, self._context.clock.now_ms())
        except AlmenaraError as error:
            return error.message if row.cause == NO_KEY else f"{before}, and {error.message}"
        if row.cause == NO_KEY:
            return f"{row.recipient} has a key now; it is being sealed for"
        return f"{before}; it is sealed again once {row.recipient} has another key than the one that was used"

    def own_answers(
        self, row: NoticeRow, statements: list[StatementRow], who: Identity
    ) -> tuple[DeliveryView, ...]:
        """Return what this state has said about a received notice, as one delivery."""
        mine = [one for one in statements if one.party == self._context.state]
        delivery = DeliveryRow(
            self._context.state, DeliveryState.RECEIVED, row.stored_ms, code=None, tail=False
        )
        for one in mine:
            # As at the sender: a second officer's first look does not take back a first one's answer.
            state = advance(delivery.state, one.kind)
            if state is not delivery.state:
                delivery = DeliveryRow(self._context.state, state, one.at_ms, one.code, tail=False)
        return (self._delivery(row, delivery, mine, who),)

    def _delivery(
        self, row: NoticeRow, delivery: DeliveryRow, statements: Sequence[StatementRow], who: Identity
    ) -> DeliveryView:
        about = [one for one in statements if _speaks_of(one, delivery.recipient)]
        reached: dict[str, int] = {}
        if row.direction == "sent" and (about or delivery.state is not DeliveryState.WAITING):
            reached[DeliveryState.QUEUED.value] = row.stored_ms
        officer = note = None
        evidence: dict[str, str] = {}
        for one in about:
            reached.setdefault(one.kind.name.lower(), one.at_ms)
            evidence.setdefault(one.kind.name.lower(), evidence_of(one, self._context.directory.documents))
            if one.kind.name.lower() == delivery.state:
                officer = one.officer
            if one.locked_note is not None:
                note = self._note(one, who)
        reached.setdefault(delivery.state.value, delivery.since_ms)
        return DeliveryView(
            recipient=delivery.recipient,
            state=delivery.state.value,
            since_ms=delivery.since_ms,
            reached_ms=reached,
            code=self._code(delivery),
            officer=officer,
            note=note,
            reduced_forward_secrecy=delivery.tail,
            evidence=evidence,
        )

    def _code(self, delivery: DeliveryRow) -> str | None:
        """Return why a delivery stands where it does: also that its recipient is suspended."""
        under_way = delivery.state in (DeliveryState.QUEUED, DeliveryState.RELAYED)
        if under_way and self._context.directory.is_suspended(delivery.recipient):
            return SUSPENDED
        return delivery.code

    def _note(self, statement: StatementRow, who: Identity) -> str:
        if statement.locked_note is None or not who.role.covers(TokenRole.SENDER):
            return HIDDEN
        return self._context.vault.unlock("note", statement.id, statement.locked_note).decode()

    def member(self, entry: StateEntry, now_ms: int) -> MemberView:
        """Return one member, with whether a notice could be sealed for it now."""
        until: int | None = None
        try:
            choice = choose(self._context.directory, entry.code, now_ms).choice
        except (NoUsableKey, UnknownState, TrustError) as error:
            usable, note = False, error.message
        else:
            usable, note = True, "reduced forward secrecy" if choice.tail else "current"
            until = choice.prekey.use_until_ms
        return MemberView(
            code=entry.code,
            name=entry.name,
            status=entry.status.value,
            usable_key=usable,
            key_note=note,
            key_until_ms=until,
            schemas=self._schemas.of_state(entry.code),
        )


_BEFORE = {
    PeerCode.CANNOT_OPEN.value: "its node could not open the last envelope",
    PeerCode.EXPIRED.value: "the last envelope expired before it was collected",
    PeerCode.NOT_ADDRESSED.value: "the coordinator refused the last envelope for one of its recipients",
    KEY_REVOKED: "the key to which it was sealed was taken back",
}


def _attempt(attempt: Attempt) -> AttemptView:
    delivery = attempt.delivery
    return AttemptView(
        envelope=attempt.envelope.hex(),
        sealed_ms=attempt.stored_ms,
        state=delivery.state.value,
        since_ms=delivery.since_ms,
        code=delivery.code,
    )


def evidence_of(statement: StatementRow, documents: Documents) -> str:
    """Return how far a statement is proved; nothing unverified is ever called witnessed."""
    since_ms = doubtful_since(documents, statement)
    if since_ms is not None:
        return f"doubtful: its key is compromised since {format_utc(since_ms)}"
    if statement.leaf is not None:
        return f"witnessed, leaf {statement.leaf}"
    if statement.logged:
        return "pending witness"
    return "promised" if statement.recorded else "not handed over"


def event_view(row: EventRow) -> EventView:
    """Return one event as it is streamed."""
    return EventView(
        number=row.number,
        at_ms=row.at_ms,
        event=row.event,
        id=None if row.envelope is None else row.envelope.hex(),
        state=row.state,
        code=row.code,
        detail=row.detail,
    )


def alarm_view(row: AlarmRow) -> AlarmView:
    """Return one stored alarm as it is shown."""
    return AlarmView(code=row.code, message=row.message, next=row.next, since_ms=row.since_ms)


def _speaks_of(statement: StatementRow, recipient: str) -> bool:
    # RELAYED speaks of every recipient; UNDELIVERED is stored with the delivery it changed.
    return statement.party == recipient or statement.kind is StatementKind.RELAYED
