"""The prekeeper: publishes daily keys ahead of need, and destroys them when their time is over."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

import apsw
import structlog

from exchange.node.context import NodeContext
from exchange.node.mirror import store_document
from exchange.node.openings import PrekeyRing
from exchange.stores.node_books import destroy_prekeys, insert_prekey, record_event
from exchange.stores.node_queue import PUBLISH_PRIORITY, enqueue
from keys.documents import sign_document
from keys.enrolment import next_prekeys
from keys.prekeys import DAY_MS, SecretPrekey, days_missing, make_prekeys
from keys.vault import Vault
from protocol.documents import TAIL_MS, document_hash, parse_signed_document

LOOK_SECONDS = 600.0
_log = structlog.get_logger()


def store_prekeys(db: apsw.Connection, vault: Vault, keys: Sequence[SecretPrekey]) -> None:
    """Store the secret halves, locked, in the transaction that publishes the public ones."""
    for key in keys:
        name = key.public.key_id
        insert_prekey(db, name, key.public.keep_until_ms, vault.lock("prekey", name, key.seed))


class Prekeeper:
    """Looks after the node's daily keys.

    Args:
        context: The node.
        ring: Must forget what has been destroyed.
    """

    def __init__(self, context: NodeContext, ring: PrekeyRing) -> None:
        self._context = context
        self._ring = ring

    async def run(self) -> None:
        """Look at once and then every ten minutes; returns only by cancellation."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Publish what is missing ahead and destroy what is over."""
        await self._destroy()
        context, now_ms = self._context, self._context.clock.now_ms()
        held = context.directory.documents.prekeys.get(context.state)
        published = () if held is None else held.document.keys
        first_day, days = days_missing(published, now_ms)
        if days == 0:
            return
        made = make_prekeys(first_day, days, secrets.token_bytes)
        still_used = [key for key in published if key.use_until_ms > now_ms - DAY_MS]
        keys = [*still_used, *(key.public for key in made)]
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
        await context.engine.write(lambda db: _publish(db, context.vault, made, data, now_ms))
        context.outgoing.ring()
        _log.info("prekeys.published", count=days)

    async def _destroy(self) -> None:
        now_ms = self._context.clock.now_ms()
        count = await self._context.engine.write(lambda db: destroy_prekeys(db, now_ms))
        if count:
            self._ring.forget()
            _log.info("prekeys.destroyed", count=count)


def _publish(
    db: apsw.Connection, vault: Vault, made: Sequence[SecretPrekey], data: bytes, now_ms: int
) -> None:
    store_prekeys(db, vault, made)
    store_document(db, data)
    enqueue(db, "publish", PUBLISH_PRIORITY, document_hash(parse_signed_document(data).body), data)
    record_event(db, now_ms, "prekeys.published", detail=f"{len(made)} days")
