"""The prekeeper: publishes daily keys ahead of need, and destroys them when their time is over.

What fails is told and tried again; it never stops the node, which can be warned without it for days.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import apsw
import structlog

from exchange.node.context import NodeContext
from exchange.node.link_state import LinkState
from exchange.node.mirror import store_document
from exchange.node.unsealing import can_unseal
from exchange.stores.node_books import (
    PrekeyRow,
    clear_alarm,
    destroy_prekeys,
    insert_prekey,
    keep_prekey,
    prekey_days,
    raise_alarm,
    read_fact,
    record_event,
    save_fact,
)
from exchange.stores.node_queue import PUBLISH_PRIORITY, enqueue
from exchange.unsealer.messages import MadeKey
from keys.calendar import DAY_MS, KEEP_MS, day_of, days_missing
from keys.documents import sign_document
from keys.enrolment import next_prekeys
from protocol.documents import TAIL_MS, Prekey, signed_document_hash
from protocol.errors import AlmenaraError, ClockSkew, OutcomeUnknown, StoreFailed, UnknownSigner

LOOK_SECONDS = 600.0
SKEWED_SECONDS = 15.0
"""How long to wait after a look by a clock that is wrong: the alarm ends soon after it was corrected."""
FIRST_LOOK_SECONDS = 600.0
"""How long to wait for a session that shows whether this clock is right, before the first look."""
ALARM = "prekeys"
LOST = "prekeys-lost"
RECONCILED = "reconciled"
"""The fact that holds when this node was reconciled, until it has published daily keys since."""
SEALED_AGAIN = (
    "What was sealed to them is rejected here, and its senders seal it again by themselves. When it is read: "
    "almenara health --dismiss --data DIR --token-file TOKEN"
)
LOOKED = "prekeys-looked"
"""The fact that holds when the last look was, by a clock that was believed then."""
UNCONFIRMED_JUMP_MS = 2 * DAY_MS
_log = structlog.get_logger()


def store_prekeys(db: apsw.Connection, keys: Sequence[MadeKey]) -> None:
    """Store the secret halves, locked, in the transaction that publishes the public ones."""
    for key in keys:
        row = PrekeyRow(key.day, key.locked)
        insert_prekey(db, key.public.key_id, key.public.keep_until_ms, row)


@dataclass(frozen=True, slots=True)
class _List:
    """A new list of daily keys with the secret halves of those that were made for it."""

    made: tuple[MadeKey, ...]
    data: bytes
    replaced_tail: bytes | None
    lost: int


class Prekeeper:
    """Looks after the node's daily keys.

    Args:
        context: The node.
        link_state: Knows whether this machine's clock is wrong.
    """

    def __init__(self, context: NodeContext, link_state: LinkState) -> None:
        self._context = context
        self._link_state = link_state
        self._unwritten: _List | None = None
        # At the start too: the process may have ended between deleting and emptying.
        self._log_holds_keys = True

    async def run(self) -> None:
        """Look once the clock has been compared, then every ten minutes and when the node's keys change."""
        await self._clock_compared()
        while True:
            rung, pause = self._context.keys.changed.listen(), LOOK_SECONDS
            try:
                await self.look()
            except AlmenaraError as error:
                if isinstance(error, ClockSkew):
                    pause = SKEWED_SECONDS
                _log.warning("prekeys.failed", code=error.code)
                await self._tell(error)
            except Exception as fault:
                _log.exception("prekeys.fault")
                await self._tell(AlmenaraError(f"a fault in this program: {type(fault).__name__}"))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await rung.wait()

    async def look(self) -> None:
        """Publish what is missing ahead and destroy what is over.

        Raises:
            StoreFailed, OutcomeUnknown, TrustError: it could not; the next look tries again.
            ClockSkew: the clock is wrong. A clock that is ahead would destroy keys in use, and sign
                a list that nobody takes, with all that would follow it, before that time has come.
        """
        if self._link_state.clock_is_wrong:
            raise ClockSkew("this machine's clock differs from the coordinator's")
        await self._require_plausible_clock()
        await self._destroy()
        await self._publish()
        if self._log_holds_keys:
            # Deleted rows live on in the write-ahead log until it is emptied.
            await self._context.engine.empty_log()
            self._log_holds_keys = False
        now_ms = self._context.clock.now_ms()
        await self._context.engine.write(lambda db: _looked(db, now_ms))

    async def _require_plausible_clock(self) -> None:
        """Refuse a jump over days that no coordinator has confirmed since the start."""
        now_ms = self._context.clock.now_ms()
        last_ms = await self._context.engine.read(lambda db: read_fact(db, LOOKED))
        if self._link_state.skew_ms is None and last_ms and now_ms > last_ms + UNCONFIRMED_JUMP_MS:
            raise ClockSkew(
                f"this clock is {(now_ms - last_ms) // DAY_MS} days on since the last look",
                hint="Check this machine's clock; the keys wait until the coordinator has confirmed it.",
            )

    async def _publish(self) -> None:
        if self._context.restored.since_ms is not None:
            return
        now_ms = self._context.clock.now_ms()
        if self._unwritten is None:
            self._unwritten = await self._make(now_ms, await self._lost(now_ms))
        fresh = self._unwritten
        if fresh is None:
            return
        await self._context.engine.write(lambda db: _publish(db, fresh, now_ms))
        self._unwritten = None
        self._context.outgoing.ring()
        _log.info("prekeys.published", count=len(fresh.made))

    async def _clock_compared(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_LOOK_SECONDS):
                while self._link_state.skew_ms is None:
                    await self._context.events.listen().wait()

    async def _lost(self, now_ms: int) -> frozenset[bytes]:
        """Return the published keys whose secret halves are gone: whatever is sealed to them is lost too."""
        return frozenset(
            [
                key.key_id
                for key in self._published()
                if key.use_until_ms > now_ms and not await can_unseal(self._context, key)
            ]
        )

    def _published(self) -> tuple[Prekey, ...]:
        held = self._context.directory.documents.prekeys.get(self._context.state)
        return () if held is None else held.document.keys

    async def _make(self, now_ms: int, lost: frozenset[bytes]) -> _List | None:
        """Return the next list, trusted already but not yet durable, or None if none is needed."""
        context = self._context
        held = context.directory.documents.prekeys.get(context.state)
        published = self._published()
        first_day, days = days_missing(published, now_ms)
        disowned, revoked = self._is_disowned(now_ms)
        if days == 0 and not lost and not disowned:
            return None
        # Whoever had the revoked node key may have had what lay beside it.
        replaced = {key.key_id for key in published if key.use_until_ms > now_ms} if revoked else lost
        wanted = [(key.use_from_ms, 1) for key in published if key.key_id in replaced]
        if days:
            wanted.append((first_day, days))
        made = [one for start in wanted for one in await context.unsealer.make_days(*start)]
        still_used = [
            key for key in published if key.use_until_ms > now_ms - DAY_MS and key.key_id not in replaced
        ]
        keys = sorted((*still_used, *(key.public for key in made)), key=lambda key: key.use_from_ms)
        document = next_prekeys(
            held,
            state=context.state,
            community=context.directory.community,
            keys=keys,
            now_ms=now_ms,
            # The list must outlive its last day by the time that the tail key may be used.
            life_ms=keys[-1].use_until_ms + TAIL_MS - now_ms,
            tail=True,
        )
        data = sign_document(document, [context.signer])
        context.directory.update(data, now_ms)
        return _List(tuple(made), data, published[-1].key_id if published else None, len(lost))

    def _is_disowned(self, now_ms: int) -> tuple[bool, bool]:
        """Return whether the key that signed the present list counts no more, and whether it was revoked.

        A list signed by a revoked key is used by nobody; so the next one must not wait for its day.
        """
        documents, state = self._context.directory.documents, self._context.state
        held = documents.prekeys.get(state)
        if held is None or held.signer is None:
            return False, False
        try:
            self._context.directory.node_key(state, held.signer, now_ms)
        except UnknownSigner:
            return True, (state, held.signer) in documents.revoked
        return False, False

    def _tail(self, now_ms: int) -> bytes | None:
        """Return the key that others may still seal to because they have seen no newer one."""
        held = self._context.directory.documents.prekeys.get(self._context.state)
        if held is None or not held.document.tail:
            return None
        last = held.document.keys[-1]
        return last.key_id if now_ms < last.use_until_ms + TAIL_MS + KEEP_MS else None

    async def _destroy(self) -> None:
        now_ms = self._context.clock.now_ms()
        tail = self._tail(now_ms)

        def destroy(db: apsw.Connection) -> tuple[int, frozenset[str]]:
            return destroy_prekeys(db, now_ms, tail), prekey_days(db)

        count, still_held = await self._context.engine.write(destroy)
        self._log_holds_keys = self._log_holds_keys or count > 0
        # Only then, and at every look: if the process ends between the two, the next look goes on here.
        before = day_of(max(now_ms - KEEP_MS, 0))
        keep = sorted(day for day in still_held if day < before)
        days = await self._context.unsealer.destroy_days(before, keep)
        if count or days:
            _log.info("prekeys.destroyed", count=count)

    async def _tell(self, error: AlmenaraError) -> None:
        message = f"daily keys could not be published or destroyed: {error.message}"
        now_ms = self._context.clock.now_ms()
        # If the store itself is what fails, the log and the readiness probe say so.
        with contextlib.suppress(StoreFailed, OutcomeUnknown):
            await self._context.engine.write(
                lambda db: raise_alarm(db, ALARM, "", message, error.hint, now_ms)
            )


