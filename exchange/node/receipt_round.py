"""How statements about our own notices become durable: many in one transaction, with few calls to the store.

What is stored of their notices is read once. Each statement is then judged in order, by that and by what
the ones before it have changed; what changed is written once. Before anything that looks into the store for
itself, everything is written that it must see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import apsw

from exchange.node.again import follow, may_need_another
from exchange.node.at_recipients import HAS_IT
from exchange.node.contradictions import Signed, chain_findings, gossip_of, opposite_findings
from exchange.node.evidence import report
from exchange.node.promises import WITHHELD, withheld_about
from exchange.node.records import ReceiptRecord
from exchange.stores.node_books import NewEvent, any_alarm, clear_alarm, record_events
from exchange.stores.node_ledger import insert_all_signed, insert_gossip, insert_promises
from exchange.stores.node_notices import DeliveryRow, deliveries_of, update_deliveries
from exchange.stores.node_sealing import anybody_waits, firsts_of
from exchange.stores.node_statements import StatementRow, insert_statements, known_statements
from protocol.delivery import DeliveryState, advance
from protocol.statement import Statement, StatementKind


def store_receipts(db: apsw.Connection, state: str, receipts: Sequence[ReceiptRecord], now_ms: int) -> None:
    """Store statements about our own notices and move their deliveries on; a second copy changes nothing.

    The coordinator has recorded them, so from now on they must be in the ledger; and one may contradict
    what was said before, which is told in the same transaction.
    """
    fresh = _fresh(db, receipts)
    if not fresh:
        return
    insert_statements(db, [_row(one) for one in fresh])
    insert_promises(db, [one.id for one in fresh], now_ms)
    round_ = _Round(db, state, fresh, now_ms)
    for receipt in fresh:
        round_.take(receipt)
    round_.write()


def _fresh(db: apsw.Connection, receipts: Sequence[ReceiptRecord]) -> list[ReceiptRecord]:
    known = known_statements(db, [one.id for one in receipts])
    fresh: dict[bytes, ReceiptRecord] = {}
    for one in receipts:
        if one.id not in known:
            fresh.setdefault(one.id, one)
    return list(fresh.values())


def _row(receipt: ReceiptRecord) -> StatementRow:
    statement = receipt.statement
    return StatementRow(
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


class _Round:
    """What is known of the notices that a round speaks of, and what is not written yet."""

    def __init__(self, db: apsw.Connection, state: str, fresh: Sequence[ReceiptRecord], now_ms: int) -> None:
        self._db, self._state, self._now_ms = db, state, now_ms
        statements = [one.statement for one in fresh]
        envelopes = list({one.envelope for one in statements})
        self._deliveries = deliveries_of(db, envelopes)
        self._firsts = firsts_of(db, envelopes)
        self._signed = Signed(db, statements)
        self._seen: set[tuple[str, int, bytes]] = set()
        self._look()
        self._moved: dict[tuple[bytes, str], DeliveryRow] = {}
        self._new_signed: list[tuple[bytes, int, bytes, bytes]] = []
        self._events: list[NewEvent] = []

    def take(self, receipt: ReceiptRecord) -> None:
        """Judge one statement, which is stored, and note what it changes."""
        statement = receipt.statement
        deliveries = self._deliveries.get(statement.envelope, {})
        subject = statement.about or statement.party
        if statement.kind is StatementKind.RELAYED:
            spoken_of = list(deliveries.values())
        else:
            spoken_of = [deliveries[subject]] if subject in deliveries else []
        self._take_evidence(receipt, spoken_of)
        for delivery in spoken_of:
            self._move_on(delivery, statement)
        self._events.append(
            NewEvent(
                event=f"notice.{statement.kind.name.lower()}",
                envelope=self._firsts.get(statement.envelope) or statement.envelope,
                state=subject,
                code=statement.code,
                detail=receipt.officer or "",
            )
        )

    def write(self) -> None:
        """Write what was noted since the last time."""
        update_deliveries(self._db, [(envelope, row) for (envelope, _), row in self._moved.items()])
        insert_all_signed(self._db, self._new_signed)
        record_events(self._db, self._now_ms, self._events)
        self._moved, self._new_signed, self._events = {}, [], []

    def _look(self) -> None:
        """Find out whether there is anything to lower or to end: mostly there is not."""
        self._has_alarms, self._somebody_waits = any_alarm(self._db), anybody_waits(self._db)

    def _take_evidence(self, receipt: ReceiptRecord, spoken_of: Sequence[DeliveryRow]) -> None:
        db, statement = self._db, receipt.statement
        findings = chain_findings(db, receipt.id, statement, receipt.data, self._signed)
        findings += opposite_findings(db, receipt.id, statement, spoken_of, receipt.data)
        if findings:
            self.write()
            for finding in findings:
                report(db, self._state, finding, self._now_ms)
            self._look()
        self._signed.add(statement, receipt.id)
        self._new_signed.append((statement.key_id, statement.sequence, statement.previous, receipt.id))
        gossip = gossip_of(statement, receipt.data, self._now_ms)
        if gossip is not None and (gossip.origin, gossip.size, gossip.root) not in self._seen:
            # Most statements of a round have seen the same checkpoint.
            self._seen.add((gossip.origin, gossip.size, gossip.root))
            insert_gossip(db, gossip)

    def _move_on(self, delivery: DeliveryRow, statement: Statement) -> None:
        state = advance(delivery.state, statement.kind)
        if state is delivery.state:
            return
        moved = replace(delivery, state=state, since_ms=statement.at_ms, code=statement.code)
        self._deliveries[statement.envelope][delivery.recipient] = moved
        self._moved[statement.envelope, delivery.recipient] = moved
        ends_waiting = state in HAS_IT and (self._has_alarms or self._somebody_waits)
        if ends_waiting or may_need_another(moved):
            self.write()
            follow(self._db, statement.envelope, moved, self._now_ms)
            self._look()
        if self._has_alarms and state is not DeliveryState.RELAYED:
            clear_alarm(self._db, WITHHELD, withheld_about(statement.envelope, delivery.recipient))
