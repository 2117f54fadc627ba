"""Pushing a mailbox over a session: in order, as far as the other side's window allows, from its cursor.

A session starts again where the recipient's cursor stands. Whatever was sent and not collected is
sent again: delivered at least once, in the order of commits, nothing skipped.

Whoever is here and has been pushed everything gets what is stored next from memory, as soon as it is
durable; everybody else's is read from the store.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from exchange.coordinator.cursors import Cursors
from exchange.stores.contract import CoordinatorStore, MailItem
from protocol.envelope import MAX_SUBMISSION_BYTES
from protocol.session.messages import Ahead, Collected, Deliver, ItemKind, Message, Unusable

READ_ITEMS = 64
READ_BYTES = 2 * 1024 * 1024


FLUSH_BYTES = 32 * 1024

MOST_AHEAD = 8
"""So many urgent items of up to FLUSH_BYTES go ahead before anything else is taken: they fill no window."""


class Senders:
    """Of whom something waits in a mailbox, as far as it was told."""

    def __init__(self) -> None:
        self._last = 0
        self._unknown = 0
        """Up to here somebody else may have stored something."""
        self._newest: dict[str, int] = {}

    def note(self, sequence: int, sender: str) -> None:
        """Note whose item has this place; places that were skipped are unknown."""
        if sequence != self._last + 1:
            self._unknown = sequence - 1
        self._last = sequence
        self._newest[sender] = sequence

    def has_nothing_between(self, sent: int, sequence: int, sender: str) -> bool:
        """Whether nothing of a sender waits between what was pushed and a place that comes next."""
        unknown = self._unknown if sequence == self._last + 1 else sequence - 1
        return sent >= unknown and self._newest.get(sender, 0) <= sent


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
        self._fresh: deque[MailItem] = deque()
        """What was stored lately, and follows what was pushed or is being pushed."""
        self._fresh_bytes = 0
        self._senders = Senders()
        self._ahead = 0
        """How many went ahead since the other side has taken anything else."""
        self._expected: int | None = None
        """The place of the next item, if everything before it was pushed or is held here."""
        self._mail = asyncio.Event()
        self._room = asyncio.Event()
        self._reported = 0

    def wake(self) -> None:
        """Say that there may be new items: they are read from the store."""
        self._expected = None
        self._mail.set()

    def reaches(self, head: int) -> None:
        """Say that the mailbox goes up to this place by now: there may be new items."""
        if head > self._sent if self._expected is None else head >= self._expected:
            self.wake()

    def offer(
        self,
        sequence: int,
        kind: ItemKind,
        content: Callable[[], bytes],
        *,
        sender: str = "",
        is_urgent: bool = False,
    ) -> None:
        """Take an item that has just become durable, so that it need not be read again.

        Args:
            sequence: Its place.
            kind: What it is.
            content: Makes its bytes; not called if the item must be read from the store in its turn.
            sender: Whose envelope it is; empty for a statement.
            is_urgent: Whether it may go ahead of what others have sent.
        """
        goes_ahead = is_urgent and self._may_go_ahead(sequence, sender)
        self._senders.note(sequence, sender)
        if goes_ahead and len(data := content()) <= FLUSH_BYTES:
            self._ahead += 1
            self._outlet.send(Ahead(content=data))
        if sequence != self._expected or len(self._fresh) >= READ_ITEMS or self._fresh_bytes >= READ_BYTES:
            self.wake()
            return
        item = MailItem(sequence, kind, content())
        self._fresh.append(item)
        self._fresh_bytes += len(item.content)
        self._expected = sequence + 1
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
            if self._fresh:
                await self._push(self._taken())
            elif self._expected is None:
                items = await self._store.mail(
                    self._recipient, self._sent, limit=READ_ITEMS, max_bytes=READ_BYTES
                )
                await self._push(items)
                if were_all(items) and not self._mail.is_set():
                    self._expected = self._sent + 1
            if self._expected is not None and not self._fresh:
                await self._mail.wait()

    def _may_go_ahead(self, sequence: int, sender: str) -> bool:
        """Whether an item would have to wait for what others have sent, and for nothing of its own sender."""
        waits = self._sent + 1 != sequence and self._ahead < MOST_AHEAD
        return waits and self._senders.has_nothing_between(self._sent, sequence, sender)

    def _taken(self) -> list[MailItem]:
        items = list(self._fresh)
        self._fresh.clear()
        self._fresh_bytes = 0
        return items

    async def _push(self, items: Sequence[MailItem]) -> None:
        size = 0
        for item in items:
            while not self._outlet.may_deliver(len(item.content)):
                self._room.clear()
                await self._room.wait()
            self._outlet.send(Deliver(sequence=item.sequence, item=item.kind, content=item.content))
            self._sent = item.sequence
            size += len(item.content)
            if size >= FLUSH_BYTES:
                # What is handed down can no longer be overtaken.
                await self._outlet.flush()
                size = self._ahead = 0
        if size:
            await self._outlet.flush()
            self._ahead = 0


def were_all(items: Sequence[MailItem]) -> bool:
    """Whether a reading ended for want of items: not at a limit, even had the largest followed."""
    size = sum(len(item.content) for item in items)
    return len(items) < READ_ITEMS and size + MAX_SUBMISSION_BYTES <= READ_BYTES
