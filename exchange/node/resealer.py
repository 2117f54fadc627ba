"""The resealer: seals what waits for a key, as soon as there is one, and what could not be opened.

It looks when the directory has changed, when a recipient begins to wait, and when time has passed: a
day's key begins. The most severe notice goes first, and the oldest among equals. Body, logical id and
incident stay; header, times and keys are fresh, and no key is used twice for one notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Mapping
from itertools import groupby

import apsw
import msgspec
import structlog

from exchange.node.again import WAITS_LONG, about, sealed_for, take_back, time_is_over
from exchange.node.choosing import Chosen, choose
from exchange.node.context import NodeContext
from exchange.node.link_state import LinkState
from exchange.node.sealer import Draft, Sealer, addressees, queued
from exchange.node.summary import lock_cover, unlock_body
from exchange.node.suspended import what_helps
from exchange.stores.node_books import clear_alarm, has_alarm, raise_alarm, record_event
from exchange.stores.node_notices import (
    NoticeRow,
    find_body,
    find_notice,
    insert_deliveries,
    insert_envelope,
)
from exchange.stores.node_sealing import (
    WaitingRow,
    forget_signers,
    list_waiting,
    newest_waiting,
    open_signers,
    signed_by,
    tried_prekeys,
)
from keys.held import Documents
from keys.sealing import SALT_BYTES, SealedNotice
from keys.signer import Signer
from protocol import codec
from protocol.delivery import DeliveryState
from protocol.errors import AlmenaraError, OutcomeUnknown, StoreFailed
from protocol.notice import DEFAULT_LIFE_MS, Body, Header, parse_manifest
from protocol.text import format_utc

LOOK_SECONDS = 30.0
"""How often to look though nothing has happened: keys begin and end with the day."""
PAUSE_SECONDS = 0.05
FAILED = "sealing-failed"
_log = structlog.get_logger()


class _WaitsNoMore(Exception):
    """A recipient has spoken while its copy was being sealed; never leaves this module."""


class Resealer:
    """Seals for those who wait.

    Args:
        context: The node.
        sealer: Numbers and stores.
        link_state: Knows whether this machine's clock is wrong.
    """

    def __init__(self, context: NodeContext, sealer: Sealer, link_state: LinkState) -> None:
        self._context = context
        self._sealer = sealer
        self._link_state = link_state
        self._seen: Documents | None = None
        self._newest = 0
        self._next = 0.0

    async def run(self) -> None:
        """Look whenever something may have changed; returns only by cancellation."""
        while True:
            rung = self._context.events.listen()
            try:
                if self._is_due():
                    await self.look()
            except AlmenaraError as error:
                _log.warning("sealing.failed", code=error.code)
            except Exception:
                # A fault of our own with one notice must not end the node.
                _log.exception("sealing.fault")
            # Under load the bell rings all the time.
            await asyncio.sleep(PAUSE_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await rung.wait()

    def _is_due(self) -> bool:
        """Whether there is anything new since the last look; costs next to nothing."""
        if self._context.directory.documents is not self._seen:
            return True
        newest = self._context.engine.look_up(newest_waiting)
        return newest > self._newest or (newest > 0 and self._context.clock.monotonic() >= self._next)

    async def look(self) -> int:
        """Seal everything that can be sealed now; return how many envelopes that were.

        Raises:
            StoreFailed, OutcomeUnknown: the rest waits for the next look.
        """
        if self._link_state.clock_is_wrong or self._context.restored.since_ms is not None:
            # What it would sign, nobody would take.
            return 0
        engine = self._context.engine
        if self._context.directory.documents is not self._seen:
            await self._find_revoked()
        self._newest = engine.look_up(newest_waiting)
        self._next = self._context.clock.monotonic() + LOOK_SECONDS
        waiting = await engine.read(list_waiting)
        keys = self._keys({row.recipient for row in waiting})
        sealed = 0
        for first, rows in groupby(waiting, key=lambda row: row.notice):
            sealed += await self._notice(first, list(rows), keys)
        return sealed

    def _keys(self, codes: set[str]) -> dict[str, Chosen]:
        """Return the keys of those who have one now."""
        now_ms, found = self._context.clock.now_ms(), {}
        for code in codes:
            with contextlib.suppress(AlmenaraError):
                found[code] = choose(self._context.directory, code, now_ms)
        return found

    async def _notice(self, first: bytes, rows: list[WaitingRow], keys: Mapping[str, Chosen]) -> int:
        """Seal one notice for those who can be sealed for; return how many envelopes that took."""
        row = await self._context.engine.read(lambda db: find_notice(db, first))
        if row is None:
            return 0
        now_ms = self._context.clock.now_ms()
        if row.until_ms is not None and row.until_ms <= now_ms:
            await self._end(rows, now_ms)
            return 0
        chosen = {one.recipient: keys[one.recipient] for one in rows if self._is_ready(one, keys, now_ms)}
        await self._tell(row, [one for one in rows if one.recipient not in chosen], now_ms)
        if not chosen:
            return 0
        try:
            return await self._seal(row, dict(sorted(chosen.items())))
        except (StoreFailed, OutcomeUnknown):
            raise
        except AlmenaraError as error:
            # One notice that cannot be sealed keeps nothing from the others.
            await self._failed(row, error, now_ms)
            return 0

    def _is_ready(self, one: WaitingRow, keys: Mapping[str, Chosen], now_ms: int) -> bool:
        if one.not_before_ms > now_ms or one.recipient not in keys:
            return False
        tried = self._context.engine.look_up(lambda db: tried_prekeys(db, one.notice, one.recipient))
        return keys[one.recipient].key_id not in tried

    async def _seal(self, row: NoticeRow, chosen: dict[str, Chosen]) -> int:
        body = await self._body(row)
        _, before = parse_manifest(row.manifest)

        def make(signer: Signer) -> Draft:
            return Draft(self._header(row, before, signer, chosen), body, chosen)

        def store(db: apsw.Connection, draft: Draft, sealed: SealedNotice) -> None:
            self._replace(db, row, draft, sealed)

        try:
            await self._sealer.seal(make, store)
        except _WaitsNoMore:
            # Whoever still waits is looked at again.
            self._next = 0.0
            return 0
        _log.info("notice.sealed_again", count=len(chosen))
        return 1

    async def _body(self, row: NoticeRow) -> Body:
        locked = await self._context.engine.read(lambda db: find_body(db, row.content_id))
        try:
            return unlock_body(self._context.vault, row.content_id, locked)
        except StoreFailed as error:
            # Its content was altered: no later look would open it.
            raise AlmenaraError(error.message, hint=error.hint) from error

    def _header(self, row: NoticeRow, before: Header, signer: Signer, chosen: Mapping[str, Chosen]) -> Header:
        """Return a header with fresh times; an answer is expected within the same interval as at first."""
        context, now_ms = self._context, self._context.clock.now_ms()
        expires_ms = now_ms + DEFAULT_LIFE_MS
        expected = before.respond_by_ms
        return msgspec.structs.replace(
            before,
            suite=context.directory.allowed_suite(list(chosen)),
            key_id=signer.key_id,
            nonce=secrets.token_bytes(16),
            created_ms=now_ms,
            expires_ms=expires_ms if row.until_ms is None else min(expires_ms, row.until_ms),
            directory=context.directory.head(),
            recipients=addressees(chosen),
            respond_by_ms=None if expected is None else now_ms + expected - before.created_ms,
        )

    def _replace(self, db: apsw.Connection, row: NoticeRow, draft: Draft, sealed: SealedNotice) -> None:
        """Put a further envelope in the place of the waiting, in one transaction with its number."""
        if not all(sealed_for(db, row.id, code) for code in draft.chosen):
            raise _WaitsNoMore
        now_ms = self._context.clock.now_ms()
        summary, key = lock_cover(self._context.vault, sealed.id, draft.body, sealed.content_key)
        envelope = NoticeRow(
            id=sealed.id,
            direction="sent",
            sender=row.sender,
            notice=row.notice,
            manifest=sealed.submission.manifest,
            proof=codec.encode(sealed.submission.proof),
            salt=sealed.submission.payload[:SALT_BYTES],
            created_ms=draft.header.created_ms,
            stored_ms=now_ms,
            priority=row.priority,
            state=DeliveryState.QUEUED,
            locked_summary=summary,
            locked_key=key,
            first=row.id,
        )
        for code in draft.chosen:
            forget_signers(db, row.id, code)
        insert_envelope(db, envelope)
        insert_deliveries(db, envelope.id, queued(draft.chosen, now_ms))
        clear_alarm(db, FAILED, row.id.hex())
        states = ",".join(draft.chosen)
        record_event(
            db, now_ms, "notice.sealed-again", envelope=row.id, state=states, detail=envelope.id.hex()
        )

    async def _find_revoked(self) -> None:
        """Let those wait whose copy was sealed to a key that its state has since taken back."""
        documents, now_ms = self._context.directory.documents, self._context.clock.now_ms()
        if self._seen is None or not _same_keys(self._seen, documents):
            open_ = await self._context.engine.read(open_signers)
            revoked = [(code, key) for code, key in open_ if documents.withdrawn_ms(code, key) is not None]

            def work(db: apsw.Connection) -> None:
                for code, key in revoked:
                    for first in signed_by(db, code, key):
                        take_back(db, first, code, now_ms)

            if revoked:
                await self._context.engine.write(work)
                self._context.events.ring()
        # Only now: what failed is looked for again.
        self._seen = documents

    async def _tell(self, row: NoticeRow, rows: list[WaitingRow], now_ms: int) -> None:
        """Tell a person, once, of everybody who has waited for longer than a notice lives."""
        late = [one for one in rows if now_ms - one.since_ms > DEFAULT_LIFE_MS]

        def news(db: apsw.Connection) -> list[WaitingRow]:
            return [one for one in late if not has_alarm(db, WAITS_LONG, about(row.id, one.recipient))]

        new = await self._context.engine.read(news) if late else []
        if not new:
            return

        def work(db: apsw.Connection) -> None:
            for one in new:
                message = (
                    f"notice {row.id.hex()[:12]} has waited for a key of {one.recipient} since "
                    f"{format_utc(one.since_ms)}"
                )
                raise_alarm(
                    db,
                    WAITS_LONG,
                    about(row.id, one.recipient),
                    message,
                    what_helps(self._context.directory, one.recipient),
                    now_ms,
                )

        await self._context.engine.write(work)
        self._context.events.ring()

    async def _end(self, rows: list[WaitingRow], now_ms: int) -> None:
        def work(db: apsw.Connection) -> None:
            for one in rows:
                time_is_over(db, one, now_ms)

        await self._context.engine.write(work)
        self._context.events.ring()

    async def _failed(self, row: NoticeRow, error: AlmenaraError, now_ms: int) -> None:
        _log.warning("sealing.refused", code=error.code)
        message = f"notice {row.id.hex()[:12]} cannot be sealed for those who wait: {error.message}"

        def work(db: apsw.Connection) -> None:
            raise_alarm(db, FAILED, row.id.hex(), message, error.hint, now_ms)

        await self._context.engine.write(work)
        self._context.events.ring()


def _same_keys(before: Documents, after: Documents) -> bool:
    """Whether no key was withdrawn between two moments, as far as can be told at a glance."""
    return before.revoked == after.revoked and before.directory is after.directory
