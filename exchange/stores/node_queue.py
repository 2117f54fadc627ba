"""What the coordinator must still be given: a queue in the node's store, most urgent first."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import apsw

OutgoingKind = Literal["submit", "attest", "publish"]

ATTEST_PRIORITY = 0
PUBLISH_PRIORITY = 0


@dataclass(frozen=True, slots=True)
class OutgoingRow:
    """One thing to hand over: an envelope, a statement or a document.

    ``subject`` is the envelope's or statement's id, or the document's hash.
    """

    number: int
    kind: OutgoingKind
    priority: int
    subject: bytes
    content: bytes


def enqueue(db: apsw.Connection, kind: OutgoingKind, priority: int, subject: bytes, content: bytes) -> None:
    """Add one thing to hand over; it stays until :func:`remove`."""
    db.execute(
        "INSERT INTO outgoing (kind, priority, subject, content) VALUES (?, ?, ?, ?)",
        (kind, priority, subject, content),
    )


def read_queue(db: apsw.Connection, limit: int, except_: Collection[int]) -> list[OutgoingRow]:
    """Return the most urgent things that are not in ``except_``, oldest first among equals."""
    rows: list[OutgoingRow] = []
    query = "SELECT number, kind, priority, subject, content FROM outgoing ORDER BY priority, number"
    for row in db.execute(query):
        if row[0] not in except_:
            rows.append(OutgoingRow(*row))
            if len(rows) == limit:
                break
    return rows


def remove(db: apsw.Connection, number: int) -> None:
    """Forget one thing, because it was answered for good."""
    db.execute("DELETE FROM outgoing WHERE number = ?", (number,))


def queue_length(db: apsw.Connection) -> int:
    """Return how many things still have to be handed over."""
    return int(db.execute("SELECT count(*) FROM outgoing").get)
