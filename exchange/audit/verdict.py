"""The result of an audit, as values: what was checked, what failed, and what could not be checked.

Every time is UTC in milliseconds, every hash lower-case hexadecimal, every leaf an index in the
acknowledgement log unless its name says otherwise. All text comes from the bundle or from the
verifier: whoever prints it makes it safe for where it is shown.

The same bundle gives the same verdict on every machine; how long it took is not part of it.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Grade(StrEnum):
    """How much a finding weighs."""

    FAILED = "failed"
    UNCHECKED = "unchecked"
    NOTE = "note"


class Outcome(StrEnum):
    """How one check, or the whole audit, ended."""

    OK = "ok"
    FAILED = "failed"
    NOT_CHECKED = "not-checked"


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that a person must know.

    Attributes:
        code: A stable name of the rule that was broken, such as ``leaf-mismatch``.
        severity: FAILED voids the verdict; UNCHECKED says that something could not be judged.
        sentence: What is wrong, for people.
        where: The place in the bundle, such as ``leaf 123`` or ``ack/statements/000``.
        next: What the auditor should do now.
        leaf: The leaf concerned, if it is one.
        more: How many further findings of this code were counted and not listed.
    """

    code: str
    severity: Grade
    sentence: str
    where: str
    next: str
    leaf: int | None = None
    more: int = 0


class Check(Struct, frozen=True, kw_only=True):
    """One rule, and how often it was applied.

    ``done`` objects were judged, ``failed`` of them broke the rule, and ``left_out`` could not be
    judged or were not part of the sample.
    """

    code: str
    sentence: str
    outcome: Outcome
    done: int
    failed: int
    left_out: int


class CommunityView(Struct, frozen=True):
    """Whose ledger it is: the pinned id, and the name that the newest root document gives."""

    id: str
    name: str


class CoordinatorView(Struct, frozen=True):
    """Who keeps the ledger."""

    code: str
    name: str


class RangeView(Struct, frozen=True, kw_only=True):
    """What the bundle covers.

    Attributes:
        leaves: Size of the acknowledgement log.
        documents: Size of the directory log.
        bodies: How many statements are present as whole bytes.
        bodies_from: The leaf from which every statement should be there.
        member: The member that exported only what concerns it; None for an auditor's export.
        first_ms: The recorded time of the first leaf whose statement is there.
        last_ms: That of the last leaf.
    """

    leaves: int
    documents: int
    bodies: int
    bodies_from: int
    member: str | None
    first_ms: int | None
    last_ms: int | None


class WitnessView(Struct, frozen=True):
    """One state that cosigned a checkpoint, and when, by its own clock."""

    state: str
    name: str
    cosigned_ms: int


class CheckpointView(Struct, frozen=True, kw_only=True):
    """The checkpoint to which everything is proven.

    ``quorum_ms`` is the time by which ``needed`` witnesses had cosigned it; None if they had not.
    """

    log: str
    origin: str
    size: int
    root: str
    signed_ms: int | None
    needed: int
    witnesses: tuple[WitnessView, ...]
    quorum_ms: int | None


class MilestoneView(Struct, frozen=True):
    """A checkpoint on the way that a quorum had cosigned by ``quorum_ms``: the ledger's clock."""

    size: int
    quorum_ms: int


class KeyEvent(Struct, frozen=True, kw_only=True):
    """One row of the history of keys.

    Attributes:
        document: The index of the deciding document in the directory log.
        leaf: The first leaf that is judged by it; None if no statement is.
        logged_ms: When the coordinator recorded the document.
        party: Whose key.
        role: What the key may do; ``log`` and ``witness`` are the keys of checkpoints.
        owner: Whom the document names.
        key_id: The key's id.
        event: ``added``, ``removed``, ``revoked``, ``compromised``; the last one since ``from_ms``.
        source: The deciding document in words, such as ``manifest 3``.
        from_ms, until_ms: The key's life, where it has one.
    """

    document: int
    leaf: int | None
    logged_ms: int
    party: str
    role: str
    owner: str
    key_id: str
    event: str
    source: str
    from_ms: int | None = None
    until_ms: int | None = None


class Figure(Struct, frozen=True):
    """A count, and the leaves it was counted from: the first ones, if there are many."""

    count: int
    leaves: tuple[int, ...] = ()


class Bucket(Struct, frozen=True):
    """How many latencies lie at or below ``up_to_ms`` and above the bucket before; None: the rest."""

    up_to_ms: int | None
    count: int


class Latency(Struct, frozen=True, kw_only=True):
    """A distribution of times between two leaves, by the coordinator's clock within witness brackets.

    ``slowest`` is the leaf of the longest one. The percentiles are exact: nearest rank.
    """

    count: int
    median_ms: int | None
    p90_ms: int | None
    max_ms: int | None
    slowest: int | None
    buckets: tuple[Bucket, ...]