def _looked(db: apsw.Connection, now_ms: int) -> None:
    clear_alarm(db, ALARM, "")
    save_fact(db, LOOKED, now_ms)


def _publish(db: apsw.Connection, fresh: _List, now_ms: int) -> None:
    store_prekeys(db, fresh.made)
    store_document(db, fresh.data)
    name = signed_document_hash(fresh.data)
    enqueue(db, "publish", PUBLISH_PRIORITY, name, fresh.data)
    record_event(db, now_ms, "prekeys.published", detail=f"{len(fresh.made)} days")
    if fresh.lost:
        message = (
            f"the secret halves of {fresh.lost} published daily keys were gone; new keys took their place"
        )
        helps = "Find out who or what removed them."
        if read_fact(db, RECONCILED):
            message += ", as expected after a restore: no backup holds them"
            helps = "Nothing is to be found out."
        raise_alarm(db, LOST, "", message, f"{helps} {SEALED_AGAIN}", now_ms)
    # Whatever is lost from now on was not lost by the restore.
    db.execute("DELETE FROM fact WHERE name = ?", (RECONCILED,))
    if fresh.replaced_tail is not None:
        # Notices sealed to it may be on their way for a notice's longest life.
        keep_prekey(db, fresh.replaced_tail, now_ms + KEEP_MS)
