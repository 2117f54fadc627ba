"""How a round of the inbox becomes durable: everything in one transaction, with few calls to the store."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import apsw

from exchange.node.chains import Said
from exchange.node.receipt_round import store_receipts
from exchange.node.records import AgainRecord, NoticeRecord, Outcome, RefusalRecord
from exchange.stores.node_books import NewEvent, insert_refused, raise_alarm, record_event, record_events
from exchange.stores.node_notices import NoticeRow, insert_answered, insert_notices, newest_sequence
from exchange.stores.node_queue import enqueue_statements
from exchange.stores.node_statements import StatementRow, insert_statements, save_chain
from keys.sealing import NUMBER_BITS, epoch_began_ms
from protocol.text import format_utc

RENUMBERED = "renumbered"
ALARMING = frozenset(
    {"tampered", "bad-signature", "forked", "unknown-signer", "not-canonical", "malformed", "error"}
)
"""Codes of refused deliveries that an honest coordinator and sender never cause, and our own faults."""


def store_round(
    db: apsw.Connection, state: str, outcomes: Sequence[Outcome], said: Sequence[Said], now_ms: int
) -> None:
    """Store a whole round in its order: notices, receipts, refusals, and the statements about them."""
    for _, run in groupby(outcomes, key=_kind):
        alike = list(run)
        _store_notices(db, [one.notice for one in alike if one.notice is not None], now_ms)
        store_receipts(db, state, [one.receipt for one in alike if one.receipt is not None], now_ms)
        for one in alike:
            if one.again is not None:
                _store_again(db, one.again, now_ms)
            elif one.refusal is not None:
                _store_refusal(db, one, one.refusal, now_ms)
    store_said(db, state, said, now_ms, officer=None)
    if said:
        key_id, last = said[-1].key_id, said[-1].draft.chain
        save_chain(db, key_id, last.sequence, last.previous)


def _kind(outcome: Outcome) -> tuple[bool, bool]:
    return outcome.notice is not None, outcome.receipt is not None


def store_said(
    db: apsw.Connection,
    state: str,
    said: Sequence[Said],
    at_ms: int,
    *,
    officer: str | None,
    locked_note: bytes | None = None,
) -> None:
    """Store statements of our own and queue them for the coordinator."""
    rows = [
        StatementRow(
            id=one.draft.statement_id,
            envelope=one.saying.envelope,
            party=state,
            kind=one.saying.kind,
            at_ms=at_ms,
            officer=officer,
            code=one.saying.code,
            recorded=False,
            locked_note=locked_note,
            body=one.data,
        )
        for one in said
    ]
    insert_statements(db, rows)
    enqueue_statements(db, [row.id for row in rows])


def _store_notices(db: apsw.Connection, notices: Sequence[NoticeRecord], now_ms: int) -> None:
    if not notices:
        return
    rows = [_row(one, now_ms) for one in notices]
    newest = {sender: newest_sequence(db, sender) for sender in {row.sender for row in rows}}
    insert_notices(db, rows, [one.content.body for one in notices])
    events: list[NewEvent] = []
    for row, one in zip(rows, notices, strict=True):
        if one.position.epoch > newest[row.sender] >> NUMBER_BITS:
            record_events(db, now_ms, events)
            events = []
            _tell_of_epoch(db, row, one.position.epoch, now_ms)
        newest[row.sender] = max(newest[row.sender], one.position.sequence)
        events.append(NewEvent(event="inbox.received", envelope=row.id, state=row.sender))
    record_events(db, now_ms, events)


def _row(notice: NoticeRecord, now_ms: int) -> NoticeRow:
    return NoticeRow(
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
