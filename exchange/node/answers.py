"""What the coordinator answered to what we handed over: recorded, and only then forgotten.

An envelope leaves the queue when the coordinator's signed RELAYED is verified and stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import apsw
import structlog

from exchange.node.again import CURED_BY_ANOTHER, follow
from exchange.node.company import Company
from exchange.node.context import NodeContext
from exchange.node.receipt_round import store_receipts
from exchange.node.receipts import Checked, Receipts
from exchange.node.records import ReceiptRecord
from exchange.stores.node_books import any_alarm, clear_alarm, raise_alarm, record_event
from exchange.stores.node_ledger import insert_promises, recorded_unplaced
from exchange.stores.node_notices import (
    NoticeRow,
    list_deliveries,
    update_delivery,
    update_state,
    update_states,
)
from exchange.stores.node_queue import OutgoingRow, remove_all
from exchange.stores.node_sealing import first_of, waiting_for
from exchange.stores.node_statements import mark_all_recorded
from protocol.delivery import DeliveryState
from protocol.errors import AlmenaraError, PeerCode, RemoteProtocolError
from protocol.session.messages import Accepted, Refused
from protocol.statement import StatementKind

PASSING = frozenset(
    {
        PeerCode.INTERNAL,
        PeerCode.OVER_QUOTA,
        PeerCode.CLOCK_SKEW,
        PeerCode.NOT_TRUSTED,
        PeerCode.GOING_AWAY,
        PeerCode.TIMEOUT,
    }
)
"""Refusals that time or an operator can cure: what was refused stays queued and is tried again."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Answered:
    """One thing we handed over, with the coordinator's answer."""

    row: OutgoingRow
    answer: Accepted | Refused

    @property
    def was_accepted(self) -> bool:
        """Whether the coordinator has taken it."""
        return isinstance(self.answer, Accepted)

    @property
    def is_final(self) -> bool:
        """Whether the thing leaves the queue.

        A document never leaves it unaccepted: every later one of its chain needs it, at any coordinator.
        """
        if isinstance(self.answer, Accepted):
            return True
        return self.row.kind != "publish" and self.answer.code not in PASSING


class Answers:
    """Collects answers and records all that wait in one transaction."""

    def __init__(self, context: NodeContext, receipts: Receipts) -> None:
        self._context = context
        self._receipts = receipts
        self._waiting: asyncio.Queue[Answered] = asyncio.Queue()
        self._company = Company()

    def offer(self, answered: Answered) -> None:
        """Hand in one answer; the session's window bounds how many can wait."""
        self._waiting.put_nowait(answered)

    def forget(self) -> None:
        """Drop what waits, because the session is gone: everything queued is handed over again."""
        while not self._waiting.empty():
            self._waiting.get_nowait()

    async def next_round(self) -> list[Answered]:
        """Wait for answers, record them, and return them; what this returns is durable.

        Raises:
            RemoteProtocolError, FormatError, TrustError: the coordinator's promise is not what it
                must be; what it was for stays queued, and the other answers are recorded.
            StoreFailed, OutcomeUnknown: nothing may be taken as recorded.
        """
        round_ = [await self._waiting.get()]
        await self._company.gather(self._waiting.qsize() + 1)
        while not self._waiting.empty():
            round_.append(self._waiting.get_nowait())
        self._company.had(len(round_))
        kept, broken = await self._judge(round_)
        now_ms = self._context.clock.now_ms()

        def record(db: apsw.Connection) -> None:
            _record_all(db, self._context.state, kept, now_ms)

        for answered, _ in kept:
            # Before the write: a coordinator that takes a new key may end this session at once, and what
            # it has accepted is so, whether this round is still recorded or comes again.
            if answered.row.kind == "publish" and isinstance(answered.answer, Accepted):
                self._context.keys.has_accepted(answered.row.subject)
        await self._context.engine.write(record)
        self._context.events.ring()
        if broken is not None:
            # Only now: one broken promise must not undo the answers beside it.
            raise broken
        return round_

    async def _judge(
        self, round_: Sequence[Answered]
    ) -> tuple[list[tuple[Answered, ReceiptRecord | None]], AlmenaraError | None]:
        """Return what can be recorded, with the promises, and what was wrong with one of the others."""
        broken: AlmenaraError | None = None
        checked: list[tuple[Answered, Checked | None]] = []
        for answered in round_:
            try:
                checked.append((answered, self._check(answered)))
            except AlmenaraError as error:
                broken = error
        rows = self._receipts.rows(promise for _, promise in checked if promise is not None)
        kept: list[tuple[Answered, ReceiptRecord | None]] = []
        for answered, promise in checked:
            try:
                receipt = None if promise is None else await self._promised(answered, promise, rows)
                kept.append((answered, receipt))
            except AlmenaraError as error:
                broken = error
        return kept, broken

    def _check(self, answered: Answered) -> Checked | None:
        """Return the RELAYED statement for an accepted envelope; its signature has verified."""
        if answered.row.kind != "submit" or not isinstance(answered.answer, Accepted):
            return None
        if answered.answer.statement is None:
            raise RemoteProtocolError("the coordinator accepted an envelope and promised nothing")
        return self._receipts.check(answered.answer.statement)

    async def _promised(
        self, answered: Answered, promise: Checked, rows: Mapping[bytes, NoticeRow]
    ) -> ReceiptRecord:
        receipt = await self._receipts.judge(promise, rows)
        promised = receipt.statement
        if promised.kind is not StatementKind.RELAYED or promised.envelope != answered.row.subject:
            raise RemoteProtocolError("the coordinator's promise is about something else")
        return receipt


