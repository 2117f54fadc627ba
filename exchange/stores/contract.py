"""What the coordinator may ask of its store, and what is durable when each call returns.

The store is an append-only mailbox per recipient with a cursor, not a queue of rows: a place in a
mailbox is taken inside the transaction that accepts the item, so the order of places is the order
of commits, and no reader can ever skip one. One contract, whatever the engine below, and whether one
process has the store or several share it.

Rows of the ledger are added in a :class:`Turn`, which one process has at a time: every statement gets
its index there, without gaps, in the order of the ledger's leaves; so does every document. What is
signed over them is the business of :mod:`exchange.stores.ledger_contract`; what the processes of one
coordinator share besides, of :mod:`exchange.stores.sharing_contract`.

**What a read returns is durable**, unless it says otherwise: no later failure, not even the loss of the
machine that answered, takes it back. So it may be told, pushed, and signed for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, TypeAlias

from protocol.envelope import Submission
from protocol.errors import PeerCode
from protocol.session.messages import ItemKind
from protocol.statement import StatementKind


@dataclass(frozen=True, slots=True)
class MailPlace:
    """One place in one recipient's mailbox."""

    recipient: str
    sequence: int


@dataclass(frozen=True, slots=True)
class NewStatement:
    """A verified statement to record.

    Attributes:
        id: Hash of the statement's body.
        envelope: Id of the envelope it speaks of.
        party: Whose statement it is.
        kind: What it says.
        at_ms: The signer's time.
        received_ms: The coordinator's time.
        data: The signed statement, byte for byte.
        mail_to: Whose mailboxes get it.
        expired: The mailbox item that an UNDELIVERED statement is about, or None.
    """

    id: bytes
    envelope: bytes
    party: str
    kind: StatementKind
    at_ms: int
    received_ms: int
    data: bytes
    mail_to: tuple[str, ...]
    expired: MailPlace | None = None


@dataclass(frozen=True, slots=True)
class NewEnvelope:
    """A verified envelope to store once and to mail to each recipient, with the promise to do so.

    ``recipients`` stand in the order of the wraps. ``is_urgent`` is not stored.
    """

    id: bytes
    sender: str
    recipients: tuple[str, ...]
    created_ms: int
    expires_ms: int
    received_ms: int
    submission: Submission
    relayed: NewStatement
    is_urgent: bool = False


Entry: TypeAlias = NewEnvelope | NewStatement


@dataclass(frozen=True, slots=True)
class ChainHead:
    """Sequence and id of the last statement of one key."""

    key_id: bytes
    sequence: int
    previous: bytes


@dataclass(frozen=True, slots=True)
class StoredEnvelope:
    """What is known of an envelope without its sealed parts, with its RELAYED statement.

    ``spoken`` says how many statements each party has made about it.
    """

    id: bytes
    sender: str
    recipients: tuple[str, ...]
    expires_ms: int
    index: int
    relayed: bytes
    spoken: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Known:
    """Those of the ids asked about that are stored: envelopes by id, statements' indexes by id."""

    envelopes: Mapping[bytes, StoredEnvelope]
    statements: Mapping[bytes, int]


@dataclass(frozen=True, slots=True)
class MailItem:
    """One item of a mailbox, ready to be sent."""

    sequence: int
    kind: ItemKind
    content: bytes


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a mailbox goes, and how far its owner has dealt with it."""

    head: int
    collected: int


@dataclass(frozen=True, slots=True)
class Uncollected:
    """An envelope that expired before a recipient collected it."""

    place: MailPlace
    envelope: bytes
    sender: str


@dataclass(frozen=True, slots=True)
class Reported:
    """A recipient's report that an item could not be used."""

    place: MailPlace
    code: PeerCode
    at_ms: int


CONTENT_GRACE_MS = 86_400_000
"""Content is kept for so long after it has expired: what was read of it just before is still under way."""

UNFENCED: Mapping[str, int] = MappingProxyType({})


class Turn(Protocol):
    """The right to add to the ledger, while no other process can; from :meth:`CoordinatorStore.turn`.

    It writes once, and is over then. What it reads is as new as the turn itself, and durable once a write
    of the turn has returned.
    """

    @property
    def statements(self) -> int:
        """How many statements there are: the index of the next. Counts those that this turn has written."""
        ...

    @property
    def documents(self) -> int:
        """How many documents there are: the index of the next. Counts those that this turn has written."""
        ...

    async def known(self, envelopes: Collection[bytes], statements: Collection[bytes]) -> Known:
        """Return which of these ids are stored."""
        ...

    async def chain(self, key_id: bytes) -> ChainHead:
        """Return the last statement of a key, or sequence 0 and 32 zero bytes."""
        ...

    async def declared(self, places: Collection[MailPlace]) -> frozenset[MailPlace]:
        """Return those of the places that an UNDELIVERED statement was made about already."""
        ...

    async def commit(self, entries: Sequence[Entry], chain: ChainHead | None) -> tuple[int, ...]:
        """Record envelopes and statements in this order, all or none, and return their indexes.

        Durable when this returns: each envelope once; one place in the mailbox of each of its
        recipients; each statement with its index (for an envelope, that of its RELAYED statement)
        and its places in mailboxes; the head of the coordinator's own chain, if one is given.
        No entry may be stored already.

        Raises:
            StoreFailed: nothing was written; also if this process was stopped for so long that it lost
                the turn.
            OutcomeUnknown: all of it is there, or none.
        """
        ...

    @property
    def mailed(self) -> Sequence[MailPlace]:
        """The places that the commit has filled, for each entry those of its recipients, in their order.

        Empty where the store does not tell: then they are found by reading.
        """
        ...

    async def append_documents(self, documents: Sequence[bytes], now_ms: int) -> tuple[int, ...]:
        """Append signed documents in order and return their indexes; durable on return.

        One whose body is there already keeps its index, and the copy that came first.
        """
        ...


