"""Verdicts to draw reports from: made of plain values, the same every time, with no keys behind them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from exchange.audit.verdict import (
    Bucket,
    Check,
    CheckpointView,
    CommunityView,
    CoordinatorView,
    DeliveryEvidence,
    DisclosedView,
    Figure,
    Finding,
    Grade,
    KeyEvent,
    Latency,
    MilestoneView,
    NoticeEvidence,
    Outcome,
    RangeView,
    SeverityFigures,
    SignaturesView,
    StateFigures,
    Statistics,
    Step,
    Tally,
    Verdict,
    WitnessView,
)

START_MS = 1_767_603_600_000  # 2026-01-05 09:00:00 UTC
HOUR_MS = 3_600_000
STATES = {
    "XAA": "Republic of Aldoria",
    "XBB": "Federation of Borealia",
    "XCC": "Kingdom of Cordania",
    "XDD": "Commonwealth of Dorvale",
}
LEVELS = (("xaa-national", 1, "grave", 4), ("xbb-national", 2, "alto", 3), ("xcc-national", 1, "n1", 5))
BOUNDS_MS = (
    *(1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000),
    *(
        HOUR_MS,
        2 * HOUR_MS,
        4 * HOUR_MS,
        8 * HOUR_MS,
        24 * HOUR_MS,
        48 * HOUR_MS,
        72 * HOUR_MS,
        168 * HOUR_MS,
    ),
)
ANSWERS = ("accepted", "declined", "completed")


@dataclass
class Story:
    """The notices of a period, written leaf by leaf."""

    notices: int = 24
    seed: int = 7

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._leaf = 0

    def told(self) -> tuple[NoticeEvidence, ...]:
        return tuple(self._notice(number) for number in range(self.notices))

    def next_leaf(self) -> int:
        self._leaf += 1
        return self._leaf

    def _notice(self, number: int) -> NoticeEvidence:
        codes = list(STATES)
        sender = codes[number % len(codes)]
        schema, version, level, point = LEVELS[number % len(LEVELS)]
        relayed = START_MS + number * 13 * HOUR_MS + self._random.randrange(HOUR_MS)
        due = relayed + {5: HOUR_MS, 4: 4 * HOUR_MS, 3: 24 * HOUR_MS}[point]
        leaf = self.next_leaf()
        ways = tuple(self._way(code, relayed, due, number) for code in codes if code != sender)
        return NoticeEvidence(
            envelope=digest(f"notice {number}"),
            leaf=leaf,
            relayed_ms=relayed,
            created_ms=relayed - 850,
            expires_ms=relayed + 72 * HOUR_MS,
            respond_by_ms=due,
            sender=sender,
            kind=("report", "update", "request")[number % 3],
            exercise=number % 7 == 6,
            schema=schema,
            version=version,
            level=level,
            point=point,
            deliveries=ways,
            by_sender=(),
        )

    def _way(self, code: str, relayed: int, due: int, number: int) -> DeliveryEvidence:
        if code == "XDD" and number % 5 == 1:
            return DeliveryEvidence(state=code, outcome="relayed", silent=True, late=False, steps=())
        steps = [self._step("received", code, relayed + self._random.randrange(400, 9_000))]
        if code == "XCC" and number % 6 == 4:
            return DeliveryEvidence(
                state=code, outcome="received", silent=True, late=False, steps=tuple(steps)
            )
        opened = relayed + int(self._random.lognormvariate(0, 1.3) * 20 * 60_000)
        steps.append(self._step("opened", code, opened))
        answer = opened + self._random.randrange(20_000, 900_000)
        outcome = "declined" if self._random.random() < 0.2 else "accepted"
        reason = "not-affected" if outcome == "declined" else None
        steps.append(self._step(outcome, code, answer, reason))
        if outcome == "accepted" and self._random.random() < 0.4:
            outcome = "completed"
            steps.append(self._step(outcome, code, answer + self._random.randrange(HOUR_MS, 30 * HOUR_MS)))
        return DeliveryEvidence(
            state=code, outcome=outcome, silent=False, late=answer > due, steps=tuple(steps)
        )

    def _step(self, kind: str, party: str, at_ms: int, code: str | None = None) -> Step:
        return Step(
            kind=kind,
            party=party,
            leaf=self.next_leaf(),
            at_ms=at_ms,
            said_ms=at_ms - 120,
            not_before_ms=at_ms - 2_000,
            not_after_ms=at_ms + 4_000,
            code=code,
            officer=None if kind == "received" else f"officer-{party.lower()}-1",
        )


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def latency(values: Sequence[tuple[int, int]]) -> Latency:
    """Return the distribution of lengths of time, each with its leaf."""
    ordered = sorted(values)
    low, buckets = -1, []
    for bound in (*BOUNDS_MS, None):
        high = bound if bound is not None else 2**62
        buckets.append(Bucket(bound, sum(low < value <= high for value, _ in ordered)))
        low = high
    if not ordered:
        return Latency(
            count=0, median_ms=None, p90_ms=None, max_ms=None, slowest=None, buckets=tuple(buckets)
        )
    rank = len(ordered)
    return Latency(
        count=rank,
        median_ms=ordered[(rank + 1) // 2 - 1][0],
        p90_ms=ordered[-(-rank * 9 // 10) - 1][0],
        max_ms=ordered[-1][0],
        slowest=ordered[-1][1],
        buckets=tuple(buckets),
    )


Deliveries = Sequence[tuple[NoticeEvidence, DeliveryEvidence]]


def tally(deliveries: Deliveries) -> Tally:
    def said(*kinds: str) -> Figure:
        leaves = [step.leaf for _, way in deliveries for step in way.steps if step.kind in kinds]
        return Figure(len(leaves), tuple(leaves[:8]))

    def where(chosen: Sequence[tuple[NoticeEvidence, DeliveryEvidence]]) -> Figure:
        return Figure(len(chosen), tuple(notice.leaf for notice, _ in chosen[:8]))

    answered = [pair for pair in deliveries if pair[1].outcome in ANSWERS]
    notices = {notice.envelope: notice.leaf for notice, _ in deliveries}
    return Tally(
        notices=Figure(len(notices), tuple(notices.values())[:8]),
        deliveries=where(deliveries),
        received=said("received"),
        opened=said("opened"),
        accepted=said("accepted"),
        declined=said("declined"),
        completed=said("completed"),
        rejected=said("rejected"),
        undelivered=said("undelivered"),
        silent=where([pair for pair in deliveries if pair[1].silent]),
        late=where([pair for pair in deliveries if pair[1].late]),
        waiting=where([pair for pair in deliveries if pair not in answered and not pair[1].silent]),
    )


def first(deliveries: Deliveries, *kinds: str) -> Latency:
    """Return how long it took from each relay to the first statement of these kinds."""
    firsts = []
    for notice, way in deliveries:
        times = [(step.at_ms - notice.relayed_ms, step.leaf) for step in way.steps if step.kind in kinds]
        firsts += [min(times)] if times else []
    return latency(firsts)


def statistics(notices: Sequence[NoticeEvidence]) -> Statistics:
    every = [(notice, way) for notice in notices for way in notice.deliveries]
    levels = sorted({(one.schema, one.version, one.level, one.point) for one in notices}, key=str)
    kinds = [step.kind for _, way in every for step in way.steps]
    return Statistics(
        total=tally(every),
        to_received=first(every, "received"),
        to_answer=first(every, *ANSWERS),
        states=tuple(_state(code, notices, every) for code in STATES),
        severities=tuple(_level(level, every) for level in levels),
        statements=tuple((kind, kinds.count(kind)) for kind in sorted(set(kinds))),
    )


def _state(code: str, notices: Sequence[NoticeEvidence], every: Deliveries) -> StateFigures:
    mine = [pair for pair in every if pair[1].state == code]
    sent = [notice.leaf for notice in notices if notice.sender == code]
    return StateFigures(
        state=code,
        name=STATES[code],
        sent=Figure(len(sent), tuple(sent[:8])),
        got=tally(mine),
        to_received=first(mine, "received"),
        to_answer=first(mine, *ANSWERS),
    )


def _level(level: tuple[str, int, str, int | None], every: Deliveries) -> SeverityFigures:
    mine = [pair for pair in every if (pair[0].schema, pair[0].version, pair[0].level) == level[:3]]
    return SeverityFigures(
        schema=level[0],
        version=level[1],
        level=level[2],
        point=level[3],
        tally=tally(mine),
        to_received=first(mine, "received"),
        to_answer=first(mine, *ANSWERS),
    )


def checkpoint(log: str, size: int, at_ms: int, states: Sequence[str]) -> CheckpointView:
    seen = tuple(
        WitnessView(state, f"{state.lower()}.example/witness", at_ms + 1000 * place)
        for place, state in enumerate(states)
    )
    met = at_ms + 2000 if len(states) >= 3 else None
    return CheckpointView(
        log=log,
        origin=f"hub.example/almenara/{log}",
        size=size,
        root=digest(f"{log} {size}"),
        signed_ms=at_ms - 900,
        needed=3,
        witnesses=seen,
        quorum_ms=met,
    )


def key_events() -> tuple[KeyEvent, ...]:
    roles = ("identity", "node", "officer", "witness")
    events = [
        KeyEvent(
            document=2 + place,
            leaf=0,
            logged_ms=START_MS - HOUR_MS + place,
            party=code,
            role=role,
            owner=f"{role} of {code}",
            key_id=digest(f"{code} {role}"),
            event="added",
            source="manifest 1",
            from_ms=START_MS - HOUR_MS,
            until_ms=START_MS + 8760 * HOUR_MS,
        )
        for place, code in enumerate(STATES)
        for role in roles
    ]
    revoked = KeyEvent(
        document=7,
        leaf=41,
        logged_ms=START_MS + 60 * HOUR_MS,
        party="XBB",
        role="officer",
        owner="officer of XBB",
        key_id=digest("XBB officer"),
        event="revoked",
        source="manifest 2",
    )
    return (*events, revoked)


def good(notices: int = 24) -> Verdict:
    """Return the verdict on a bundle that holds."""
    told = Story(notices).told()
    leaves = 1 + max((step.leaf for one in told for way in one.deliveries for step in way.steps), default=1)
    end = max((one.relayed_ms for one in told), default=START_MS) + 30 * HOUR_MS
    sizes = [leaves * part // 12 for part in range(1, 13)]
    return Verdict(
        verdict=Outcome.OK,
        sentence=f"ok: {leaves} leaves",
        checks=(
            Check(
                code="leaves",
                sentence="Every leaf was recomputed.",
                outcome=Outcome.OK,
                done=leaves,
                failed=0,
                left_out=0,
            ),
            Check(
                code="signatures",
                sentence="Every statement was signed.",
                outcome=Outcome.OK,
                done=leaves,
                failed=0,
                left_out=0,
            ),
        ),
        findings=(),
        community=CommunityView(digest("community"), "Cordillera Exchange"),
        coordinator=CoordinatorView("XHB", "Cordillera hub"),
        range=RangeView(
            leaves=leaves,
            documents=8,
            bodies=leaves,
            bodies_from=0,
            member=None,
            first_ms=START_MS,
            last_ms=end,
        ),
        checkpoint=checkpoint("ack", leaves, end, ("XAA", "XBB", "XCC")),
        directory_checkpoint=checkpoint("dir", 8, end, ("XAA", "XBB", "XCC", "XDD")),
        milestones=tuple(
            MilestoneView(size, START_MS + (end - START_MS) * (place + 1) // 12)
            for place, size in enumerate(sizes)
        ),
        keys=key_events(),
        signatures=SignaturesView(
            mode="full",
            statements=leaves,
            statements_checked=leaves,
            notices=notices,
            notices_checked=notices,
        ),
        statistics=statistics(told),
        notices=told,
        notices_left_out=0,
    )


def findings() -> tuple[Finding, ...]:
    return (
        Finding(
            code="leaf-mismatch",
            severity=Grade.FAILED,
            sentence="the statement in the pack is not the one that the log holds at leaf 12",
            where="leaf 12, ack/statements/000",
            next="Ask the coordinator for this file again, and compare both with another export.",
            leaf=12,
        ),
        Finding(
            code="statement-missing",
            severity=Grade.UNCHECKED,
            sentence="the statement of leaf 30 is not in the bundle",
            where="leaf 30",
            next="Export the bundle again with an auditor's token.",
            leaf=30,
            more=4,
        ),
        Finding(
            code="late",
            severity=Grade.NOTE,
            sentence="the coordinator logged a statement later than it promised",
            where="leaf 9",
            next="Nothing to do.",
            leaf=9,
        ),
    )


def disclosed(notice: NoticeEvidence) -> DisclosedView:
    return DisclosedView(
        envelope=notice.envelope,
        leaf=notice.leaf,
        sender=notice.sender,
        recipients=tuple(way.state for way in notice.deliveries),
        created_ms=notice.created_ms,
        tlp="amber+strict",
        language="es",
        subject="Campaña de phishing contra registros civiles",
        text="Dominio: ejemplo.invalid\nSe observa desde las 04:00 UTC.",
        attachments=(("indicadores.json", "application/stix+json", 2048, digest("stix")),),
        decryption_proofs=(2, 3),
    )
