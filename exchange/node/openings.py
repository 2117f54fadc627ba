"""Opening delivered envelopes: every check in order, one secret key, chosen by id, never by trial.

It is done for many at once, in three steps. :meth:`Openings.prepare` finds out what each envelope is and
holds, without a look into the store; :meth:`Openings.look` finds out, in one look, what the store knows of
them; :meth:`Openings.open` says what becomes of one, by that and by what came before it in its round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import apsw

from exchange.node.context import NodeContext
from exchange.node.records import AgainRecord, Item, NoticeRecord
from exchange.node.summary import lock_content, unlock_body
from exchange.node.unsealing import unseal_wraps
from exchange.stores.node_notices import find_body, find_logical_notice
from exchange.stores.node_statements import has_said
from keys.authenticity import VerifiedDelivery, verify_delivery
from keys.sealing import SALT_BYTES, OpenedNotice, decryption_proof, epoch_began_ms, open_delivery, wrap_info
from keys.trust import MAX_SKEW_MS
from protocol import codec
from protocol.envelope import Sealed, parse_delivery
from protocol.errors import AlmenaraError, CannotOpen, FormatError, Replayed, StoreFailed
from protocol.notice import Body
from protocol.session.messages import ItemKind
from protocol.urgency import relay_priority

BREATH = 8
"""How many envelopes are checked before other tasks, heartbeats among them, get their turn."""


def logical_key(sender: str, notice: bytes) -> bytes:
    """Return what names a notice under whatever envelope: its sender and logical id."""
    return sender.encode("ascii") + b"/" + notice


@dataclass(slots=True)
class Prepared:
    """What is known of one delivered envelope.

    Attributes:
        item: What was delivered.
        verified: The envelope, if its sender has truly signed it for this state.
        opened: What it holds, if it could be opened.
        error: Why one of these two is not there.
        answered: Whether this node has answered for it before.
        kept: Envelope and locked body of a recorded notice with the same logical id.
    """

    item: Item
    verified: VerifiedDelivery | None = None
    opened: OpenedNotice | None = None
    error: AlmenaraError | None = None
    answered: bool = False
    kept: tuple[bytes, bytes] | None = None


class Openings:
    """Verifies and opens what is delivered; the store is only asked, never changed, here."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context

    async def prepare(self, items: Sequence[Item]) -> list[Prepared]:
        """Verify and open envelopes, each by itself: what is wrong with one is said of that one."""
        found = [Prepared(item) for item in items]
        for number, one in enumerate(found, start=1):
            self._verify(one)
            if number % BREATH == 0:
                await asyncio.sleep(0)
        genuine = [(one, one.verified) for one in found if one.verified is not None]
        unwrapped = await unseal_wraps(self._context, [_wrap_of(verified) for _, verified in genuine])
        for number, ((one, verified), content) in enumerate(zip(genuine, unwrapped, strict=True), start=1):
            _open(one, verified, content)
            if number % BREATH == 0:
                await asyncio.sleep(0)
        return found

    def look(self, prepared: Sequence[Prepared]) -> None:
        """Find out what the store knows of these envelopes; what it is told after this is not seen.

        Raises:
            StoreFailed: the store cannot be read.
        """
        state = self._context.state

        def read(db: apsw.Connection) -> None:
            for one in prepared:
                if one.verified is not None:
                    one.answered = has_said(db, one.verified.id, state)
                    one.kept = _kept(db, one.verified, one.opened)

        self._context.engine.look_up(read)

    def open(
        self, prepared: Prepared, seen: Collection[bytes], opened_before: Mapping[bytes, NoticeRecord]
    ) -> NoticeRecord | AgainRecord | None:
        """Return an opened notice, or None if this envelope has been answered before.

        A notice that is recorded already, and came again in another envelope because its sender did not
        know that, is an :class:`AgainRecord`: it was opened and is stored, as RECEIVED says.

        Args:
            prepared: The delivered envelope, after :meth:`look`.
            seen: Envelope ids of the same round.
            opened_before: Notices of the same round by :func:`logical_key`.

        Raises:
            FormatError, TrustError: nothing in it may be believed.
            NoticeRefused: it is genuine but must not, or cannot, be shown.
            StoreFailed: it cannot be opened now, and may be later.
        """
        verified, opened = prepared.verified, prepared.opened
        if verified is None:
            raise _why(prepared)
        envelope = verified.id
        if envelope in seen or prepared.answered:
            return None
        if opened is None:
            raise _why(prepared)
        delivery, header = verified.delivery, verified.header
        if epoch_began_ms(opened.position.epoch) > header.created_ms + MAX_SKEW_MS:
            # Whoever could name any epoch could name the last one, behind which no gap shows.
            raise CannotOpen("the notice is numbered in an epoch that begins after it was made")
        sender, logical = header.sender, opened.body.notice
        proof = decryption_proof(opened.content_key, envelope, self._context.state)
        before = opened_before.get(logical_key(sender, logical))
        kept = prepared.kept if before is None else (before.envelope, before.content.body)
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
            content=lock_content(self._context.vault, envelope, opened.body, opened.content_key),
            priority=relay_priority(header.severity.point),
            decryption_proof=proof,
        )

    def _verify(self, one: Prepared) -> None:
        context = self._context
        try:
            one.verified = verify_delivery(
                context.directory, context.verifier, one.item.content, context.state, context.clock.now_ms()
            )
        except AlmenaraError as error:
            one.error = error

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


def _wrap_of(verified: VerifiedDelivery) -> tuple[bytes, bytes, bytes]:
    """Return the one key that an envelope names for this state, its wrap, and what that binds."""
    delivery, header = verified.delivery, verified.header
    info = wrap_info(verified.manifest, header, delivery.index)
    return header.recipients[delivery.index].prekey_id, delivery.wrap, info


def _open(one: Prepared, verified: VerifiedDelivery, unwrapped: bytes | AlmenaraError) -> None:
    if isinstance(unwrapped, AlmenaraError):
        one.error = unwrapped
        return
    try:
        one.opened = open_delivery(verified.delivery, verified.manifest, verified.header, unwrapped)
    except AlmenaraError as error:
        one.error = error


def _kept(
    db: apsw.Connection, verified: VerifiedDelivery, opened: OpenedNotice | None
) -> tuple[bytes, bytes] | None:
    """Return envelope and locked body of a recorded notice with the same logical id."""
    if opened is None:
        return None
    row = find_logical_notice(db, verified.header.sender, opened.body.notice)
    return None if row is None else (row.id, find_body(db, row.content_id))


def _why(prepared: Prepared) -> AlmenaraError:
    return prepared.error or CannotOpen("the envelope was not opened")
