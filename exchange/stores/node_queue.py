"""What the coordinator must still be given: a queue in the node's store, most urgent first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import apsw

from exchange.stores.many_rows import insert_rows, parts

OutgoingKind = Literal["submit", "attest", "publish"]

ATTEST_PRIORITY = 0
PUBLISH_PRIORITY = 0


_READ = """
    SELECT number, kind, priority, subject,
        CASE WHEN kind = 'attest' AND length(content) = 0
            THEN (SELECT body FROM statement WHERE id = subject) ELSE content END
    FROM outgoing WHERE number = ?
"""


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
    """Add one thing to hand over; it stays until :func:`remove_all`."""
    db.execute(
        "INSERT INTO outgoing (kind, priority, subject, content) VALUES (?, ?, ?, ?)",
        (kind, priority, subject, content),
    )


def enqueue_envelopes(db: apsw.Connection, rows: Sequence[tuple[int, bytes, bytes]]) -> None:
    """Add envelopes in order: priority, id, and the submission."""
    values = [("submit", *row) for row in rows]
    insert_rows(db, "INSERT INTO outgoing (kind, priority, subject, content) VALUES", values)


def enqueue_statements(db: apsw.Connection, statements: Sequence[bytes]) -> None:
    """Add stored statements of our own to what is handed over; they are read where they are stored."""
    rows = [("attest", ATTEST_PRIORITY, statement, b"") for statement in statements]
    insert_rows(db, "INSERT INTO outgoing (kind, priority, subject, content) VALUES", rows)


def read_queue(db: apsw.Connection, limit: int, except_: Collection[int]) -> list[OutgoingRow]:
    """Return the most urgent things that are not in ``except_``, oldest first among equals."""
    return _read(db, _most_urgent(db, limit, except_))


def read_small_queue(
    db: apsw.Connection, limit: int, except_: Collection[int], most_bytes: int
) -> list[OutgoingRow] | None:
    """Return the same, or None, before anything large is read, if their contents have more bytes in all."""
    wanted = _most_urgent(db, limit, except_)
    return None if sum(size for _, size in wanted) > most_bytes else _read(db, wanted)


def _most_urgent(db: apsw.Connection, limit: int, except_: Collection[int]) -> list[tuple[int, int]]:
    """Return numbers, and how many bytes each has."""
    order = db.execute("SELECT number, length(content) FROM outgoing ORDER BY priority, number")
    return list(islice((one for one in order if one[0] not in except_), limit))


def _read(db: apsw.Connection, wanted: Sequence[tuple[int, int]]) -> list[OutgoingRow]:
    # Only the contents that are asked for are read: an envelope may have 2 MiB.
    return [OutgoingRow(*row) for number, _ in wanted for row in db.execute(_READ, (number,))]


def read_published(db: apsw.Connection) -> list[bytes]:
    """Return the documents that wait to be handed over, oldest first."""
    query = "SELECT content FROM outgoing WHERE kind = 'publish' ORDER BY number"
    return [row[0] for row in db.execute(query)]


def remove_all(db: apsw.Connection, numbers: Sequence[int]) -> None:
    """Forget several things, because they were answered for good.

    What is sealed, signed or public need not be overwritten where a whole page of it is given back: that
    would write each envelope a second time. Whatever else this store deletes is.
    """
    if not numbers:
        return
    db.execute("PRAGMA secure_delete = FAST")
    try:
        for part in parts(numbers):
            marks = ", ".join("?" * len(part))
            db.execute(f"DELETE FROM outgoing WHERE number IN ({marks})", tuple(part))  # noqa: S608
    finally:
        db.execute("PRAGMA secure_delete = ON")


def queue_length(db: apsw.Connection) -> int:
    """Return how many things still have to be handed over."""
    return int(db.execute("SELECT count(*) FROM outgoing").get)
