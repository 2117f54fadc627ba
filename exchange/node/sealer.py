"""The sealer: seals what was checked, and makes it durable in the order of its numbers.

Every envelope of this node, a notice's first and each further one, is numbered here for each of its
recipients. Envelope, deliveries, numbers and the place in the queue become durable in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import apsw

from exchange.node.choosing import Chosen
from exchange.node.context import NodeContext
from exchange.stores.node_notices import DeliveryRow
from exchange.stores.node_queue import enqueue
from exchange.stores.node_statements import Pairs, read_pairs, save_pair
from keys.sealing import PairPosition, SealedNotice, SealFor, seal
from keys.signer import Signer
from protocol import codec
from protocol.delivery import DeliveryState
from protocol.notice import Addressee, Body, Header
from protocol.urgency import relay_priority


@dataclass(frozen=True, slots=True)
class Draft:
    """A checked notice before it is sealed; ``chosen`` are the header's recipients, in order."""

    signer: Signer
    header: Header
    body: Body
    chosen: Mapping[str, Chosen]

    @property
    def priority(self) -> int:
        """Its place in the queue: 0 leaves first."""
        return relay_priority(self.header.severity.point)


class Sealer:
    """Seals and stores. One instance per node: it numbers the notices to each recipient."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._pairs: Pairs | None = None

    async def seal(
        self,
        make: Callable[[], Draft],
        store: Callable[[apsw.Connection, Draft, SealedNotice], None],
    ) -> tuple[Draft, SealedNotice]:
        """Seal a draft; it is durable and will be sent when this returns.

        Args:
            make: Makes the draft; called again if its numbers were overtaken.
            store: Stores everything about it but numbers and queue, in the same transaction; what it
                raises undoes that and is raised from here.
        """
        while True:
            pairs = await self._load_pairs()
            # From here to the write nothing waits, so writes keep the order in which notices are numbered.
            draft = make()
            recipients = tuple(
                SealFor(code, one.choice.prekey.public, _position(pairs, code))
                for code, one in draft.chosen.items()
            )
            sealed = seal(draft.header, draft.body, recipients, draft.signer)
            for entry in recipients:
                pairs[entry.state] = (entry.position.sequence, sealed.id)
            try:
                await self._context.engine.write(_Writing(draft, sealed, recipients, store))
            except _OutOfStep:
                # The notice numbered before this one was not stored: number it again.
                self._pairs = None
                continue
            except BaseException:
                # Failed, or cancelled with an outcome that nobody waits for: the store knows the numbers.
                self._pairs = None
                raise
            self._context.outgoing.ring()
            self._context.events.ring()
            return draft, sealed

    async def _load_pairs(self) -> Pairs:
        if self._pairs is None:
            # Through the writer, so that it comes after every notice numbered before.
            loaded = await self._context.engine.write(read_pairs)
            if self._pairs is None:
                self._pairs = loaded
        return self._pairs


def addressees(chosen: Mapping[str, Chosen]) -> tuple[Addressee, ...]:
    """Return a header's recipients."""
    return tuple(Addressee(state=code, prekey_id=one.key_id) for code, one in chosen.items())


def queued(chosen: Mapping[str, Chosen], at_ms: int) -> list[DeliveryRow]:
    """Return the deliveries of a sealed notice, as they begin."""
    return [
        DeliveryRow(code, DeliveryState.QUEUED, at_ms, None, one.choice.tail, one.key_id, one.signer)
        for code, one in chosen.items()
    ]


class _OutOfStep(Exception):
    """A notice whose number does not follow the last one stored; never leaves this module."""


@dataclass(frozen=True, slots=True)
class _Writing:
    """The one transaction of an envelope."""

    draft: Draft
    sealed: SealedNotice
    recipients: tuple[SealFor, ...]
    store: Callable[[apsw.Connection, Draft, SealedNotice], None]

    def __call__(self, db: apsw.Connection) -> None:
        name = self.sealed.id
        self.store(db, self.draft, self.sealed)
        stored = read_pairs(db)
        if any(entry.position != _position(stored, entry.state) for entry in self.recipients):
            raise _OutOfStep
        for entry in self.recipients:
            save_pair(db, entry.state, entry.position.sequence, name)
        enqueue(db, "submit", self.draft.priority, name, codec.encode(self.sealed.submission))


def _position(pairs: Pairs, state: str) -> PairPosition:
    sequence, previous = pairs.last(state)
    return PairPosition(sequence=sequence + 1, previous=previous)
