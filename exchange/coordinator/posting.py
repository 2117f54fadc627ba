"""From a commit to those who are here: what was just stored is handed over, and not read again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from exchange.stores.contract import Entry, MailPlace, NewEnvelope
from protocol import codec
from protocol.envelope import Submission, deliver
from protocol.session.messages import ItemKind


class Offer(Protocol):
    """Takes what was just stored; arguments as :meth:`exchange.coordinator.mailbox.Pusher.offer`."""

    def __call__(
        self,
        recipient: str,
        sequence: int,
        kind: ItemKind,
        content: Callable[[], bytes],
        *,
        sender: str = "",
        is_urgent: bool = False,
    ) -> None:
        """Hand an item to its recipient's mailbox, if the recipient is here."""
        ...


def post(entry: Entry, mailed: Iterator[MailPlace], offer: Offer | None) -> Iterator[str]:
    """Offer an entry's items to their recipients, and yield those who must be woken instead.

    Args:
        entry: What was stored.
        mailed: The places that the commit has filled and that were not posted yet, as
            :attr:`exchange.stores.contract.Turn.mailed` has them.
        offer: Takes them, if anybody does.
    """
    envelope = entry if isinstance(entry, NewEnvelope) else None
    recipients = entry.recipients if isinstance(entry, NewEnvelope) else entry.mail_to
    for position, recipient in enumerate(recipients):
        place = next(mailed, None)
        if place is None or offer is None:
            yield recipient
        elif envelope is not None:
            content = partial(delivery_of, envelope.submission, position)
            offer(
                recipient,
                place.sequence,
                ItemKind.ENVELOPE,
                content,
                sender=envelope.sender,
                is_urgent=envelope.is_urgent,
            )
        elif not isinstance(entry, NewEnvelope):
            said = partial(bytes, entry.data)
            offer(recipient, place.sequence, ItemKind.STATEMENT, said, sender=entry.party)


def delivery_of(submission: Submission, position: int) -> bytes:
    """Return what one recipient gets of an envelope."""
    return codec.encode(deliver(submission, position))
