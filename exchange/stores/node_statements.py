"""Statements, and the chains and series that continue from the last one, in the node's store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import apsw

from exchange.stores.many_rows import insert_rows, parts, select_among
from keys.sealing import NUMBER_BITS
from protocol.statement import StatementKind

PAIR_EPOCH = "pair-epoch"
"""The fact that holds in which epoch notices are numbered; 0 until a node has lost count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementRow:
    """One signed statement about a notice in this store.

    ``recorded`` says whether the coordinator is known to hold it durably, ``logged`` whether it was
    seen in a ledger that the coordinator signed, and ``leaf`` is where it stands under a checkpoint
    that a quorum of witnesses had cosigned by ``witnessed_ms``. The last three are read, and never
    stored with the row.
    """

    id: bytes
    envelope: bytes
    party: str
    kind: StatementKind
    at_ms: int
    officer: str | None
    code: str | None
    recorded: bool
    locked_note: bytes | None
    body: bytes
    logged: bool = False
    leaf: int | None = None
    witnessed_ms: int | None = None


_SELECT = (
    "SELECT id, envelope, party, kind, statement.at_ms, officer, code, recorded, locked_note, body,"
    " logged_ms, idx, witnessed_ms FROM statement LEFT JOIN promise ON promise.statement = id"
    " LEFT JOIN place ON place.statement = id"
    " LEFT JOIN checkpoint ON checkpoint.log = 'ack' AND checkpoint.size = place.size"
)


def insert_statements(db: apsw.Connection, rows: Sequence[StatementRow]) -> None:
    """Store statements in order; their ids must be new."""
    values = [
        (
            row.id,
            row.envelope,
            row.party,
            int(row.kind),
            row.at_ms,
            row.officer,
            row.code,
            int(row.recorded),
            row.locked_note,
            row.body,
        )
        for row in rows
    ]
    insert_rows(
        db,
        "INSERT INTO statement"
        " (id, envelope, party, kind, at_ms, officer, code, recorded, locked_note, body) VALUES",
        values,
    )


def known_statements(db: apsw.Connection, ids: Sequence[bytes]) -> set[bytes]:
    """Return which of these statements are stored."""
    return {id_ for (id_,) in select_among(db, "SELECT id FROM statement WHERE id IN {ids}", ids)}


def list_statements(db: apsw.Connection, envelope: bytes) -> list[StatementRow]:
    """Return the statements about an envelope, in the order in which they became known here."""
    rows = db.execute(f"{_SELECT} WHERE envelope = ? ORDER BY statement.rowid", (envelope,))
    return [_row(*values) for values in rows]


def has_said(db: apsw.Connection, envelope: bytes, party: str) -> bool:
    """Whether a party has said anything about an envelope, as far as is known here."""
    query = "SELECT 1 FROM statement WHERE envelope = ? AND party = ?"
    return db.execute(query, (envelope, party)).fetchone() is not None


def select_statements(
    db: apsw.Connection, which: str, values: tuple[str | bytes, ...]
) -> Iterator[StatementRow]:
    """Yield the statements that a constant clause of SQL chooses."""
    for row in db.execute(f"{_SELECT} {which}", values):
        yield _row(*row)


def find_statement(db: apsw.Connection, statement: bytes) -> StatementRow | None:
    """Return one statement by its id."""
    row = db.execute(f"{_SELECT} WHERE statement.id = ?", (statement,)).fetchone()
    return None if row is None else _row(*row)


def mark_all_recorded(db: apsw.Connection, statements: Sequence[bytes]) -> None:
    """Remember that the coordinator holds these statements of ours durably."""
    for part in parts(statements):
        marks = ", ".join("?" * len(part))
        db.execute(f"UPDATE statement SET recorded = 1 WHERE id IN ({marks})", tuple(part))  # noqa: S608


def read_chains(db: apsw.Connection) -> dict[bytes, tuple[int, bytes]]:
    """Return sequence and id of the last statement of each of our keys."""
    return {key: (sequence, previous) for key, sequence, previous in db.execute("SELECT * FROM chain")}


def save_chain(db: apsw.Connection, key_id: bytes, sequence: int, previous: bytes) -> None:
    """Set the last statement of one of our keys."""
    db.execute(
        "INSERT INTO chain VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET sequence = excluded.sequence,"
        " previous = excluded.previous WHERE excluded.sequence > chain.sequence",
        (key_id, sequence, previous),
    )


class Pairs(dict[str, tuple[int, bytes]]):
    """Sequence and id of the last notice to each recipient.

    Args:
        known: What was sent, by recipient.
        start: The sequence before the first of the present epoch; what lies before it counts no more.
    """

    def __init__(self, known: Mapping[str, tuple[int, bytes]], start: int) -> None:
        super().__init__(known)
        self.start = start

    def last(self, recipient: str) -> tuple[int, bytes]:
        """Return what the next notice to a recipient continues: zeros where it is the first."""
        found = self.get(recipient)
        return (self.start, bytes(32)) if found is None or found[0] <= self.start else found


def read_pairs(db: apsw.Connection) -> Pairs:
    """Return the last notice to each recipient, and where the numbers began."""
    known = {state: (sequence, previous) for state, sequence, previous in db.execute("SELECT * FROM pair")}
    row = db.execute("SELECT value FROM fact WHERE name = ?", (PAIR_EPOCH,)).fetchone()
    return Pairs(known, 0 if row is None else int(row[0]) << NUMBER_BITS)


def save_pair(db: apsw.Connection, recipient: str, sequence: int, previous: bytes) -> None:
    """Set the last notice to one recipient."""
    db.execute(
        "INSERT INTO pair VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET sequence = excluded.sequence,"
        " previous = excluded.previous WHERE excluded.sequence > pair.sequence",
        (recipient, sequence, previous),
    )


def _row(
    id_: bytes,
    envelope: bytes,
    party: str,
    kind: int,
    at_ms: int,
    officer: str | None,
    code: str | None,
    recorded: int,
    note: bytes | None,
    body: bytes,
    logged_ms: int | None,
    leaf: int | None,
    witnessed_ms: int | None,
) -> StatementRow:
    return StatementRow(
        id=id_,
        envelope=envelope,
        party=party,
        kind=StatementKind(kind),
        at_ms=at_ms,
        officer=officer,
        code=code,
        recorded=bool(recorded),
        locked_note=note,
        body=body,
        logged=logged_ms is not None or leaf is not None,
        leaf=leaf,
        witnessed_ms=witnessed_ms,
    )
