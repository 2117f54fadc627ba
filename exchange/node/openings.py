"""Opening a delivered envelope: every check in order, one secret key, chosen by id, never by trial."""

from __future__ import annotations

from collections import OrderedDict

from exchange.node.context import NodeContext
from exchange.node.records import Item, NoticeRecord
from exchange.node.summary import lock_content
from exchange.stores.node_books import find_prekey
from exchange.stores.node_notices import has_logical_notice, has_notice
from keys.authenticity import verify_delivery
from keys.sealing import SALT_BYTES, decryption_proof, open_delivery
from keys.wrap import RecipientKey
from protocol import codec
from protocol.envelope import parse_delivery
from protocol.errors import CannotOpen, FormatError, Replayed, StoreFailed
from protocol.session.messages import ItemKind
from protocol.urgency import relay_priority

OPENED_KEYS_KEPT = 8


class PrekeyRing:
    """The node's secret prekeys, by id; a few of the last used stay unlocked in memory."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._kept: OrderedDict[bytes, RecipientKey] = OrderedDict()
        self._forgotten = 0

    async def find(self, prekey_id: bytes) -> RecipientKey:
        """Return the one secret key with this id.

        Raises:
            CannotOpen: this node has no such key, its stored half was altered, or its time is over
                and it was destroyed.
        """
        if prekey_id in self._kept:
            self._kept.move_to_end(prekey_id)
            return self._kept[prekey_id]
        forgotten = self._forgotten
        locked = await self._context.engine.read(lambda db: find_prekey(db, prekey_id))
        if locked is None:
            raise CannotOpen("the key that the envelope was sealed for is not held here, or was destroyed")
        key = RecipientKey(self._unlock(prekey_id, locked))
        if forgotten == self._forgotten:
            self._kept[prekey_id] = key
        while len(self._kept) > OPENED_KEYS_KEPT:
            self._kept.popitem(last=False)
        return key

    def forget(self) -> None:
        """Drop every unlocked key, because some have just been destroyed."""
        self._forgotten += 1
        self._kept.clear()

    def _unlock(self, prekey_id: bytes, locked: bytes) -> bytes:
        try:
            return self._context.vault.unlock("prekey", prekey_id, locked)
        except StoreFailed as error:
            # No later try would open it, so the sender must hear of it.
            raise CannotOpen(error.message, hint=error.hint) from error


def logical_key(sender: str, notice: bytes) -> bytes:
    """Return what names a notice under whatever envelope: its sender and logical id."""
    return sender.encode("ascii") + b"/" + notice


class Openings:
    """Verifies and opens what is delivered; the store is only asked, never changed, here."""

    def __init__(self, context: NodeContext, prekeys: PrekeyRing) -> None:
        self._context = context
        self._prekeys = prekeys

    async def open(self, item: Item, seen: frozenset[bytes]) -> NoticeRecord | None:
        """Return an opened notice, or None if this envelope has been dealt with before.

        Args:
            item: The delivered envelope.
            seen: Envelope ids and logical keys of the same round.

        Raises:
            FormatError, TrustError: nothing in it may be believed.
            NoticeRefused: it is genuine but must not, or cannot, be shown.
        """
        context = self._context
        verified = verify_delivery(
            context.directory, context.verifier, item.content, context.state, context.clock.now_ms()
        )
        envelope = verified.id
        if envelope in seen or context.engine.look_up(lambda db: has_notice(db, envelope)):
            return None
        addressee = verified.header.recipients[verified.delivery.index]
        key = await self._prekeys.find(addressee.prekey_id)
        opened = open_delivery(verified.delivery, verified.manifest, verified.header, key)
        sender, logical = verified.header.sender, opened.body.notice
        known = context.engine.look_up(lambda db: has_logical_notice(db, sender, logical))
        if known or logical_key(sender, logical) in seen:
            raise Replayed(f"{sender} sent this notice before under another envelope")
        return NoticeRecord(
            envelope=envelope,
            header=verified.header,
            manifest=verified.delivery.manifest,
            proof=codec.encode(verified.delivery.proof),
            salt=verified.delivery.payload[:SALT_BYTES],
            notice=logical,
            position=opened.position,
            content=lock_content(context.vault, envelope, opened.body, opened.content_key),
            priority=relay_priority(verified.header.severity.point),
            decryption_proof=decryption_proof(opened.content_key, envelope, context.state),
        )

    def envelope_of(self, item: Item) -> bytes | None:
        """Return the id that an item claims, if it parses at all; nothing about it is verified."""
        if item.kind is not ItemKind.ENVELOPE:
            return None
        try:
            return parse_delivery(item.content)[1].id
        except FormatError:
            return None
