"""The inbox: what the coordinator delivers is verified, opened, stored and answered for.

One task takes everything that waits, up to a bound. A notice and the node's signed RECEIVED
become durable in one transaction, and only then does the cursor move. What cannot be used is
kept as evidence, never silently dropped, and never blocks what comes after it; only a failing
store does, because then nothing is known about the item.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

import structlog

from exchange.node.chains import last_of_chain, say
from exchange.node.context import NodeContext
from exchange.node.link_state import LinkState
from exchange.node.openings import Openings, logical_key
from exchange.node.receipts import Receipts
from exchange.node.records import Item, NoticeRecord, Outcome, RefusalRecord, store_round
from exchange.node.summary import unlock_key
from exchange.stores.node_notices import find_notice
from exchange.stores.node_statements import has_said
from keys.evidence import Chain, Saying
from keys.sealing import decryption_proof
from keys.signer import Signer
from protocol.errors import (
    AlmenaraError,
    CannotOpen,
    ClockSkew,
    KeyRevoked,
    NotAddressed,
    NoticeExpired,
    OutcomeUnknown,
    Replayed,
    StoreFailed,
    UnknownSigner,
)
from protocol.session.messages import ItemKind
from protocol.statement import StatementKind

ROUND_ITEMS = 32
_log = structlog.get_logger()

REJECTABLE = (CannotOpen, KeyRevoked, NoticeExpired, NotAddressed, Replayed)
"""What a node answers with a signed REJECTED: the sender's signature over the envelope has been
verified, so the fault is in what the sender made. Whatever fails before that says nothing about
the sender, and a copy that the coordinator damaged must not void the genuine one."""

TIMELY = (NoticeExpired, UnknownSigner)
"""What a wrong clock makes of genuine items: of expired notices, of keys and documents not yet valid."""


@dataclass(slots=True)
class _Met:
    """What was met in one round: envelopes, and the notices in them by their logical key."""

    seen: set[bytes] = field(default_factory=set)
    opened: dict[bytes, NoticeRecord] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Round(_Met):
    """What one round has worked out, before it is written."""

    signer: Signer
    outcomes: list[Outcome] = field(default_factory=list)
    caught_up: bool = False


class Inbox:
    """Takes delivered items in order, round by round.

    Args:
        context: The node.
        openings: Verifies and opens envelopes.
        receipts: Verifies statements about our own notices.
        catch_up: Asks the coordinator for newer documents and returns when they are in.
        link_state: Knows whether this machine's clock is wrong.
    """

    def __init__(
        self,
        context: NodeContext,
        openings: Openings,
        receipts: Receipts,
        catch_up: Callable[[], Awaitable[None]],
        link_state: LinkState,
    ) -> None:
        self._context = context
        self._openings = openings
        self._receipts = receipts
        self._catch_up = catch_up
        self._link_state = link_state
        self._waiting: asyncio.Queue[Item] = asyncio.Queue()
        self._chain: tuple[bytes, Chain] | None = None

    def offer(self, item: Item) -> None:
        """Hand in one delivered item; the session's window bounds how many can wait."""
        self._waiting.put_nowait(item)

    def forget(self) -> None:
        """Drop what waits, because the session is gone; it will be delivered again."""
        while not self._waiting.empty():
            self._waiting.get_nowait()

    async def next_round(self) -> list[Outcome]:
        """Wait for items, deal with them, and return what became of each, in order.

        When this returns, everything it reports is durable. A node whose store is an older copy reads
        what comes, and reports nothing: it is delivered again once the node can answer for it.

        Raises:
            StoreFailed, OutcomeUnknown: nothing may be taken as dealt with; the items come again.
            ClockSkew: likewise, until this machine's clock is right.
        UnknownSigner: likewise, until a node key may sign again.
        """
        items = [await self._waiting.get()]
        while len(items) < ROUND_ITEMS and not self._waiting.empty():
            items.append(self._waiting.get_nowait())
        if self._context.restored.since_ms is not None:
            await self._look_at(items)
            return []
        try:
            return await self._round(items)
        except AlmenaraError:
            raise
        except Exception:
            _log.exception("delivery.fault")
        # A fault of our own with one item must not stop the others, now or after a restart.
        return [outcome for item in items for outcome in await self._alone(item)]

    async def _round(self, items: Sequence[Item]) -> list[Outcome]:
        # One key for the whole round, whatever the time is when it is written.
        current = _Round(signer=await self._signer())
        await self._chain_of(current.signer)
        for item in items:
            current.outcomes.append(await self._deal_with(item, current))
            # Other tasks, heartbeats among them, get their turn between two items.
            await asyncio.sleep(0)
        await self._write(current)
        return current.outcomes

    async def _look_at(self, items: Sequence[Item]) -> None:
        """Store what can be used, and sign nothing: neither that it came nor that it cannot be used."""
        met, outcomes = _Met(), list[Outcome]()
        for item in items:
            try:
                outcome = await self._judge(item, met)
            except (StoreFailed, OutcomeUnknown):
                raise
            except AlmenaraError as error:
                _log.warning("delivery.waits", code=error.code, seq=item.sequence)
            else:
                if outcome.again is None:
                    outcomes.append(replace(outcome, saying=None))
        context, now_ms = self._context, self._context.clock.now_ms()
        await context.engine.write(lambda db: store_round(db, context.state, outcomes, (), now_ms))
        context.events.ring()

    async def _alone(self, item: Item) -> list[Outcome]:
        try:
            return await self._round([item])
        except AlmenaraError:
            raise
        except Exception as fault:
            error = AlmenaraError(f"the item cannot be dealt with ({type(fault).__name__}); see the log")
        refused = Outcome(item=item, refusal=RefusalRecord(envelope=None, error=error))
        await self._write(_Round(signer=await self._signer(), outcomes=[refused]))
        return [refused]

    async def _deal_with(self, item: Item, current: _Round) -> Outcome:
        try:
            try:
                return await self._judge(item, current)
            except UnknownSigner:
                # The signer may be newer than our copy of the directory: look once.
                if current.caught_up:
                    raise
                current.caught_up = True
                await self._catch_up()
                return await self._judge(item, current)
        except (StoreFailed, OutcomeUnknown):
            # This says nothing about the item: it comes again when the store works.
            raise
        except AlmenaraError as error:
            if isinstance(error, TIMELY) and self._link_state.clock_is_wrong:
                # Refused for good, it would be lost: it comes again when the clock is right.
                raise ClockSkew("what was delivered cannot be judged by this machine's clock") from error
            return await self._refuse(item, error, current)

    async def _judge(self, item: Item, met: _Met) -> Outcome:
        if item.kind is ItemKind.STATEMENT:
            return Outcome(item=item, receipt=await self._receipts.read(item.content))
        opened = await self._openings.open(item, frozenset(met.seen), met.opened)
        if opened is None:
            return Outcome(item=item, saying=await self._owed(item, met.seen))
        met.seen.add(opened.envelope)
        saying = Saying(
            kind=StatementKind.RECEIVED, envelope=opened.envelope, decryption_proof=opened.decryption_proof
        )
        if not isinstance(opened, NoticeRecord):
            return Outcome(item=item, again=opened, saying=saying)
        met.opened[logical_key(opened.header.sender, opened.notice)] = opened
        return Outcome(item=item, notice=opened, saying=saying)

    async def _owed(self, item: Item, seen: set[bytes]) -> Saying | None:
        """Return the RECEIVED for an envelope that was stored and never answered for, if this is one."""
        claimed = self._openings.claimed(item)
        if claimed is None or not await self._is_news(claimed.id, seen):
            return None
        envelope = claimed.id
        row = self._context.engine.look_up(lambda db: find_notice(db, envelope))
        if row is None:
            return None
        seen.add(envelope)
        proof = decryption_proof(unlock_key(self._context.vault, row), envelope, self._context.state)
        return Saying(kind=StatementKind.RECEIVED, envelope=envelope, decryption_proof=proof)

    async def _refuse(self, item: Item, error: AlmenaraError, current: _Round) -> Outcome:
        claimed = self._openings.claimed(item)
        envelope, seen = None if claimed is None else claimed.id, current.seen
        _log.warning("delivery.refused", code=error.code, seq=item.sequence)
        saying = sender = None
        if isinstance(error, REJECTABLE) and claimed is not None and await self._is_news(claimed.id, seen):
            seen.add(claimed.id)
            saying = Saying(kind=StatementKind.REJECTED, envelope=claimed.id, code=error.peer_code.value)
            if not isinstance(error, NotAddressed):
                # It has a number in the series of its sender, which is no gap.
                sender = claimed.header.sender
        refusal = RefusalRecord(envelope=envelope, error=error, sender=sender)
        return Outcome(item=item, refusal=refusal, saying=saying)

    async def _is_news(self, envelope: bytes, seen: set[bytes]) -> bool:
        """Whether this node has not yet said anything about an envelope."""
        if envelope in seen:
            return False
        state = self._context.state
        return not await self._context.engine.read(lambda db: has_said(db, envelope, state))

    async def _signer(self) -> Signer:
        """Return the key for a round, once the coordinator knows one.

        A key was revoked and the manifest with the next is on its way: ending the session over what was
        delivered would keep the answer to that manifest from ever coming.
        """
        while True:
            rung = self._context.keys.changed.listen()
            try:
                return self._context.signer
            except UnknownSigner:
                # By a wrong clock no key's time has come, or all are over.
                self._link_state.require_right_clock()
                if not self._context.keys.awaits_coordinator:
                    raise
            await rung.wait()

    async def _chain_of(self, signer: Signer) -> Chain:
        if self._chain is None or self._chain[0] != signer.key_id:
            # Through the writer: a round that was cut short is seen before anything is judged.
            self._chain = signer.key_id, await last_of_chain(self._context, signer.key_id)
        return self._chain[1]

    async def _write(self, current: _Round) -> None:
        context, now_ms = self._context, self._context.clock.now_ms()
        signer = current.signer
        chain = await self._chain_of(signer)
        sayings = [outcome.saying for outcome in current.outcomes if outcome.saying is not None]
        said = say(context, signer, chain, sayings, now_ms)
        self._chain = None
        await context.engine.write(lambda db: store_round(db, context.state, current.outcomes, said, now_ms))
        self._chain = signer.key_id, said[-1].draft.chain if said else chain
        if said:
            context.outgoing.ring()
        context.events.ring()
