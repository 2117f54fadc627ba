"""Pushing a mailbox over a session: in order, as far as the other side's window allows, from its cursor.

A session starts again where the recipient's cursor stands. Whatever was sent and not collected is
sent again: delivered at least once, in the order of commits, nothing skipped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from exchange.coordinator.cursors import Cursors
from exchange.stores.contract import CoordinatorStore, MailItem
from protocol.envelope import MAX_SUBMISSION_BYTES
from protocol.session.messages import Collected, Deliver, Message, Unusable

READ_ITEMS = 64
READ_BYTES = 2 * 1024 * 1024


class Outlet(Protocol):
    """What a pusher needs of a session."""

    def may_deliver(self, size: int) -> bool:
        """Whether a Deliver with ``size`` bytes of content may be sent now."""
        ...

    def send(self, message: Message) -> None:
        """Queue one message."""
        ...

    async def flush(self) -> None:
        """Wait until the other side takes more."""
        ...


class Pusher:
    """One recipient's mailbox on one session.

    Args:
        recipient: The state's code.
        outlet: The session.
        store: The mailboxes.
        cursors: What was collected.
        epoch: The session's, which goes with every move of the cursor; None if there is one process only.
    """

    def __init__(
        self,
        recipient: str,
        outlet: Outlet,
        store: CoordinatorStore,
        cursors: Cursors,
        epoch: int | None = None,
    ) -> None:
        self._recipient = recipient
        self._outlet = outlet
        self._store = store
        self._cursors = cursors
        self._epoch = epoch
        self._sent = 0
        self._mail = asyncio.Event()
        self._room = asyncio.Event()
        self._reported = 0

    def wake(self) -> None:
        """Say that there may be new items."""
        self._mail.set()

    def reaches(self, head: int) -> None:
        """Say that the mailbox goes up to this place by now: there may be new items."""
        if head > self._sent:
            self._mail.set()

    def collected(self, message: Collected) -> None:
        """Move the cursor; the session has checked that the item was sent."""
        self._cursors.collected(self._recipient, message.sequence, self._epoch)
        self._room.set()

    def unusable(self, message: Unusable) -> bool:
        """Record that an item could not be used; the session has checked that it was sent.

        Reports come in order, once for each item; any other is passed over, and False returned.
        """
        if message.sequence <= self._reported:
            return False
        self._reported = message.sequence
        self._cursors.unusable(self._recipient, message.sequence, message.code, self._epoch)
        return True

    async def run(self) -> None:
        """Push until cancelled.

        Raises:
            StoreFailed: the mailbox cannot be read; end the session, the node will come again.
            RemoteProtocolError, Unreachable: the session has ended.
        """
        self._sent = await self._cursors.start(self._recipient)
        while True:
            # Cleared before looking, so that an item that arrives meanwhile is looked for again.
            self._mail.clear()
            items = await self._store.mail(
                self._recipient, self._sent, limit=READ_ITEMS, max_bytes=READ_BYTES
            )
            if items:
                await self._push(items)
                self._sent = items[-1].sequence
            if were_all(items):
                await self._mail.wait()

    async def _push(self, items: Sequence[MailItem]) -> None:
        for item in items:
            while not self._outlet.may_deliver(len(item.content)):
                self._room.clear()
                await self._room.wait()
            self._outlet.send(Deliver(sequence=item.sequence, item=item.kind, content=item.content))
        await self._outlet.flush()


def were_all(items: Sequence[MailItem]) -> bool:
    """Whether a reading ended for want of items: not at a limit, even had the largest followed."""
    size = sum(len(item.content) for item in items)
    return len(items) < READ_ITEMS and size + MAX_SUBMISSION_BYTES <= READ_BYTES