class CoordinatorStore(Protocol):
    """The coordinator's memory. Every method may raise StoreFailed, and then nothing was written.

    Methods that write may also raise OutcomeUnknown: it may be there or not. Whoever asks afterwards is
    told what is there, and that is durable.
    """

    def turn(self) -> AbstractAsyncContextManager[Turn]:
        """Wait for the turn, and have it until the block ends; without a write nothing happened.

        A turn is for looking, signing and writing: a second at most. Whoever keeps it loses it.

        Raises:
            StoreFailed: it could not be had within some seconds.
        """
        ...

    async def commit(self, entries: Sequence[Entry], chain: ChainHead | None) -> tuple[int, ...]:
        """Record entries in a turn of their own; see :meth:`Turn.commit`."""
        ...

    async def known(self, envelopes: Collection[bytes], statements: Collection[bytes]) -> Known:
        """Return which of these ids are stored."""
        ...

    async def chain(self, key_id: bytes) -> ChainHead:
        """Return the last statement of a key, or sequence 0 and 32 zero bytes."""
        ...

    async def statements(self, first: int, limit: int) -> tuple[bytes, ...]:
        """Return at most ``limit`` signed statements from index ``first`` on."""
        ...

    async def cursor(self, recipient: str) -> Cursor:
        """Return a mailbox's cursor; a mailbox without items has head 0."""
        ...

    async def mail(self, recipient: str, after: int, *, limit: int, max_bytes: int) -> tuple[MailItem, ...]:
        """Return the items that follow ``after`` in order.

        At most ``limit`` items; no further one is added once they have ``max_bytes`` bytes.
        """
        ...

    async def collect(
        self,
        cursors: Mapping[str, int],
        reports: Sequence[Reported],
        epochs: Mapping[str, int] = UNFENCED,
    ) -> frozenset[str]:
        """Advance cursors, never back and never past the head, and record reports; durable on return.

        Losing this call only delivers again.

        Args:
            cursors: Up to where each recipient has dealt with its items.
            reports: What could not be used.
            epochs: The epochs of the recipients' sessions, see
                :class:`~exchange.stores.sharing_contract.Sharing`. Of a recipient that has a session of
                another epoch by now, nothing is written.

        Returns:
            The recipients that were left out for that.
        """
        ...

    async def expired(self, now_ms: int, *, limit: int) -> tuple[Uncollected, ...]:
        """Return places of expired envelopes that were not collected, and not yet recorded as such.

        So is what was collected as unusable: its sender would otherwise never hear of it.
        Left out is also what a recipient has made a statement about: it has it, whatever its cursor says.
        Not durable by itself: what is said about it is, and :meth:`Turn.declared` tells who was first.
        """
        ...

    async def discard_content(self, now_ms: int) -> int:
        """Let go of content that nobody will be sent any more; return how many pieces of it that were.

        Content is what is sealed: payloads and wraps. It goes a day after its envelope has expired, if every
        recipient has collected it, spoken of it, or was declared not to have. Its manifest, proof and
        statements stay for ever; :meth:`mail` passes its places over. A piece is what the engine lets go of
        at once, and one call lets go of a few: call again until there are none.
        """
        ...

    async def append_documents(self, documents: Sequence[bytes], now_ms: int) -> tuple[int, ...]:
        """Append signed documents in a turn of their own; see :meth:`Turn.append_documents`."""
        ...

    async def documents(self, first: int, *, limit: int, max_bytes: int) -> tuple[bytes, ...]:
        """Return documents from index ``first`` on, bounded as :meth:`mail`."""
        ...

    async def document_index(self, document: bytes) -> int | None:
        """Return the index of the document whose body has this hash, or None."""
        ...

    async def document_count(self) -> int:
        """Return how many documents there are."""
        ...

    async def settled(self) -> None:
        """Return once everything that was there to be read before this call is durable.

        Raises:
            StoreFailed, OutcomeUnknown: it may not be: tell nobody, and ask again.
        """
        ...

    async def prove_writable(self, now_ms: int) -> None:
        """Write one small row; durable on return."""
        ...

    async def close(self) -> None:
        """Finish what was begun, then close."""
        ...
