"""The inbox: what the coordinator delivers is verified, opened, stored and answered for.

One task takes everything that waits, up to a bound. A notice and the node's signed RECEIVED
become durable in one transaction, and only then does the cursor move; while one round is written, the
next is verified and opened. What cannot be used is kept as evidence, never silently dropped, and never
blocks what comes after it; only a failing store does, because then nothing is known about the item.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from exchange.node.chains import last_of_chain, say_all
from exchange.node.company import SEVERAL, Company
from exchange.node.context import NodeContext
from exchange.node.delivery_round import store_round
from exchange.node.incoming import Found, look, prepare
from exchange.node.link_state import LinkState
from exchange.node.openings import BREATH, Openings, logical_key
from exchange.node.receipts import Receipts
from exchange.node.records import Item, NoticeRecord, Outcome, RefusalRecord
from exchange.node.summary import unlock_key
from exchange.stores.node_notices import NoticeRow, find_notice
from exchange.stores.node_statements import has_said
from keys.evidence import Chain, Saying
from keys.held import Documents
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
from protocol.signed import MAX_BATCH
from protocol.statement import StatementKind

ROUND_ITEMS = MAX_BATCH
_log = structlog.get_logger()

REJECTABLE = (CannotOpen, KeyRevoked, NoticeExpired, NotAddressed, Replayed)
"""What a node answers with a signed REJECTED: the sender's signature over the envelope has been
verified, so the fault is in what the sender made. Whatever fails before that says nothing about
the sender, and a copy that the coordinator damaged must not void the genuine one."""

TIMELY = (NoticeExpired, UnknownSigner)
"""What a wrong clock makes of genuine items: of expired notices, of keys and documents not yet valid."""


@dataclass(frozen=True, slots=True)
class _Ahead:
    """Items that are being prepared, and the documents by which they are judged."""

    items: list[Item]
    documents: Documents
    found: asyncio.Task[list[Found]]


@dataclass(slots=True)
class _Met:
    """What was met in one round: envelopes, the notices in them by their logical key, and our own ones."""

    seen: set[bytes] = field(default_factory=set)
    opened: dict[bytes, NoticeRecord] = field(default_factory=dict)
    rows: dict[bytes, NoticeRow] = field(default_factory=dict)


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
        self._ahead: _Ahead | None = None
        self._company = Company()
        self._chain: tuple[bytes, Chain] | None = None

    def offer(self, item: Item) -> None:
        """Hand in one delivered item; the session's window bounds how many can wait."""
        self._waiting.put_nowait(item)

    def forget(self) -> None:
        """Drop what waits, because the session is gone; it will be delivered again."""
        if self._ahead is not None:
            self._ahead.found.cancel()
            self._ahead = None
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
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            first = await self._waiting.get()
            await self._company.gather(self._waiting.qsize() + 1)
            ahead = self._prepare_ahead([first])
        self._company.had(len(ahead.items))
        try:
            if self._context.restored.since_ms is not None:
                await self._look_at(await ahead.found)
                return []
            return await self._round(ahead)
        except AlmenaraError:
            raise
        except Exception:
            _log.exception("delivery.fault")
        # A fault of our own with one item must not stop the others, now or after a restart.
        return [outcome for item in ahead.items for outcome in await self._alone(item)]

    def _prepare_ahead(self, items: list[Item]) -> _Ahead:
        """Begin to prepare a round of these and what else waits."""
        while len(items) < ROUND_ITEMS and not self._waiting.empty():
            items.append(self._waiting.get_nowait())
        documents = self._context.directory.documents
        return _Ahead(items, documents, _begin(self._prepare(items)))

    async def _prepare(self, items: Sequence[Item]) -> list[Found]:
        return await prepare(self._openings, self._receipts, items)

    def _look(self, found: Sequence[Found]) -> dict[bytes, NoticeRow]:
        return look(self._openings, self._receipts, found)

    async def _round(self, ahead: _Ahead) -> list[Outcome]:
        # One key for the whole round, whatever the time is when it is written.
        current = _Round(signer=await self._signer())
        await self._chain_of(current.signer)
        found = await ahead.found
        if self._context.directory.documents is not ahead.documents:
            # Somebody's key may count no more since.
            found = await self._prepare(ahead.items)
        current.rows = self._look(found)
        for one in found:
            current.outcomes.append(await self._deal_with(one, current))
            if len(current.outcomes) % BREATH == 0:
                await asyncio.sleep(0)
        await self._write(current)
        return current.outcomes

    async def _look_at(self, found: Sequence[Found]) -> None:
        """Store what can be used, and sign nothing: neither that it came nor that it cannot be used."""
        met, outcomes = _Met(rows=self._look(found)), list[Outcome]()
        for one in found:
            try:
                outcome = await self._judge(one, met)
            except (StoreFailed, OutcomeUnknown):
                raise
            except AlmenaraError as error:
                _log.warning("delivery.waits", code=error.code, seq=one.item.sequence)
            else:
                if outcome.again is None:
                    outcomes.append(replace(outcome, saying=None))
        context, now_ms = self._context, self._context.clock.now_ms()
        await context.engine.write(lambda db: store_round(db, context.state, outcomes, (), now_ms))
        context.events.ring()

    async def _alone(self, item: Item) -> list[Outcome]:
        ahead = _Ahead([item], self._context.directory.documents, _begin(self._prepare([item])))
        try:
            return await self._round(ahead)
        except AlmenaraError:
            raise
        except Exception as fault:
            error = AlmenaraError(f"the item cannot be dealt with ({type(fault).__name__}); see the log")
        refused = Outcome(item=item, refusal=RefusalRecord(envelope=None, error=error))
        await self._write(_Round(signer=await self._signer(), outcomes=[refused]))
        return [refused]

    async def _deal_with(self, found: Found, current: _Round) -> Outcome:
        item = found.item
        try:
            try:
                return await self._judge(found, current)
            except UnknownSigner:
                # The signer may be newer than our copy of the directory: look once in a round.
                if not current.caught_up:
                    current.caught_up = True
                    await self._catch_up()
                anew = await self._prepare([item])
                current.rows |= self._look(anew)
                return await self._judge(anew[0], current)
        except (StoreFailed, OutcomeUnknown):
            # This says nothing about the item: it comes again when the store works.
            raise
        except AlmenaraError as error:
            if isinstance(error, TIMELY) and self._link_state.clock_is_wrong:
                # Refused for good, it would be lost: it comes again when the clock is right.
                raise ClockSkew("what was delivered cannot be judged by this machine's clock") from error
            return await self._refuse(item, error, current)

    async def _judge(self, found: Found, met: _Met) -> Outcome:
        item = found.item
        if found.error is not None:
            raise found.error
        if found.statement is not None:
            return Outcome(item=item, receipt=await self._receipts.judge(found.statement, met.rows))
        assert found.envelope is not None  # noqa: S101 - one of the three is there
        opened = self._openings.open(found.envelope, met.seen, met.opened)
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
        said = await say_all(context, signer, chain, sayings, now_ms)
        self._chain = None
        if self._ahead is None and self._waiting.qsize() >= SEVERAL:
            # Prepared while this round is written; what the store knows of it is asked after that.
            self._ahead = self._prepare_ahead([])
        await context.engine.write(lambda db: store_round(db, context.state, current.outcomes, said, now_ms))
        self._chain = signer.key_id, said[-1].draft.chain if said else chain
        if said:
            context.outgoing.ring()
        context.events.ring()


def _begin(preparing: Coroutine[Any, Any, list[Found]]) -> asyncio.Task[list[Found]]:
    task = asyncio.create_task(preparing)
    # Whoever takes the round is told what failed; if the session has ended, nobody is.
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
