"""Opening a delivered envelope: every check in order, one secret key, chosen by id, never by trial."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import apsw

from exchange.node.context import NodeContext
from exchange.node.records import AgainRecord, Item, NoticeRecord
from exchange.node.summary import lock_content, unlock_body
from exchange.stores.node_books import find_prekey
from exchange.stores.node_notices import find_body, find_logical_notice
from exchange.stores.node_statements import has_said
from keys.authenticity import verify_delivery
from keys.sealing import SALT_BYTES, decryption_proof, open_delivery
from keys.wrap import RecipientKey
from protocol import codec
from protocol.envelope import Sealed, parse_delivery
from protocol.errors import CannotOpen, FormatError, Replayed, StoreFailed
from protocol.notice import Body
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

    async def holds(self, prekey_id: bytes) -> bool:
        """Whether what is sealed for a key can be opened here."""
        try:
            await self.find(prekey_id)
        except CannotOpen:
            return False
        return True

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
        """
        context = self._context
        verified = verify_delivery(
            context.directory, context.verifier, item.content, context.state, context.clock.now_ms()
        )
        envelope = verified.id
        if envelope in seen or context.engine.look_up(lambda db: has_said(db, envelope, context.state)):
            return None
        addressee = verified.header.recipients[verified.delivery.index]
        key = await self._prekeys.find(addressee.prekey_id)
        opened = open_delivery(verified.delivery, verified.manifest, verified.header, key)
        sender, logical = verified.header.sender, opened.body.notice
        proof = decryption_proof(opened.content_key, envelope, context.state)
        before = opened_before.get(logical_key(sender, logical))
        kept = await self._kept(sender, logical) if before is None else (before.envelope, before.content.body)
        if kept is not None:
            if not self._is_same(opened.body, *kept):
                raise Replayed(f"{sender} sent another notice before under the same logical id")
            return AgainRecord(envelope, sender, opened.position.sequence, proof)
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
