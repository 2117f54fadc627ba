"""Many rows with few calls: each call into SQLite gives the interpreter's lock away, and must get it back.

A statement's text names how many rows it takes. Only a few lengths are used, so that each is prepared once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import apsw

Row = tuple[bytes | str | int | None, ...]

LENGTHS = (128, 16, 4, 1)
"""Rows, or ids, in one statement; SQLite takes 32,766 values at most."""


def insert_rows(db: apsw.Connection, into: str, rows: Sequence[Row], *, then: str = "") -> None:
    """Insert rows in order.

    Args:
        db: The connection of the transaction.
        into: Such as ``INSERT INTO mailbox VALUES``, a constant of the program.
        rows: All of the same length.
        then: What stands behind the values, a constant of the program.
    """
    for part in parts(rows):
        marks = f"({', '.join('?' * len(part[0]))})"
        query = f"{into} {', '.join([marks] * len(part))} {then}"
        db.execute(query, [value for row in part for value in row])


def select_among(db: apsw.Connection, query: str, ids: Sequence[bytes] | Sequence[str]) -> Iterator[Any]:
    """Yield the rows that a query finds for any of these ids.

    Args:
        db: The connection of the transaction.
        query: With ``{ids}`` where the list of values stands, a constant of the program.
        ids: What to look for.
    """
    for part in parts(ids):
        yield from db.execute(query.format(ids=f"({', '.join('?' * len(part))})"), tuple(part))


def parts(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield all rows in order, in parts of the lengths that are used."""
    at = 0
    for length in LENGTHS:
        while len(rows) - at >= length:
            yield rows[at : at + length]
            at += length
