"""Watching promises: what was recorded must be in the log in time, what was relayed must be received.

A coordinator that drops a statement, or keeps a notice back from one recipient, is told of here. It
can only be told of while it is connected: silence on a dead line proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import apsw

from exchange.node.context import NodeContext
from exchange.node.evidence import Exhibit, Finding, report
from exchange.node.link_state import LinkState
from exchange.node.places import BROKEN, NOT_LOGGED
from exchange.stores.node_books import clear_alarm, has_alarm
from exchange.stores.node_ledger import (
    HeadRow,
    PromiseRow,
    list_overdue,
    list_relayed,
    newest_head,
)
from exchange.stores.node_statements import StatementRow, find_statement
from protocol.ledger.origins import Log
from protocol.statement import MERGE_DELAY_MS
from protocol.text import format_utc

WITHHELD = "withheld"
AT_WORK_MS = 600_000
"""How long after its last cosignature a state is taken to be at work."""
_ROUND = 200


class Promises:
    """Looks for promises that were not kept.

    Args:
        context: The node.
        link_state: Knows by how much the coordinator's clock differs.
        late_ms: How long a statement may be recorded and not in the log before a person is told.
        merge_delay_ms: After how long that breaks the coordinator's promise, and is evidence.
        withheld_ms: How long a recipient may be seen at work without receiving what was relayed to it.
    """

    def __init__(
        self,
        context: NodeContext,
        link_state: LinkState,
        *,
        late_ms: int,
        merge_delay_ms: int = MERGE_DELAY_MS,
        withheld_ms: int,
    ) -> None:
        self._context = context
        self._link = link_state
        self._late_ms = late_ms
        self._merge_delay_ms = merge_delay_ms
        self._withheld_ms = withheld_ms
        self._alive_ms: dict[str, int] = {}
        """When each state was last seen at work, by this node's clock: it cosigned something new."""
        self._cosigned: dict[str, int] = {}
        self._seen_after: dict[tuple[bytes, str], int] = {}
        """Since when a recipient is seen at work, of each delivery that was only relayed."""

    def cosigned(self, cosigned: Mapping[str, int]) -> None:
        """Take who cosigned a checkpoint, and when, seconds UTC by their clocks."""
        now_ms = self._context.clock.now_ms()
        for state, seconds in cosigned.items():
            if seconds > self._cosigned.get(state, 0):
                self._cosigned[state] = seconds
                # An old checkpoint, as at the start of a session, shows nobody at work now.
                self._alive_ms[state] = min(now_ms, seconds * 1000 + 999)

    def count_anew(self) -> None:
        """Forget who was seen at work, and since when: that clock has jumped, or stood still."""
        self._alive_ms.clear()
        self._seen_after.clear()

    async def look(self, watched_since_ms: int) -> None:
        """Tell of every promise that is overdue, once.

        Args:
            watched_since_ms: Since when this node has watched without a break; nothing counts as late for
                longer.
        """
        context, now_ms = self._context, self._context.clock.now_ms()
        found = await context.engine.read(lambda db: self._overdue(db, now_ms))
        findings = [*self._late(found, watched_since_ms, now_ms), *self._withheld(found, now_ms)]

        def news(db: apsw.Connection) -> list[Finding]:
            return [one for one in findings if not has_alarm(db, one.code, one.about)]

        new = await context.engine.read(news) if findings else []
        if new:
            await context.engine.write(lambda db: _tell(db, context.state, new, now_ms))
            context.events.ring()

    def _overdue(self, db: apsw.Connection, now_ms: int) -> _Overdue:
        promises = list_overdue(db, now_ms - self._late_ms, _ROUND)
        return _Overdue(
            [(promise, find_statement(db, promise.statement)) for promise in promises],
            list_relayed(db, self._at_work(now_ms), _ROUND),
            newest_head(db, Log.ACK),
        )

    def _at_work(self, now_ms: int) -> list[str]:
        """Return the states that were seen at work lately: nothing is said about those who are away."""
        return [state for state, at_ms in self._alive_ms.items() if now_ms - at_ms <= AT_WORK_MS]

    @property
    def _skew_ms(self) -> int:
        """By how much the coordinator's clock is ahead of this one."""
        return self._link.skew_ms or 0

    def _late(self, found: _Overdue, watched_since_ms: int, now_ms: int) -> list[Finding]:
        """Return what is said of recorded statements that the log does not show."""
        findings = []
        for promise, row in found.promises:
            waited_ms = now_ms - max(promise.since_ms, watched_since_ms)
            if row is None or waited_ms <= self._late_ms:
                continue
            if waited_ms > self._merge_delay_ms:
                findings.append(_broken(row, promise, found.newest, self._merge_delay_ms))
            else:
                findings.append(_not_logged(row, promise, now_ms))
        return findings

    def _withheld(self, found: _Overdue, now_ms: int) -> list[Finding]:
        """Return what is said of notices whose recipients are at work and have not received them."""
        findings, seen = [], {}
        for envelope, recipient, since_ms in found.relayed:
            alive_ms = self._alive_ms.get(recipient, 0)
            if alive_ms <= since_ms - self._skew_ms:
                continue
            first_ms = seen[envelope, recipient] = self._seen_after.get((envelope, recipient), alive_ms)
            if now_ms - first_ms > self._withheld_ms:
                findings.append(_withheld(envelope, recipient, first_ms))
        self._seen_after = seen
        return findings


