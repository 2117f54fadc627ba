"""How a round of sealed notices becomes durable: in one transaction, in step with their numbers.

A notice that the store refuses undoes only itself. Those behind it that continue its numbers are then out
of step: they are not stored, and are sealed again with others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import apsw

from exchange.stores.connection import REFUSALS
from exchange.stores.node_books import NewEvent, record_events
from exchange.stores.node_notices import NewNotice, insert_all_deliveries, insert_notices
from exchange.stores.node_queue import enqueue, enqueue_envelopes
from exchange.stores.node_statements import Pairs, read_pairs, save_pair
from keys.sealing import PairPosition, SealedNotice, SealFor
from protocol import codec


class OutOfStep(Exception):
    """A notice whose number does not follow the last one stored; no caller ever sees it."""


@dataclass(frozen=True, slots=True)
class Writing:
    """One sealed notice.

    Attributes:
        sealed: The envelope.
        recipients: Whom it is for, with the numbers that were given to it.
        priority: Its place in the queue.
        store: Stores everything about it but numbers and queue.
        rows: Returns what that would store, if it is only rows; made once the round is written.
    """

    sealed: SealedNotice
    recipients: tuple[SealFor, ...]
    priority: int
    store: Callable[[apsw.Connection], None]
    rows: Callable[[], NewNotice] | None = None


def write_round(db: apsw.Connection, writings: Sequence[Writing]) -> list[Exception | None]:
    """Store notices in order, with their numbers and places in the queue; return what each failed with.

    Raises:
        apsw.Error: the disk refuses: nothing of the round is stored.
    """
    pairs = read_pairs(db)
    before = dict(pairs)
    if _write_together(db, writings, pairs):
        failed: list[Exception | None] = [None] * len(writings)
    else:
        failed = [_write_one(db, writing, pairs) for writing in writings]
    for recipient, (sequence, name) in pairs.items():
        if before.get(recipient) != (sequence, name):
            save_pair(db, recipient, sequence, name)
    return failed


def position(pairs: Pairs, state: str) -> PairPosition:
    """Return the number that follows the last one for a recipient."""
    sequence, previous = pairs.last(state)
    return PairPosition(sequence=sequence + 1, previous=previous)


def _write_together(db: apsw.Connection, writings: Sequence[Writing], pairs: Pairs) -> bool:
    """Store all of a round with few calls; False, and nothing is changed, if something stands against it."""
    makers = [writing.rows for writing in writings if writing.rows is not None]
    after = _numbered(writings, pairs)
    if len(writings) < 2 or len(makers) < len(writings) or after is None:
        return False
    db.execute("SAVEPOINT round")
    try:
        new = [make() for make in makers]
        insert_notices(db, [one.row for one in new], [one.body for one in new])
        insert_all_deliveries(db, [(one.row.id, row) for one in new for row in one.deliveries])
        record_events(db, new[0].row.stored_ms, [queued_event(one) for one in new])
        enqueue_envelopes(
            db, [(one.priority, one.sealed.id, codec.encode(one.sealed.submission)) for one in writings]
        )
    except Exception as error:
        if isinstance(error, REFUSALS) or not db.in_transaction:
            raise
        # One by one, so that only the guilty one is refused.
        db.execute("ROLLBACK TO round")
        db.execute("RELEASE round")
        return False
    db.execute("RELEASE round")
    pairs.update(after)
    return True


def _numbered(writings: Sequence[Writing], pairs: Pairs) -> Pairs | None:
    """Return the numbers after all of a round, or None if one does not follow the one before it."""
    after = Pairs(pairs, pairs.start)
    for writing in writings:
        if any(entry.position != position(after, entry.state) for entry in writing.recipients):
            return None
        for entry in writing.recipients:
            after[entry.state] = (entry.position.sequence, writing.sealed.id)
    return after


def queued_event(new: NewNotice) -> NewEvent:
    """Return what is told of a notice that is on its way."""
    states = ",".join(row.recipient for row in new.deliveries)
    return NewEvent(event="notice.queued", envelope=new.row.id, state=states)


def _write_one(db: apsw.Connection, writing: Writing, pairs: Pairs) -> Exception | None:
    if any(entry.position != position(pairs, entry.state) for entry in writing.recipients):
        return OutOfStep()
    db.execute("SAVEPOINT notice")
    try:
        writing.store(db)
        name = writing.sealed.id
        enqueue(db, "submit", writing.priority, name, codec.encode(writing.sealed.submission))
    except Exception as error:
        if isinstance(error, REFUSALS) or not db.in_transaction:
            raise
        db.execute("ROLLBACK TO notice")
        db.execute("RELEASE notice")
        return error
    db.execute("RELEASE notice")
    for entry in writing.recipients:
        pairs[entry.state] = (entry.position.sequence, name)
    return None
