"""What the node shows: frozen values that become JSON on the local interface, field by field.

Times are milliseconds UTC, ids are lower-case hexadecimal. The CLI, scripts and the console
read these and nothing else.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every value shown; encoded as a JSON object."""


class SeverityView(View, frozen=True, kw_only=True):
    """A sender's level in its own words, and what the reader's schema would call it.

    ``local`` and ``local_candidates`` are empty where no translation exists; ``note`` then says
    why. A translation is advice: the sender's level stands.
    """

    reference: str
    name: str
    schema_title: str
    point: int | None
    local: str | None
    local_name: str | None
    local_candidates: tuple[str, ...]
    note: str


class WaitingView(View, frozen=True, kw_only=True):
    """One recipient for whom a notice must still be sealed: since when, why, and whose turn it is."""

    state: str
    since_ms: int
    code: str
    reason: str
    owner: str
    next: str


class AttemptView(View, frozen=True, kw_only=True):
    """One envelope of a notice, as far as it concerns one recipient."""

    envelope: str
    sealed_ms: int
    state: str
    since_ms: int
    code: str | None


class DeliveryView(View, frozen=True, kw_only=True):
    """One recipient of one notice: its state now, and when each state was reached.

    ``waiting`` says why it waits for a key, if it does. ``attempts`` are the envelopes of a notice that
    was sealed for it more than once, or late, the oldest first; otherwise there are none.

    ``evidence`` says of each state how far it is proved: ``witnessed, leaf 12``; ``pending witness``,
    while it is in the ledger and too few witnesses have cosigned; ``promised``, while the coordinator
    has recorded it; ``not handed over``, while it waits here.
    """

    recipient: str
    state: str
    since_ms: int
    reached_ms: dict[str, int]
    code: str | None
    officer: str | None
    note: str | None
    reduced_forward_secrecy: bool
    evidence: dict[str, str] = msgspec.field(default_factory=dict)
    waiting: WaitingView | None = None
    attempts: tuple[AttemptView, ...] = ()


class NoticeView(View, frozen=True, kw_only=True):
    """A notice without its content: what lists show."""

    id: str
    direction: Literal["sent", "received"]
    kind: str
    exercise: bool
    sender: str
    recipients: tuple[str, ...]
    incident: str
    refers_to: str | None
    subject: str
    tlp: str
    severity: SeverityView
    created_ms: int
    received_ms: int | None
    expires_ms: int
    respond_by_ms: int | None
    state: str
    unread: bool
    attachments: int


class AttachmentView(View, frozen=True, kw_only=True):
    """A file inside a notice; content is base64 text."""

    name: str
    media_type: str
    bytes: int
    sha256: str
    content: str | None


class ContentView(View, frozen=True, kw_only=True):
    """A notice with its content, as opened."""

    notice: NoticeView
    language: str
    text: str
    attachments: tuple[AttachmentView, ...]
    signed_by: str
    opened_by: str | None
    deliveries: tuple[DeliveryView, ...]


class SkippedView(View, frozen=True, kw_only=True):
    """A recipient that was left out of a visibly partial notice, and why."""

    state: str
    code: str
    reason: str


class SubmittedView(View, frozen=True, kw_only=True):
    """A notice that this node has accepted: it is durable here and will be sent.

    Those in ``waiting`` are recipients who get it by themselves once they have a key.
    """

    id: str
    incident: str
    request_id: str
    exists: bool
    recipients: tuple[str, ...]
    skipped: tuple[SkippedView, ...]
    reduced_forward_secrecy: tuple[str, ...]
    severity: SeverityView
    respond_by_ms: int | None
    state: str
    waiting: tuple[WaitingView, ...] = ()


class AnswerView(View, frozen=True, kw_only=True):
    """An officer's signed answer; ``recorded`` once the coordinator holds it durably."""

    id: str
    statement: str
    kind: str
    officer: str
    at_ms: int
    recorded: bool


class StatusView(View, frozen=True, kw_only=True):
    """A sent notice with every delivery."""

    notice: NoticeView
    deliveries: tuple[DeliveryView, ...]


