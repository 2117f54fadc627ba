"""What one round of the inbox found out, and how it becomes durable in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import apsw

from exchange.node.again import follow
from exchange.node.chains import Said
from exchange.node.contradictions import take_evidence
from exchange.node.promises import WITHHELD, withheld_about
from exchange.node.summary import LockedContent
from exchange.stores.node_books import clear_alarm, insert_refused, raise_alarm, record_event
from exchange.stores.node_ledger import insert_promise
from exchange.stores.node_notices import (
    DeliveryRow,
    NoticeRow,
    insert_answered,
    insert_notice,
    list_deliveries,
    newest_sequence,
    update_delivery,
)
from exchange.stores.node_queue import ATTEST_PRIORITY, enqueue
from exchange.stores.node_sealing import first_of
from exchange.stores.node_statements import StatementRow, insert_statement, save_chain
from keys.evidence import Saying
from keys.sealing import NUMBER_BITS, PairPosition, epoch_began_ms
from protocol.delivery import DeliveryState, advance
from protocol.errors import AlmenaraError
from protocol.notice import Header
from protocol.session.messages import ItemKind
from protocol.statement import Statement, StatementKind
from protocol.text import format_utc

RENUMBERED = "renumbered"
ALARMING = frozenset(
    {"tampered", "bad-signature", "forked", "unknown-signer", "not-canonical", "malformed", "error"}
)
"""Codes of refused deliveries that an honest coordinator and sender never cause, and our own faults."""


@dataclass(frozen=True, slots=True)
class Item:
    """One delivered mailbox item."""

    sequence: int
    kind: ItemKind
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NoticeRecord:
    """A notice that was verified and opened."""

    envelope: bytes
    header: Header
    manifest: bytes
    proof: bytes
    salt: bytes
    notice: bytes
    position: PairPosition
    content: LockedContent
    priority: int
    decryption_proof: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AgainRecord:
    """An envelope that opened to a notice which is recorded here already, under another envelope."""

    envelope: bytes
    sender: str
    number: int
    decryption_proof: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReceiptRecord:
    """A verified statement about one of our own notices, by a recipient or the coordinator."""

    id: bytes
    statement: Statement
    officer: str | None
    locked_note: bytes | None
    data: bytes


@dataclass(frozen=True, slots=True)
class RefusalRecord:
    """An item that could not be used, and why; ``sender`` is known if its signature was verified."""

    envelope: bytes | None
    error: AlmenaraError
    sender: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item: exactly one of notice, again, receipt, refusal, or nothing new."""

    item: Item
    notice: NoticeRecord | None = None
    again: AgainRecord | None = None
    receipt: ReceiptRecord | None = None
    refusal: RefusalRecord | None = None
    saying: Saying | None = None


def store_round(
    db: apsw.Connection, state: str, outcomes: Sequence[Outcome], said: Sequence[Said], now_ms: int
) -> None:
    """Store a whole round: notices, receipts, refusals, and the statements about them."""
    for outcome in outcomes:
        if outcome.notice is not None:
            _store_notice(db, outcome.notice, now_ms)
        elif outcome.again is not None:
            _store_again(db, outcome.again, now_ms)
        elif outcome.receipt is not None:
            store_receipt(db, state, outcome.receipt, now_ms)
        elif outcome.refusal is not None:
            _store_refusal(db, outcome, outcome.refusal, now_ms)
    for one in said:
        store_said(db, state, one, now_ms, officer=None)
    if said:
        key_id, last = said[-1].key_id, said[-1].draft.chain
        save_chain(db, key_id, last.sequence, last.previous)


def store_said(
    db: apsw.Connection,
    state: str,
    said: Said,
    at_ms: int,
    *,
    officer: str | None,
    locked_note: bytes | None = None,
) -> None:
    """Store one statement of our own and queue it for the coordinator."""
    row = StatementRow(
        id=said.draft.statement_id,
        envelope=said.saying.envelope,
        party=state,
        kind=said.saying.kind,
        at_ms=at_ms,
        officer=officer,
        code=said.saying.code,
        recorded=False,
        locked_note=locked_note,
        body=said.data,
    )
    insert_statement(db, row)
    enqueue(db, "attest", ATTEST_PRIORITY, row.id, said.data)


