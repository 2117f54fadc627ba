"""What became of each notice: one evidence tree for every envelope, judged by the witnesses' clock."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from exchange.audit.verdict import DeliveryEvidence, NoticeEvidence, Step
from exchange.audit.verify.clock import WitnessClock
from exchange.audit.verify.doubts import Doubtful
from exchange.audit.verify.events import Event, Events, Relayed
from exchange.audit.verify.figures import Figures, Outcome
from exchange.audit.verify.record import Record, leaf_at
from protocol.delivery import ANSWERED, DeliveryState, advance, contradicts
from protocol.notice import Kind
from protocol.statement import StatementKind

GRACE_MS = 3600 * 1000
"""How long after its expiry a notice must be said not to have been fetched."""

_K, _S = StatementKind, DeliveryState
_BY_SENDER = frozenset({_K.WITHDRAWN, _K.SUPERSEDED})
_SETTLED = frozenset({_S.REJECTED, _S.UNDELIVERED}) | ANSWERED
_REACHED = frozenset(_S) - {_S.WAITING, _S.QUEUED, _S.REFUSED, _S.RELAYED}
_FACTS: Mapping[StatementKind, str] = {
    _K.RECEIVED: "received",
    _K.OPENED: "opened",
    _K.ACCEPTED: "accepted",
    _K.DECLINED: "declined",
    _K.COMPLETED: "completed",
    _K.REJECTED: "rejected",
    _K.UNDELIVERED: "undelivered",
}


class _Delivery(NamedTuple):
    """One recipient's part of a notice, judged."""

    state: DeliveryState
    events: tuple[Event, ...]
    silent: bool
    late: bool