class MemberView(View, frozen=True, kw_only=True):
    """One member of the community, and whether a notice could be sealed for it now."""

    code: str
    name: str
    status: str
    usable_key: bool
    key_note: str
    key_until_ms: int | None
    schemas: tuple[str, ...]


class LevelView(View, frozen=True, kw_only=True):
    """One level of a schema, most severe first in lists."""

    code: str
    rank: int
    names: dict[str, str]
    definition: dict[str, str]
    point: int | None
    low: int | None
    high: int | None


class SchemaView(View, frozen=True, kw_only=True):
    """A severity schema that this node knows, and where it comes from."""

    reference: str
    issuer: str
    title: dict[str, str]
    status: str
    published_by_state: bool
    provenance: str
    source: str
    levels: tuple[LevelView, ...]


class TranslationView(View, frozen=True, kw_only=True):
    """One level in another schema's words, or the plain statement that there is no translation."""

    source: str
    target: str
    level: str | None
    candidates: tuple[str, ...]
    note: str


class AlarmView(View, frozen=True, kw_only=True):
    """Something a person must know: what, since when, and what to do."""

    code: str
    message: str
    next: str
    since_ms: int


class AddressView(View, frozen=True, kw_only=True):
    """An address of the coordinator that did not serve when it was tried last, and why."""

    address: str
    error: str
    at_ms: int


class NodeView(View, frozen=True, kw_only=True):
    """The node itself: link, queue, directory and alarms; ``notes`` say what of others ends soon.

    ``address`` is where the session is, or was tried last; ``silent`` are addresses that failed since.
    """

    state: str
    version: str
    coordinator: str
    connected: bool
    connected_since_ms: int | None
    last_error: str | None
    queued: int
    inbox_unread: int
    directory_version: int
    clock_skew_ms: int | None
    alarms: tuple[AlarmView, ...]
    waiting_for_keys: int = 0
    notes: tuple[str, ...] = ()
    address: str = ""
    silent: tuple[AddressView, ...] = ()


class PendingView(View, frozen=True, kw_only=True):
    """A statement that this node has and cannot prove yet."""

    kind: str
    party: str
    at_ms: int
    evidence: str


class ProofView(View, frozen=True, kw_only=True):
    """A receipt as a text file, how many statements it proves, and those it does not hold yet.

    A receipt is of one envelope: ``id`` is the one that was asked for, ``others`` those that carry the
    same notice, each with a receipt of its own.
    """

    id: str
    receipt: str
    statements: int
    pending: tuple[PendingView, ...]
    others: tuple[str, ...] = ()


class DisclosureView(View, frozen=True, kw_only=True):
    """A notice with the key that opens it, as a file in base64: as secret as the notice itself."""

    id: str
    disclosure: str


class WitnessView(View, frozen=True, kw_only=True):
    """One witness: when it cosigned the newest witnessed checkpoint, or None if it did not."""

    state: str
    cosigned_ms: int | None


class LogView(View, frozen=True, kw_only=True):
    """One of the coordinator's two logs, as this node has verified it.

    ``size`` and ``root`` are of the newest checkpoint that the log signed; ``witnessed_size`` and
    ``witnessed_ms`` of the newest one that a quorum cosigned.
    """

    log: str
    origin: str
    size: int
    root: str
    witnessed_size: int | None
    witnessed_ms: int | None
    cosigned_here: int
    needed: int
    witnesses: tuple[WitnessView, ...]


class LedgerView(View, frozen=True, kw_only=True):
    """The ledger as this node sees it.

    ``promised`` statements are recorded and not yet in it, ``unwitnessed`` ones are in it and not yet
    cosigned. The merge delay is from recorded to in the ledger, of the last statements.
    """

    coordinator: str
    connected: bool
    now_ms: int
    logs: tuple[LogView, ...]
    promised: int
    unwitnessed: int
    merge_delay_ms: int | None
    worst_merge_delay_ms: int | None
    evidence: tuple[str, ...]
    alarms: tuple[AlarmView, ...]


class EventView(View, frozen=True, kw_only=True):
    """One line of the event stream; numbers rise by time and never repeat."""

    number: int
    at_ms: int
    event: str
    id: str | None
    state: str | None
    code: str | None
    detail: str
