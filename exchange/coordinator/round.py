"""One round of the relay: what will be stored together, and who is answered for which entry."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TypeAlias

from exchange.coordinator.admission import UnverifiedStatement
from exchange.coordinator.waiting import Answer, Brought
from exchange.stores.contract import Known, MailPlace, NewEnvelope, NewStatement, Uncollected
from keys.authenticity import UnverifiedSubmission, VerifiedSubmission
from keys.evidence import Draft, Saying
from protocol.errors import PeerCode
from protocol.session.messages import Accepted
from protocol.statement import StatementKind


@dataclass(slots=True)
class Ticket:
    """One request on its way through a round."""

    brought: Brought
    read: UnverifiedSubmission | UnverifiedStatement

    @property
    def id(self) -> bytes:
        """The id of the envelope or statement that was brought."""
        return self.read.id if isinstance(self.read, UnverifiedStatement) else self.read.sealed.id


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
    """

    entries: list[NewStatement | Own] = field(default_factory=list)
    waiting: dict[bytes, list[Ticket]] = field(default_factory=dict)
    repeats: list[tuple[Ticket, Answer]] = field(default_factory=list)

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

    def add(self, ticket: Ticket, entry: NewStatement | VerifiedSubmission) -> None:
        """Add what a request brought."""
        self.entries.append(entry)
        self.waiting[ticket.id] = [ticket]

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
    )
