"""What only the unsealer can open, asked of it: one prekey, chosen by the id that an object names.

No other key is ever tried, and the unsealer is not even asked where the id is unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from exchange.node.context import NodeContext
from exchange.stores.node_books import PrekeyRow, find_prekey
from keys.wrap import wrap
from protocol.digest import tag
from protocol.documents import Prekey
from protocol.errors import AlmenaraError, CannotOpen
from protocol.suite import WRAP_PLAINTEXT_BYTES

DOES_NOT_OPEN = "the wrap does not open with this key and these bindings"


async def unseal_wrap(context: NodeContext, prekey_id: bytes, sealed: bytes, info: bytes) -> bytes:
    """Return what a wrap holds.

    Args:
        context: The node.
        prekey_id: The one key that the envelope names.
        sealed: The wrap.
        info: What it binds.

    Raises:
        CannotOpen: the key is not held here, its stored half was altered, its time is over and it was
            destroyed, or the wrap does not open with it.
        StoreFailed: the key cannot be reached now, which says nothing about the wrap.
    """
    row = _row(context, prekey_id)
    return await context.unsealer.open_wrap(prekey_id, row.day, row.locked_seed, sealed, info)


async def unseal_wraps(
    context: NodeContext, wraps: Sequence[tuple[bytes, bytes, bytes]]
) -> list[bytes | AlmenaraError]:
    """Return what each wrap holds, in order, or why it cannot be had; as :func:`unseal_wrap` would raise it.

    Args:
        context: The node.
        wraps: The prekey that the envelope names, the wrap, and what it binds.
    """
    found: list[bytes | AlmenaraError] = [b""] * len(wraps)
    by_key: dict[bytes, list[int]] = {}
    for number, (prekey_id, _, _) in enumerate(wraps):
        by_key.setdefault(prekey_id, []).append(number)

    async def one_key(prekey_id: bytes, numbers: list[int]) -> None:
        opened: Sequence[bytes | None]
        try:
            row = _row(context, prekey_id)
            bound = [wraps[number][1:] for number in numbers]
            opened = await context.unsealer.open_wraps(prekey_id, row.day, row.locked_seed, bound)
        except AlmenaraError as error:
            for number in numbers:
                found[number] = error
            return
        for number, plaintext in zip(numbers, opened, strict=True):
            found[number] = CannotOpen(DOES_NOT_OPEN) if plaintext is None else plaintext

    await asyncio.gather(*(one_key(*group) for group in by_key.items()))
    return found


async def unseal_note(context: NodeContext, prekey_id: bytes, sealed: bytes, info: bytes) -> bytes:
    """Return an officer's note, still padded; arguments and errors as :func:`unseal_wrap`."""
    row = _row(context, prekey_id)
    return await context.unsealer.open_note(prekey_id, row.day, row.locked_seed, sealed, info)


async def can_unseal(context: NodeContext, key: Prekey) -> bool:
    """Whether what others seal to one of our own keys can be opened here: it is tried.

    Raises:
        StoreFailed: the key cannot be reached now.
    """
    info = tag("wrap") + key.key_id
    try:
        await unseal_wrap(context, key.key_id, wrap(key.public, info, bytes(WRAP_PLAINTEXT_BYTES)), info)
    except CannotOpen:
        return False
    return True


def _row(context: NodeContext, prekey_id: bytes) -> PrekeyRow:
    row = context.engine.look_up(lambda db: find_prekey(db, prekey_id))
    if row is None:
        raise CannotOpen("the key that this was sealed for is not held here, or was destroyed")
    return row