@dataclass(frozen=True, slots=True)
class _Overdue:
    """What the store says is not yet as it should be."""

    promises: list[tuple[PromiseRow, StatementRow | None]]
    relayed: list[tuple[bytes, str, int]]
    newest: HeadRow | None


def _tell(db: apsw.Connection, state: str, findings: Sequence[Finding], now_ms: int) -> None:
    for finding in findings:
        if finding.code == BROKEN:
            # The graver word takes the place of the first one.
            clear_alarm(db, NOT_LOGGED, finding.about)
        report(db, state, finding, now_ms)


def withheld_about(envelope: bytes, recipient: str) -> str:
    """Return what the alarm for one delivery is about."""
    return f"{envelope.hex()}/{recipient}"


def _withheld(envelope: bytes, recipient: str, first_ms: int) -> Finding:
    return Finding(
        WITHHELD,
        withheld_about(envelope, recipient),
        f"notice {envelope.hex()[:12]} was relayed to {recipient}, whose node has been at work since "
        f"{format_utc(first_ms)} and has not received it",
        f"Call {recipient} on another channel and say what you sent; the coordinator may be keeping it back. "
        "The alarm goes by itself when the receipt comes.",
        event="notice.withheld",
        envelope=envelope,
        state=recipient,
    )


def _not_logged(row: StatementRow, promise: PromiseRow, now_ms: int) -> Finding:
    seconds = (now_ms - promise.since_ms) // 1000
    return Finding(
        NOT_LOGGED,
        promise.statement.hex(),
        f"{row.kind.name} of {row.party} about notice {row.envelope.hex()[:12]} is recorded since "
        f"{seconds} s and is not in the coordinator's ledger",
        "Wait a moment: if it is still not there, this becomes evidence. Notices go on.",
        event="ledger.late",
        envelope=row.envelope,
        state=row.party,
    )


def _broken(row: StatementRow, promise: PromiseRow, newest: HeadRow | None, delay_ms: int) -> Finding:
    exhibits = [Exhibit(f"the signed statement of {row.party}", row.body, is_text=False)]
    if newest is not None:
        exhibits.append(Exhibit(f"the newest checkpoint: {newest.size} leaves", newest.note))
    return Finding(
        BROKEN,
        promise.statement.hex(),
        f"the coordinator has recorded {row.kind.name} of {row.party} about notice "
        f"{row.envelope.hex()[:12]} and does not show it in its ledger after {delay_ms // 1000} s",
        "Notices go on, and this one is delivered as its state says. Ask the coordinator's operator why; "
        "tell the secretariat if there is no answer.",
        tuple(exhibits),
        event="ledger.promise-broken",
        envelope=row.envelope,
        state=row.party,
    )