class NoticeAudit:
    """Judges every notice once the whole ledger was read.

    Args:
        times: The recorded time of every leaf, milliseconds UTC.
        clock: The witnesses' times.
        record: Where what is wrong is recorded.
        complete_from: The leaf from which every statement should be there.
        member: The member that exported only what concerns it, or None.
        listed: How many evidence trees to keep.
        doubtful: What compromised keys signed: it is shown, and counts nothing.
    """

    def __init__(
        self,
        times: array[int],
        clock: WitnessClock,
        record: Record,
        *,
        complete_from: int,
        member: str | None,
        listed: int,
        doubtful: Doubtful,
    ) -> None:
        self._times = times
        self._clock = clock
        self._record = record
        self._from = complete_from
        self._member = member
        self._listed = listed
        self._doubtful = doubtful
        self._kept: list[tuple[bool, int, NoticeEvidence]] = []
        self.figures = Figures()
        self.left_out = 0

    def judge(self, events: Events) -> tuple[NoticeEvidence, ...]:
        """Judge all notices; return the evidence of the most notable and the newest, by leaf."""
        for envelope, said, headers in events.by_envelope():
            self._envelope(envelope, said, headers)
        return tuple(one for _, _, one in sorted(self._kept, key=lambda kept: kept[1]))

    def _envelope(self, envelope: bytes, every: list[Event], headers: Mapping[int, Relayed]) -> None:
        doubtful = [event for event in every if event.leaf in self._doubtful.statements]
        said = [event for event in every if event.leaf not in self._doubtful.statements]
        if not said:
            self._record.left_out("notices")
            return
        relayed = [event for event in said if event.kind is _K.RELAYED]
        if not relayed:
            self._without_promise(said)
            return
        first = relayed[0]
        for again in relayed[1:]:
            sentence = f"this notice was relayed before, at leaf {first.leaf}"
            self._record.failed("notices", "relayed-twice", sentence, leaf_at(again.leaf))
        for early in (event for event in said if event.leaf < first.leaf):
            sentence = f"this speaks of a notice that was relayed later, at leaf {first.leaf}"
            self._record.failed("order", "before-relay", sentence, leaf_at(early.leaf))
        header = headers.get(first.leaf)
        if header is None:
            # Whether it is missing or wrong was recorded where it should have been.
            self._record.left_out("outcomes")
            return
        self._notice(envelope, header, [event for event in said if event.kind is not _K.RELAYED], doubtful)

    def _without_promise(self, said: list[Event]) -> None:
        if self._from == 0 and self._member is None:
            sentence = "this speaks of a notice that the coordinator never promised to relay"
            self._record.missing("notices", "never-relayed", sentence, leaf_at(said[0].leaf))
        else:
            self._record.left_out("notices")

    def _notice(self, envelope: bytes, header: Relayed, said: list[Event], doubtful: Sequence[Event]) -> None:
        by_state: dict[str, list[Event]] = {code: [] for code in header.recipients}
        own: list[Event] = []
        for event in said:
            if event.kind in _BY_SENDER and event.party == header.sender:
                own.append(event)
            elif event.kind not in _BY_SENDER and event.party in by_state:
                by_state[event.party].append(event)
            else:
                sentence = f"{event.party} has no say in this notice, and said {event.kind.name}"
                self._record.failed("addressees", "not-addressed", sentence, leaf_at(event.leaf))
                continue
            self._record.passed("addressees")
        visible = [code for code in header.recipients if self._sees(header, code)]
        self.figures.notice(header.leaf, header.sender, header.severity, tuple(visible))
        deliveries = {code: self._delivery(header, code, by_state[code]) for code in visible}
        self._keep(envelope, header, deliveries, own, doubtful)

    def _sees(self, header: Relayed, code: str) -> bool:
        return self._member is None or self._member in (header.sender, code)

    def _delivery(self, header: Relayed, code: str, said: list[Event]) -> _Delivery:
        state = _S.RELAYED
        facts: dict[str, int] = {}
        received = answered = None
        for event in said:
            if contradicts(state, event.kind):
                sentence = f"{event.kind.name} about {code} contradicts that it was {state.value} before"
                self._record.failed("order", "contradiction", sentence, leaf_at(event.leaf))
            else:
                self._record.passed("order")
            state = advance(state, event.kind)
            facts.setdefault(_FACTS[event.kind], event.leaf)
            if event.kind is _K.RECEIVED and received is None:
                received = event.leaf
            if state in ANSWERED and answered is None:
                answered = event.leaf
        silent, late = self._deadline(header, state, answered)
        if silent or late:
            facts["silent" if silent else "late"] = header.leaf
        elif state not in _SETTLED:
            facts["waiting"] = header.leaf
        self._expiry(header, code, state)
        self.figures.delivery(
            Outcome(
                state=code,
                severity=header.severity,
                relayed=header.leaf,
                facts=facts,
                to_received=self._latency(header.leaf, received),
                to_answer=self._latency(header.leaf, answered),
            )
        )
        return _Delivery(state, tuple(said), silent, late)

    def _deadline(self, header: Relayed, state: DeliveryState, answered: int | None) -> tuple[bool, bool]:
        """Return whether the recipient was silent, or late, by the witnesses' times."""
        deadline_ms = header.respond_by_ms
        if deadline_ms is None:
            return False, False
        passed = self._clock.size_after(deadline_ms)
        if answered is None:
            if passed is None and state not in _SETTLED:
                self._record.left_out("deadlines")
                return False, False
            self._record.passed("deadlines")
            return state not in _SETTLED, False
        late = (passed is not None and answered >= passed) or self._times[answered] > deadline_ms
        before, after = self._clock.bracket(answered)
        if before is not None and after is not None and before <= deadline_ms < after:
            # Between two checkpoints there is only the coordinator's own clock.
            self._record.left_out("deadlines")
        else:
            self._record.passed("deadlines")
        return False, late

    def _expiry(self, header: Relayed, code: str, state: DeliveryState) -> None:
        end_ms = self._clock.end_ms
        if state in _REACHED:
            self._record.passed("outcomes")
        elif end_ms is None or end_ms <= header.expires_ms + GRACE_MS:
            self._record.left_out("outcomes")
        else:
            sentence = f"{code} neither has this expired notice, nor is it said that it did not fetch it"
            self._record.missing("outcomes", "no-outcome", sentence, leaf_at(header.leaf))

    def _latency(self, relayed: int, leaf: int | None) -> tuple[int, int] | None:
        return None if leaf is None else (self._times[leaf] - self._times[relayed], leaf)

    # The evidence trees that are listed.

    def _keep(
        self,
        envelope: bytes,
        header: Relayed,
        deliveries: Mapping[str, _Delivery],
        own: Sequence[Event],
        doubtful: Sequence[Event],
    ) -> None:
        notable = (
            bool(doubtful)
            or header.leaf in self._doubtful.notices
            or any(
                one.silent or one.late or one.state in (_S.DECLINED, _S.REJECTED, _S.UNDELIVERED)
                for one in deliveries.values()
            )
        )
        full = len(self._kept) >= self._listed
        self.left_out += full
        if full and (not self._kept or (notable, header.leaf) < self._kept[0][:2]):
            return
        entry = (notable, header.leaf, self._evidence(envelope, header, deliveries, own, doubtful))
        # Two notices never share a leaf, so the evidence itself is never compared.
        if full:
            heapq.heapreplace(self._kept, entry)
        else:
            heapq.heappush(self._kept, entry)

    def _evidence(
        self,
        envelope: bytes,
        header: Relayed,
        deliveries: Mapping[str, _Delivery],
        own: Sequence[Event],
        doubtful: Sequence[Event],
    ) -> NoticeEvidence:
        tag = header.severity
        return NoticeEvidence(
            envelope=envelope.hex(),
            leaf=header.leaf,
            relayed_ms=self._times[header.leaf],
            created_ms=header.created_ms,
            expires_ms=header.expires_ms,
            respond_by_ms=header.respond_by_ms,
            sender=header.sender,
            kind=Kind(header.kind).name.lower(),
            exercise=header.exercise,
            schema=tag.schema,
            version=tag.version,
            level=tag.level,
            point=tag.point,
            deliveries=tuple(
                DeliveryEvidence(
                    state=code,
                    outcome=one.state.value,
                    silent=one.silent,
                    late=one.late,
                    steps=tuple(self._step(event) for event in one.events),
                )
                for code, one in deliveries.items()
            ),
            by_sender=tuple(self._step(event) for event in own),
            doubtful=tuple(self._step(event) for event in doubtful),
            sender_doubtful=header.leaf in self._doubtful.notices,
        )

    def _step(self, event: Event) -> Step:
        bracket = self._clock.bracket(event.leaf)
        return Step(
            kind=event.kind.name,
            party=event.party,
            leaf=event.leaf,
            at_ms=self._times[event.leaf],
            said_ms=event.said_ms,
            not_before_ms=bracket.not_before_ms,
            not_after_ms=bracket.not_after_ms,
            code=event.code,
            officer=event.officer,
        )
