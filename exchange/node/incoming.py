"""What is delivered, before anybody looks into the store: opened or checked, each item by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from exchange.node.openings import BREATH, Openings, Prepared
from exchange.node.receipts import Checked, Receipts
from exchange.node.records import Item
from exchange.stores.node_notices import NoticeRow
from protocol.errors import AlmenaraError
from protocol.session.messages import ItemKind


@dataclass(frozen=True, slots=True)
class Found:
    """What one item is: an envelope, a statement, or a statement in which nothing may be believed."""

    item: Item
    envelope: Prepared | None = None
    statement: Checked | None = None
    error: AlmenaraError | None = None


async def prepare(openings: Openings, receipts: Receipts, items: Sequence[Item]) -> list[Found]:
    """Verify and open what was delivered; what is wrong with one item is said of that one."""
    envelopes = [item for item in items if item.kind is not ItemKind.STATEMENT]
    opened = iter(await openings.prepare(envelopes) if envelopes else ())
    found: list[Found] = []
    for item in items:
        if item.kind is not ItemKind.STATEMENT:
            found.append(Found(item, envelope=next(opened)))
            continue
        found.append(_check(receipts, item))
        if len(found) % BREATH == 0:
            # Other tasks, heartbeats among them, get their turn.
            await asyncio.sleep(0)
    return found


def look(openings: Openings, receipts: Receipts, found: Sequence[Found]) -> dict[bytes, NoticeRow]:
    """Find out what the store knows of a round; return our own notices that its statements are about.

    Raises:
        StoreFailed: the store cannot be read.
    """
    if envelopes := [one.envelope for one in found if one.envelope is not None]:
        openings.look(envelopes)
    return receipts.rows(one.statement for one in found if one.statement is not None)


def _check(receipts: Receipts, item: Item) -> Found:
    try:
        return Found(item, statement=receipts.check(item.content))
    except AlmenaraError as error:
        return Found(item, error=error)
