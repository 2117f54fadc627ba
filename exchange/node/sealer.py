"""The sealer: seals what was checked, and makes it durable in the order of its numbers.

Every envelope of this node, a notice's first and each further one, is numbered here for each of its
recipients. What waits is sealed in rounds: one signature and one transaction for all of a round, and
while that is written the next round is sealed. A notice that comes alone is a round of its own, at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import apsw

from exchange.node.choosing import Chosen
from exchange.node.company import Company
from exchange.node.context import NodeContext
from exchange.node.sealing_round import OutOfStep, Writing, position, write_round
from exchange.stores.node_notices import DeliveryRow, NewNotice
from exchange.stores.node_statements import Pairs, read_pairs
from exchange.stores.writer import deliverable
from keys.sealing import SealedNotice, SealFor, Sealing, Unsigned, sign_sealed
from keys.signer import Signer
from protocol.delivery import DeliveryState
from protocol.notice import Addressee, Body, Header
from protocol.signed import MAX_BATCH
from protocol.urgency import relay_priority

WRAPS_AT_ONCE = 8
"""A wrap holds the interpreter for a tenth of a millisecond: after so many, the loop has its turn."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A checked notice before it is sealed; ``chosen`` are the header's recipients, in order."""

    header: Header
    body: Body
    chosen: Mapping[str, Chosen]

    @property
    def priority(self) -> int:
        """Its place in the queue: 0 leaves first."""
        return relay_priority(self.header.severity.point)


Make = Callable[[Signer], Draft]
Store = Callable[[apsw.Connection, Draft, SealedNotice], None]
Rows = Callable[[Draft, SealedNotice], NewNotice]


@dataclass(slots=True, eq=False)
class _Asked:
    """One caller, and what it waits for."""

    make: Make
    store: Store
    rows: Rows | None
    done: asyncio.Future[tuple[Draft, SealedNotice]]


@dataclass(frozen=True, slots=True)
class _Sealed:
    """One envelope of a round, before it is signed."""

    asked: _Asked
    draft: Draft
    recipients: tuple[SealFor, ...]
    unsigned: Unsigned


@dataclass(frozen=True, slots=True)
class _Signed:
    """One envelope of a round, ready to be stored."""

    of: _Sealed
    sealed: SealedNotice

    def writing(self) -> Writing:
        """Return what is to be stored."""
        of, sealed, rows = self.of, self.sealed, self.of.asked.rows
        return Writing(
            sealed,
            of.recipients,
            of.draft.priority,
            lambda db: of.asked.store(db, of.draft, sealed),
            None if rows is None else lambda: rows(of.draft, sealed),
        )


