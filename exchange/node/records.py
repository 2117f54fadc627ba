"""What one round of the inbox found out: one record for each kind of thing."""

from __future__ import annotations

from dataclasses import dataclass, field

from exchange.node.summary import LockedContent
from keys.evidence import Saying
from keys.sealing import PairPosition
from protocol.errors import AlmenaraError
from protocol.notice import Header
from protocol.session.messages import ItemKind
from protocol.statement import Statement


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
