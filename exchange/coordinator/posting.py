"""From a commit to those who are here: what was just stored is handed over, and not read again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from exchange.stores.contract import Entry, MailPlace, NewEnvelope
from protocol import codec
from protocol.envelope import Submission, deliver
from protocol.session.messages import ItemKind

Offer = Callable[[str, int, ItemKind, Callable[[], bytes]], None]
"""Takes a recipient, a place in its mailbox, what lies there, and what makes its bytes."""


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
            offer(recipient, place.sequence, ItemKind.ENVELOPE, content)
        elif not isinstance(entry, NewEnvelope):
            offer(recipient, place.sequence, ItemKind.STATEMENT, partial(bytes, entry.data))


def delivery_of(submission: Submission, position: int) -> bytes:
    """Return what one recipient gets of an envelope."""
    return codec.encode(deliver(submission, position))
