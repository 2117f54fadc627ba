"""How a round of sealed notices becomes durable: in one transaction, in step with their numbers.

A notice that the store refuses undoes only itself. Those behind it that continue its numbers are then out
of step: they are not stored, and are sealed again with others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import apsw

from exchange.stores.connection import REFUSALS
from exchange.stores.node_queue import enqueue
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
    """

    sealed: SealedNotice
    recipients: tuple[SealFor, ...]
    priority: int
    store: Callable[[apsw.Connection], None]


def write_round(db: apsw.Connection, writings: Sequence[Writing]) -> list[Exception | None]:
    """Store notices in order, with their numbers and places in the queue; return what each failed with.

    Raises:
        apsw.Error: the disk refuses: nothing of the round is stored.
    """
    pairs = read_pairs(db)
    before = dict(pairs)
    failed = [_write_one(db, writing, pairs) for writing in writings]
    for recipient, (sequence, name) in pairs.items():
        if before.get(recipient) != (sequence, name):
            save_pair(db, recipient, sequence, name)
    return failed


def position(pairs: Pairs, state: str) -> PairPosition:
    """Return the number that follows the last one for a recipient."""
    sequence, previous = pairs.last(state)
    return PairPosition(sequence=sequence + 1, previous=previous)


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
