"""One round of the relay: what will be stored together, and who is answered for which entry."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TypeAlias

from exchange.coordinator.admission import UnverifiedStatement, is_urgent
from exchange.coordinator.waiting import Answer, Brought
from exchange.stores.contract import Known, MailPlace, NewEnvelope, NewStatement, Uncollected
from keys.authenticity import UnverifiedSubmission, VerifiedSubmission
from keys.evidence import Draft, Saying
from protocol.errors import PeerCode
from protocol.session.messages import Accepted
from protocol.statement import StatementKind

ROUND_ITEMS = 255
"""With the announcement that may come before them, as many as one signature covers."""

ROUND_BYTES = 8 * 1024 * 1024

PARTY_ITEMS = 32
"""So many entries of one round are of one party: whoever brings one thing waits for two rounds."""


@dataclass(slots=True)
class Ticket:
    """One request on its way through a round.

    Attributes:
        brought: The request.
        read: What it brings, parsed.
        is_urgent: Whether it goes before what is not.
        party: The state whose request it is.
        size: How many bytes were brought.
        id: The id of the envelope or statement that was brought.
        envelope: The id of the envelope that was brought, or of which the statement speaks.
    """

    brought: Brought
    read: UnverifiedSubmission | UnverifiedStatement
    is_urgent: bool = False
    party: str = field(init=False)
    size: int = field(init=False)
    id: bytes = field(init=False)
    envelope: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.party, self.size = self.brought.party, len(self.brought.data)
        if isinstance(self.read, UnverifiedStatement):
            self.id, self.envelope = self.read.id, self.read.statement.envelope
        else:
            self.id = self.envelope = self.read.sealed.id


@dataclass(slots=True)
class Expiry:
    """One UNDELIVERED statement that somebody waits for."""

    what: Uncollected
    done: asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class Announcement:
    """A DIRECTORY statement, before everything else of its round."""

    saying: Saying


Own: TypeAlias = VerifiedSubmission | Expiry | Announcement
"""What the coordinator itself says something about."""


@dataclass(slots=True)
class Round:
    """What will be stored together, and who is answered for which entry.

    ``waiting[id]`` are the tickets that entry ``id`` answers: the same thing may be brought twice.
    ``repeats`` are answers that may be given as soon as what they tell is durable.

    Attributes:
        judged_by: By how many documents the entries were judged; -1 if not all by the same.
        size: How many bytes were brought for them.
        spoken: How many statements each party makes about each envelope here.
        brought: How many entries each party has here.
    """

    entries: list[NewStatement | Own] = field(default_factory=list)
    waiting: dict[bytes, list[Ticket]] = field(default_factory=dict)
    repeats: list[tuple[Ticket, Answer]] = field(default_factory=list)
    judged_by: int | None = None
    size: int = 0
    spoken: Counter[tuple[str, bytes]] = field(default_factory=Counter)
    brought: Counter[str] = field(default_factory=Counter)

    @property
    def room(self) -> int:
        """How many further entries it takes."""
        return ROUND_ITEMS - len(self.entries) if self.size < ROUND_BYTES else 0

    def room_of(self, party: str) -> int:
        """How many further entries of one party it takes: a flood must not fill it."""
        return PARTY_ITEMS - self.brought[party]

    @property
    def tickets(self) -> list[Ticket]:
        """Those that wait for an entry."""
        return [ticket for tickets in self.waiting.values() for ticket in tickets]

    @property
    def expiries(self) -> list[Expiry]:
        """The items that expired."""
        return [entry for entry in self.entries if isinstance(entry, Expiry)]

    def join(self, ticket: Ticket) -> bool:
        """Wait for the entry of the same id, if this round has one already."""
        others = self.waiting.get(ticket.id)
        if others is not None:
            others.append(ticket)
        return others is not None

    def add(self, ticket: Ticket, entry: NewStatement | VerifiedSubmission, judged_by: int) -> None:
        """Add what a request brought, judged by so many documents."""
        self.entries.append(entry)
        self.waiting[ticket.id] = [ticket]
        self.size += ticket.size
        self.brought[ticket.party] += 1
        if isinstance(entry, NewStatement):
            self.spoken[entry.party, entry.envelope] += 1
        self._judged(judged_by)

    def expire(self, expiry: Expiry, judged_by: int) -> None:
        """Add an item that expired."""
        self.entries.append(expiry)
        self._judged(judged_by)

    def begin_again(self) -> tuple[list[Ticket], list[Expiry]]:
        """Empty the round, and return who waited for its entries, and what had expired."""
        tickets, expiries = self.tickets, self.expiries
        self.entries, self.waiting, self.judged_by, self.size = [], {}, None, 0
        self.spoken.clear()
        self.brought.clear()
        return tickets, expiries

    def _judged(self, documents: int) -> None:
        self.judged_by = documents if self.judged_by in (None, documents) else -1

    def leave_out_known(self, known: Known) -> None:
        """Take out what is stored already; those who wait for it will be answered as for any repeat."""
        stored: set[bytes] = set()
        for ticket in self.tickets:
            answer = answer_known(ticket, known)
            if answer is not None:
                stored.add(ticket.id)
                self.repeats.append((ticket, answer))
        self.entries = [
            entry
            for entry in self.entries
            if isinstance(entry, Expiry | Announcement) or entry.id not in stored
        ]
        for name in stored:
            del self.waiting[name]

    def leave_out_declared(self, declared: Collection[MailPlace]) -> None:
        """Take out the items about which it was said already that they expired."""
        for expiry in self.expiries:
            if expiry.what.place in declared:
                self.entries.remove(expiry)
                if not expiry.done.done():
                    expiry.done.set_result(None)

    def answer_repeats(self) -> None:
        """Answer those whose request was stored before: that is durable now."""
        for ticket, answer in self.repeats:
            ticket.brought.reply(answer)
        self.repeats.clear()


def answer_known(ticket: Ticket, known: Known) -> Answer | None:
    """Return the answer that an id stored earlier gets again, or None if it is new."""
    ref = ticket.brought.request.ref
    if isinstance(ticket.read, UnverifiedStatement):
        index = known.statements.get(ticket.id)
        return None if index is None else Accepted(ref=ref, index=index, statement=None)
    stored = known.envelopes.get(ticket.id)
    return None if stored is None else Accepted(ref=ref, index=stored.index, statement=stored.relayed)


def saying(entry: Own) -> Saying:
    """Return what the coordinator says of an envelope it relays, or could not deliver, or of documents."""
    if isinstance(entry, Announcement):
        return entry.saying
    if isinstance(entry, Expiry):
        return Saying(
            kind=StatementKind.UNDELIVERED,
            envelope=entry.what.envelope,
            about=entry.what.place.recipient,
            code=PeerCode.EXPIRED.value,
        )
    return Saying(kind=StatementKind.RELAYED, envelope=entry.id)


def promised(entry: Own, draft: Draft, data: bytes, party: str, now_ms: int) -> NewEnvelope | NewStatement:
    """Return what is stored for an envelope to relay, an item that expired, or new documents.

    Args:
        entry: The envelope, item or announcement.
        draft: The coordinator's statement about it.
        data: That statement, signed.
        party: The coordinator's code.
        now_ms: The time of receipt, milliseconds UTC.
    """
    said = saying(entry)
    expiry = entry.what if isinstance(entry, Expiry) else None
    statement = NewStatement(
        id=draft.statement_id,
        envelope=said.envelope,
        party=party,
        kind=said.kind,
        at_ms=now_ms,
        received_ms=now_ms,
        data=data,
        mail_to=(expiry.sender,) if expiry else (),
        expired=expiry.place if expiry else None,
    )
    if not isinstance(entry, VerifiedSubmission):
        return statement
    return NewEnvelope(
        id=entry.id,
        sender=entry.header.sender,
        recipients=tuple(addressee.state for addressee in entry.header.recipients),
        created_ms=entry.header.created_ms,
        expires_ms=entry.header.expires_ms,
        received_ms=now_ms,
        submission=entry.submission,
        relayed=statement,
        is_urgent=is_urgent(entry.header),
    )