def _record_all(
    db: apsw.Connection, state: str, kept: Sequence[tuple[Answered, ReceiptRecord | None]], now_ms: int
) -> None:
    promised = [promise for _, promise in kept if promise is not None]
    update_states(db, [one.statement.envelope for one in promised], DeliveryState.RELAYED)
    store_receipts(db, state, promised, now_ms)
    attested = [one.row.subject for one, _ in kept if one.row.kind == "attest" and one.was_accepted]
    mark_all_recorded(db, attested)
    insert_promises(db, recorded_unplaced(db, attested), now_ms)
    for answered, _ in kept:
        if isinstance(answered.answer, Refused):
            _record_refusal(db, answered.row, answered.answer.code, now_ms, final=answered.is_final)
    final = [answered.row for answered, _ in kept if answered.is_final]
    remove_all(db, [row.number for row in final])
    if any_alarm(db):
        for row in final:
            clear_alarm(db, "held", row.subject.hex())


def _record_refusal(
    db: apsw.Connection, row: OutgoingRow, code: PeerCode, now_ms: int, *, final: bool
) -> None:
    _log.warning("outgoing.refused", code=code.value, kind=row.kind)
    envelope = row.subject if row.kind == "submit" else None
    if envelope is not None:
        state = DeliveryState.REFUSED if final else DeliveryState.QUEUED
        for delivery in list_deliveries(db, envelope):
            # A recipient that has spoken has it, whatever the answer to a second try says.
            if delivery.state is DeliveryState.QUEUED:
                update_delivery(db, envelope, delivery.recipient, state, now_ms, code.value)
                follow(db, envelope, replace(delivery, state=state, code=code.value), now_ms)
        if final:
            update_state(db, envelope, DeliveryState.REFUSED, only_from=DeliveryState.QUEUED)
    about = None if envelope is None else first_of(db, envelope)
    record_event(db, now_ms, "notice.refused" if final else "notice.held", envelope=about, code=code.value)
    what = {"submit": "notice", "attest": "statement", "publish": "document"}[row.kind]
    message = f"the coordinator refused a {what}: {code.phrase}"
    if final and code in CURED_BY_ANOTHER and about is not None and waiting_for(db, about):
        # It is sealed again for all who may have it: nothing for a person to do.
        return
    if final:
        next_ = (
            "It will not be tried again. Read it with: almenara show ID; correct the cause and send it anew."
        )
        raise_alarm(db, "refused", row.subject.hex(), message, next_, now_ms)
    else:
        next_ = "It is kept and tried again by itself. If it says clock-skew, correct this machine's clock."
        raise_alarm(db, "held", row.subject.hex(), message, next_, now_ms)