def store_receipt(db: apsw.Connection, state: str, receipt: ReceiptRecord, now_ms: int) -> None:
    """Store a statement about our own notice and move its delivery on; a second copy changes nothing.

    The coordinator has recorded it, so from now on it must be in the ledger; and it may contradict
    what was said before, which is told in the same transaction.
    """
    statement = receipt.statement
    row = StatementRow(
        id=receipt.id,
        envelope=statement.envelope,
        party=statement.party,
        kind=statement.kind,
        at_ms=statement.at_ms,
        officer=receipt.officer,
        code=statement.code,
        recorded=True,
        locked_note=receipt.locked_note,
        body=receipt.data,
    )
    if not insert_statement(db, row):
        return
    insert_promise(db, receipt.id, now_ms)
    relayed = statement.kind is StatementKind.RELAYED
    subject = statement.about or statement.party
    deliveries = list_deliveries(db, statement.envelope)
    spoken_of = [one for one in deliveries if relayed or one.recipient == subject]
    take_evidence(db, state, receipt.id, statement, spoken_of, receipt.data, now_ms)
    for delivery in spoken_of:
        _move_on(db, delivery, statement, now_ms)
    record_event(
        db,
        now_ms,
        f"notice.{statement.kind.name.lower()}",
        envelope=first_of(db, statement.envelope),
        state=subject,
        code=statement.code,
        detail=receipt.officer or "",
    )


def _move_on(db: apsw.Connection, delivery: DeliveryRow, statement: Statement, now_ms: int) -> None:
    state = advance(delivery.state, statement.kind)
    if state is delivery.state:
        return
    update_delivery(db, statement.envelope, delivery.recipient, state, statement.at_ms, statement.code)
    follow(db, statement.envelope, replace(delivery, state=state, code=statement.code), now_ms)
    if state is not DeliveryState.RELAYED:
        clear_alarm(db, WITHHELD, withheld_about(statement.envelope, delivery.recipient))


def _store_notice(db: apsw.Connection, notice: NoticeRecord, now_ms: int) -> None:
    row = NoticeRow(
        id=notice.envelope,
        direction="received",
        sender=notice.header.sender,
        notice=notice.notice,
        manifest=notice.manifest,
        proof=notice.proof,
        salt=notice.salt,
        created_ms=notice.header.created_ms,
        stored_ms=now_ms,
        priority=notice.priority,
        state="unread",
        locked_summary=notice.content.summary,
        locked_key=notice.content.key,
        pair_sequence=notice.position.sequence,
        pair_previous=notice.position.previous,
    )
    before = newest_sequence(db, row.sender)
    insert_notice(db, row, notice.content.body)
    if notice.position.epoch > before >> NUMBER_BITS:
        _tell_of_epoch(db, row, notice.position.epoch, now_ms)
    record_event(db, now_ms, "inbox.received", envelope=row.id, state=row.sender)


def _tell_of_epoch(db: apsw.Connection, row: NoticeRow, epoch: int, now_ms: int) -> None:
    """Tell that a sender numbers its notices anew: nothing before can be counted on to be complete.

    It is one alarm a sender, so that none buries another's.
    """
    sender, since = row.sender, format_utc(epoch_began_ms(epoch))
    detail = f"{sender} numbers its notices anew, as of {since}: what it sent before may be incomplete here"
    hint = (
        f"Ask {sender} on another channel whether its node was restored from a backup then; if nobody did "
        "that, somebody else may hold its node key."
    )
    raise_alarm(db, RENUMBERED, sender, detail, hint, now_ms)
    record_event(
        db, now_ms, "inbox.renumbered", envelope=row.id, state=sender, code=RENUMBERED, detail=detail
    )


def _store_again(db: apsw.Connection, again: AgainRecord, now_ms: int) -> None:
    insert_answered(db, again.envelope, again.sender, again.number)
    record_event(db, now_ms, "inbox.again", envelope=again.envelope, state=again.sender)


def _store_refusal(db: apsw.Connection, outcome: Outcome, refusal: RefusalRecord, now_ms: int) -> None:
    error, item = refusal.error, outcome.item
    insert_refused(db, item.sequence, refusal.envelope, error.code, now_ms, item.content)
    if outcome.saying is not None and refusal.envelope is not None and refusal.sender is not None:
        insert_answered(db, refusal.envelope, refusal.sender, None)
    record_event(
        db, now_ms, "inbox.refused", envelope=refusal.envelope, code=error.code, detail=error.message
    )
    if error.code in ALARMING:
        about = refusal.envelope.hex() if refusal.envelope else str(item.sequence)
        raise_alarm(
            db,
            "delivery-refused",
            about,
            f"a delivered item was refused: {error.message}",
            error.hint,
            now_ms,
        )