class Sealer:
    """Seals and stores. One instance per node: it numbers the notices to each recipient."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._pairs: Pairs | None = None
        self._waiting: deque[_Asked] = deque()
        self._company = Company()
        self._working: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None

    async def seal(self, make: Make, store: Store, rows: Rows | None = None) -> tuple[Draft, SealedNotice]:
        """Seal a draft; it is durable and will be sent when this returns.

        Args:
            make: Makes the draft for the key of its round; called again if its numbers were overtaken.
            store: Stores everything about it but numbers and queue, in the same transaction; what it
                raises undoes that and is raised from here.
            rows: Returns what that stores, if it is only rows, so that a round can be stored at once.
        """
        asked = _Asked(make, store, rows, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        self._begin()
        return await asked.done

    def _begin(self) -> None:
        if self._working is None:
            # A task of its own: whoever stops waiting for one notice stops no other of its round.
            self._working = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        """Seal round after round until nothing waits; one is sealed while the one before is written."""
        try:
            while self._waiting:
                await self._company.gather(len(self._waiting))
                taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]
                self._company.had(len(taken))
                try:
                    signed = await self._seal_round(taken)
                except Exception as error:
                    self._fail(taken, error)
                    continue
                except BaseException as end:
                    self._fail(taken, end)
                    raise
                if self._writing is not None:
                    await self._writing
                self._writing = asyncio.get_running_loop().create_task(self._write(signed))
        finally:
            self._working = None

    async def _seal_round(self, taken: Sequence[_Asked]) -> list[_Signed]:
        """Number and seal what was taken, in order; what cannot be sealed is told of by itself."""
        # One key for the whole round, whatever the time is when it is written.
        signer = self._context.signer
        pairs, breath = await self._load_pairs(), _Breath()
        round_: list[_Sealed] = []
        for asked in taken:
            if asked.done.done():
                continue
            try:
                round_.append(await _seal_one(asked, signer, pairs, breath))
            except Exception as error:
                self._fail([asked], error)
        return await self._sign(signer, round_)

    async def _load_pairs(self) -> Pairs:
        if self._pairs is None:
            # Through the writer, so that it comes after every notice numbered before.
            self._pairs = await self._context.engine.write(read_pairs)
        return self._pairs

    async def _sign(self, signer: Signer, round_: Sequence[_Sealed]) -> list[_Signed]:
        envelopes = [one.unsigned for one in round_]
        if len(envelopes) <= 1:
            sealed = sign_sealed(signer, envelopes) if envelopes else []
        else:
            # Signing lets go of the interpreter: meanwhile the loop takes what comes next.
            sealed = await asyncio.to_thread(sign_sealed, signer, envelopes)
        return [_Signed(*parts) for parts in zip(round_, sealed, strict=True)]

    async def _write(self, signed: Sequence[_Signed]) -> None:
        """Make a round durable, and only then tell each caller; what is out of step is sealed again."""
        writings = [one.writing() for one in signed]
        try:
            failed = await self._context.engine.write(lambda db: write_round(db, writings))
        except BaseException as error:
            self._fail([one.of.asked for one in signed], error)
            if not isinstance(error, Exception):
                raise
            return
        again: list[_Asked] = []
        for one, refusal in zip(signed, failed, strict=True):
            if isinstance(refusal, OutOfStep):
                again.append(one.of.asked)
            elif refusal is not None:
                self._fail([one.of.asked], refusal)
            elif not one.of.asked.done.done():
                one.of.asked.done.set_result((one.of.draft, one.sealed))
        if again:
            # The notice numbered before these was not stored: number them again, before all others.
            self._pairs = None
            self._waiting.extendleft(reversed(again))
            self._begin()
        if not all(failed):
            self._context.outgoing.ring()
            self._context.events.ring()

    def _fail(self, asked: Sequence[_Asked], error: BaseException) -> None:
        """Tell callers that nothing of theirs may be taken as stored; the store knows the numbers."""
        self._pairs = None
        for one in asked:
            if one.done.done():
                continue
            if isinstance(error, Exception):
                one.done.set_exception(deliverable(error))
            else:
                one.done.cancel()


class _Breath:
    """Lets the loop have its turn between slices of wraps."""

    def __init__(self) -> None:
        self._left = WRAPS_AT_ONCE

    async def wrap_all(self, sealing: Sealing) -> None:
        """Wrap for every recipient."""
        done = False
        while not done:
            before = sealing.wrapped
            done = sealing.wrap_some(self._left)
            self._left -= sealing.wrapped - before
            if self._left == 0:
                self._left = WRAPS_AT_ONCE
                await asyncio.sleep(0)


async def _seal_one(asked: _Asked, signer: Signer, pairs: Pairs, breath: _Breath) -> _Sealed:
    """Number one notice and seal it; it has used its numbers only when this returns."""
    draft = asked.make(signer)
    recipients = tuple(
        SealFor(code, one.choice.prekey.public, position(pairs, code)) for code, one in draft.chosen.items()
    )
    sealing = Sealing(draft.header, draft.body, recipients)
    await breath.wrap_all(sealing)
    unsigned = sealing.unsigned()
    for entry in recipients:
        pairs[entry.state] = (entry.position.sequence, unsigned.id)
    return _Sealed(asked, draft, recipients, unsigned)


def addressees(chosen: Mapping[str, Chosen]) -> tuple[Addressee, ...]:
    """Return a header's recipients."""
    return tuple(Addressee(state=code, prekey_id=one.key_id) for code, one in chosen.items())


def queued(chosen: Mapping[str, Chosen], at_ms: int) -> list[DeliveryRow]:
    """Return the deliveries of a sealed notice, as they begin."""
    return [
        DeliveryRow(code, DeliveryState.QUEUED, at_ms, None, one.choice.tail, one.key_id, one.signer)
        for code, one in chosen.items()
    ]
