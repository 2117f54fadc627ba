"""Opening a delivered envelope: every check in order, one secret key, chosen by id, never by trial."""

from __future__ import annotations

from collections.abc import Mapping

import apsw

from exchange.node.context import NodeContext
from exchange.node.records import AgainRecord, Item, NoticeRecord
from exchange.node.summary import lock_content, unlock_body
from exchange.node.unsealing import unseal_wrap
from exchange.stores.node_notices import find_body, find_logical_notice
from exchange.stores.node_statements import has_said
from keys.authenticity import verify_delivery
from keys.sealing import SALT_BYTES, decryption_proof, epoch_began_ms, open_delivery, wrap_info
from keys.trust import MAX_SKEW_MS
from protocol import codec
from protocol.envelope import Sealed, parse_delivery
from protocol.errors import CannotOpen, FormatError, Replayed, StoreFailed
from protocol.notice import Body
from protocol.session.messages import ItemKind
from protocol.urgency import relay_priority


def logical_key(sender: str, notice: bytes) -> bytes:
    """Return what names a notice under whatever envelope: its sender and logical id."""
    return sender.encode("ascii") + b"/" + notice


class Openings:
    """Verifies and opens what is delivered; the store is only asked, never changed, here."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context

    async def open(
        self, item: Item, seen: frozenset[bytes], opened_before: Mapping[bytes, NoticeRecord]
    ) -> NoticeRecord | AgainRecord | None:
        """Return an opened notice, or None if this envelope has been answered before.

        A notice that is recorded already, and came again in another envelope because its sender did not
        know that, is an :class:`AgainRecord`: it was opened and is stored, as RECEIVED says.

        Args:
            item: The delivered envelope.
            seen: Envelope ids of the same round.
            opened_before: Notices of the same round by :func:`logical_key`.

        Raises:
            FormatError, TrustError: nothing in it may be believed.
            NoticeRefused: it is genuine but must not, or cannot, be shown.
            StoreFailed: it cannot be opened now, and may be later.
        """
        context = self._context
        verified = verify_delivery(
            context.directory, context.verifier, item.content, context.state, context.clock.now_ms()
        )
        envelope = verified.id
        if envelope in seen or context.engine.look_up(lambda db: has_said(db, envelope, context.state)):
            return None
        delivery, manifest, header = verified.delivery, verified.manifest, verified.header
        prekey_id = header.recipients[delivery.index].prekey_id
        info = wrap_info(manifest, header, delivery.index)
        unwrapped = await unseal_wrap(context, prekey_id, delivery.wrap, info)
        opened = open_delivery(delivery, manifest, header, unwrapped)
        if epoch_began_ms(opened.position.epoch) > header.created_ms + MAX_SKEW_MS:
            # Whoever could name any epoch could name the last one, behind which no gap shows.
            raise CannotOpen("the notice is numbered in an epoch that begins after it was made")
        sender, logical = header.sender, opened.body.notice
        proof = decryption_proof(opened.content_key, envelope, context.state)
        before = opened_before.get(logical_key(sender, logical))
        kept = await self._kept(sender, logical) if before is None else (before.envelope, before.content.body)
        if kept is not None:
            if not self._is_same(opened.body, *kept):
                raise Replayed(f"{sender} sent another notice before under the same logical id")
            return AgainRecord(envelope, sender, opened.position.sequence, proof)
        return NoticeRecord(
            envelope=envelope,
            header=header,
            manifest=delivery.manifest,
            proof=codec.encode(delivery.proof),
            salt=delivery.payload[:SALT_BYTES],
            notice=logical,
            position=opened.position,
            content=lock_content(context.vault, envelope, opened.body, opened.content_key),
            priority=relay_priority(header.severity.point),
            decryption_proof=proof,
        )

    async def _kept(self, sender: str, logical: bytes) -> tuple[bytes, bytes] | None:
        """Return envelope and locked body of a recorded notice."""

        def read(db: apsw.Connection) -> tuple[bytes, bytes] | None:
            row = find_logical_notice(db, sender, logical)
            return None if row is None else (row.id, find_body(db, row.content_id))

        return await self._context.engine.read(read)

    def _is_same(self, body: Body, envelope: bytes, locked: bytes) -> bool:
        try:
            return unlock_body(self._context.vault, envelope, locked) == body
        except StoreFailed:
            # What was altered here is not what was received: nothing may be claimed of it.
            return False

    def claimed(self, item: Item) -> Sealed | None:
        """Return what an item claims to be, if it parses at all; nothing about it is verified."""
        if item.kind is not ItemKind.ENVELOPE:
            return None
        try:
            return parse_delivery(item.content)[1]
        except FormatError:
            return None