class Tally(Struct, frozen=True, kw_only=True):
    """What became of deliveries. A delivery is one notice for one recipient.

    ``received`` to ``completed`` count what was ever said, so one delivery can count in several.
    ``silent``: a deadline passed unanswered by witness time, and nothing came since; ``late``: it
    was answered, but after a witnessed checkpoint later than the deadline; ``waiting``: neither
    answered nor proven past its deadline.
    """

    notices: Figure
    deliveries: Figure
    received: Figure
    opened: Figure
    accepted: Figure
    declined: Figure
    completed: Figure
    rejected: Figure
    undelivered: Figure
    silent: Figure
    late: Figure
    waiting: Figure


class StateFigures(Struct, frozen=True, kw_only=True):
    """One state: what it sent, and what it did with what was sent to it."""

    state: str
    name: str
    sent: Figure
    got: Tally
    to_received: Latency
    to_answer: Latency


class SeverityFigures(Struct, frozen=True, kw_only=True):
    """One level of one national schema; ``point`` is on the reference scale, None without one."""

    schema: str
    version: int
    level: str
    point: int | None
    tally: Tally
    to_received: Latency
    to_answer: Latency


class Statistics(Struct, frozen=True, kw_only=True):
    """Figures over everything whose statements are there."""

    total: Tally
    to_received: Latency
    to_answer: Latency
    states: tuple[StateFigures, ...]
    severities: tuple[SeverityFigures, ...]
    statements: tuple[tuple[str, int], ...]


class Step(Struct, frozen=True, kw_only=True):
    """One statement about a notice, with what proves its time.

    ``at_ms`` is the recorded time of its leaf, ``said_ms`` the signer's own. ``not_before_ms`` and
    ``not_after_ms`` are the times of the witnessed checkpoints before and after the leaf.
    """

    kind: str
    party: str
    leaf: int
    at_ms: int
    said_ms: int
    not_before_ms: int | None
    not_after_ms: int | None
    code: str | None = None
    officer: str | None = None


class DeliveryEvidence(Struct, frozen=True, kw_only=True):
    """What one recipient did with one notice, each step naming its leaf."""

    state: str
    outcome: str
    silent: bool
    late: bool
    steps: tuple[Step, ...]


class NoticeEvidence(Struct, frozen=True, kw_only=True):
    """The evidence tree of one notice. Nothing of its content: only what the sender signed openly.

    ``doubtful`` are statements by keys that governance confirms were compromised before a quorum had
    witnessed them; they count nowhere else. ``sender_doubtful`` says so of the notice itself.
    """

    envelope: str
    leaf: int
    relayed_ms: int
    created_ms: int
    expires_ms: int
    respond_by_ms: int | None
    sender: str
    kind: str
    exercise: bool
    schema: str
    version: int
    level: str
    point: int | None
    deliveries: tuple[DeliveryEvidence, ...]
    by_sender: tuple[Step, ...]
    doubtful: tuple[Step, ...] = ()
    sender_doubtful: bool = False


class SignaturesView(Struct, frozen=True, kw_only=True):
    """Which signatures were looked at: all, or a sample that the checkpoint's root chose.

    Checkpoints, documents and DIRECTORY statements are always verified, every one.
    """

    mode: str
    statements: int
    statements_checked: int
    notices: int
    notices_checked: int


class DisclosedView(Struct, frozen=True, kw_only=True):
    """One notice that a state opened for the auditor: who wrote exactly what, to whom.

    ``decryption_proofs`` names the leaves whose proof of decryption was compared, and matched.
    """

    envelope: str
    leaf: int | None
    sender: str
    recipients: tuple[str, ...]
    created_ms: int
    tlp: str
    language: str
    subject: str
    text: str
    attachments: tuple[tuple[str, str, int, str], ...]
    decryption_proofs: tuple[int, ...]


class Verdict(Struct, frozen=True, kw_only=True):
    """The whole result.

    ``sentence`` is the verdict in one line. ``notices`` is capped: ``notices_left_out`` says how
    many are not listed, though all are in the statistics. What could not be read is None or empty.
    """

    verdict: Outcome
    sentence: str
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    community: CommunityView
    coordinator: CoordinatorView | None
    range: RangeView | None
    checkpoint: CheckpointView | None
    directory_checkpoint: CheckpointView | None
    milestones: tuple[MilestoneView, ...]
    keys: tuple[KeyEvent, ...]
    signatures: SignaturesView | None
    statistics: Statistics | None
    notices: tuple[NoticeEvidence, ...]
    notices_left_out: int
    disclosed: tuple[DisclosedView, ...] = ()


class ReceiptVerdict(Struct, frozen=True, kw_only=True):
    """The result for one receipt: of one notice, who was told and who answered.

    ``steps`` carry no bracket: ``not_after_ms`` is when a quorum had cosigned a checkpoint over them.
    """

    verdict: Outcome
    sentence: str
    findings: tuple[Finding, ...]
    community: CommunityView
    coordinator: str | None = None
    envelope: str | None = None
    sender: str | None = None
    recipients: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
