"""Notices and deliveries in the node's store: rows in, rows out, one statement each.

Every function takes the connection of a running transaction (``Engine.write``) or snapshot
(``Engine.read``); what it wrote is durable when that call returns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import apsw

from protocol.delivery import DeliveryState

Direction = Literal["sent", "received"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeRow:
    """One notice as stored; ``locked_*`` open with the vault, under the envelope's id."""

    id: bytes
    direction: Direction
    sender: str
    notice: bytes
    manifest: bytes
    proof: bytes
    salt: bytes
    created_ms: int
    stored_ms: int
    priority: int
    state: str
    locked_summary: bytes
    locked_key: bytes
    request_id: str | None = None
    request_digest: bytes | None = None
    pair_sequence: int | None = None
    pair_previous: bytes | None = None


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One recipient of a sent notice."""

    recipient: str
    state: DeliveryState
    since_ms: int
    code: str | None
    tail: bool


_FIELDS = tuple(NoticeRow.__dataclass_fields__)
_INSERT = """
    INSERT INTO notice (id, direction, sender, notice, manifest, proof, salt, created_ms, stored_ms,
        priority, state, locked_summary, locked_key, request_id, request_digest,
        pair_sequence, pair_previous)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_BY_ID = "SELECT * FROM notice WHERE id = ?"
_BY_REQUEST = "SELECT * FROM notice WHERE request_id = ?"
# A page ends with all notices of one moment, so that the next page, from before it, misses none.
_LIST = """
    WITH wanted AS (
        SELECT * FROM notice
        WHERE direction = ?1 AND (?2 = '[]' OR state IN (SELECT value FROM json_each(?2)))
            AND (?3 IS NULL OR stored_ms < ?3)
    )
    SELECT * FROM wanted
    WHERE stored_ms >= (SELECT min(stored_ms) FROM (
        SELECT stored_ms FROM wanted ORDER BY stored_ms DESC LIMIT ?4
    ))
    ORDER BY stored_ms DESC
"""
# Gaps are counted in each epoch of a sender's numbers: a sequence is epoch * 2^32 + number.
_GAPS = """
    WITH counted AS (
        SELECT sender, pair_sequence AS sequence,
            coalesce((SELECT value FROM fact WHERE name = 'gaps-accepted/' || sender), 0) AS floor
        FROM notice WHERE direction = 'received'
    ),
    missed AS (
        SELECT sender, max(sequence) - max(floor, sequence >> 32 << 32) - count(DISTINCT sequence) AS missing
        FROM counted WHERE sequence > floor GROUP BY sender, sequence >> 32
    )
    SELECT sender, sum(missing) FROM missed WHERE missing > 0 GROUP BY sender
"""
_ACCEPT_GAPS = """
    INSERT INTO fact
        SELECT 'gaps-accepted/' || sender, max(pair_sequence) FROM notice
        WHERE direction = 'received' GROUP BY sender
    ON CONFLICT DO UPDATE SET value = max(value, excluded.value)
"""


def insert_notice(db: apsw.Connection, row: NoticeRow, locked_body: bytes) -> None:
    """Store a notice with its body; its id must be new."""
    values = tuple(getattr(row, name) for name in _FIELDS)
    db.execute(_INSERT, values)
    db.execute("INSERT INTO content VALUES (?, ?)", (row.id, locked_body))


def find_body(db: apsw.Connection, envelope: bytes) -> bytes:
    """Return the locked body of a stored notice."""
    body: bytes = db.execute("SELECT locked_body FROM content WHERE envelope = ?", (envelope,)).get
    return body


def find_notice(db: apsw.Connection, envelope: bytes) -> NoticeRow | None:
    """Return the notice with this envelope id."""
    return _one(db.execute(_BY_ID, (envelope,)))


def find_request(db: apsw.Connection, request_id: str) -> NoticeRow | None:
    """Return the sent notice that this request id made."""
    return _one(db.execute(_BY_REQUEST, (request_id,)))


def has_notice(db: apsw.Connection, envelope: bytes) -> bool:
    """Whether this envelope is stored, in either direction."""
    return db.execute("SELECT 1 FROM notice WHERE id = ?", (envelope,)).fetchone() is not None


def has_logical_notice(db: apsw.Connection, sender: str, notice: bytes) -> bool:
    """Whether a received notice with this logical id is stored, under whatever envelope."""
    query = "SELECT 1 FROM notice WHERE direction = 'received' AND sender = ? AND notice = ?"
    return db.execute(query, (sender, notice)).fetchone() is not None


def list_notices(
    db: apsw.Connection,
    direction: Direction,
    *,
    states: tuple[str, ...] = (),
    before_ms: int | None = None,
    limit: int,
) -> list[NoticeRow]:
    """Return the newest notices of one direction, newest first; with ``states`` or ``before_ms``, only those.

    There may be a few more than ``limit``: those stored at the same moment as the last one.
    """
    rows = db.execute(_LIST, (direction, json.dumps(states), before_ms, limit))
    return [_row(row) for row in rows]


def count_notices(db: apsw.Connection, direction: Direction, state: str) -> int:
    """Return how many notices of one direction are in a state."""
    query = "SELECT count(*) FROM notice WHERE direction = ? AND state = ?"
    return int(db.execute(query, (direction, state)).get)


def ids_with_prefix(db: apsw.Connection, prefix: str) -> list[bytes]:
    """Return up to two envelope ids whose hexadecimal form starts with ``prefix`` (even length or not)."""
    low = bytes.fromhex(prefix.ljust(64, "0"))
    high = bytes.fromhex(prefix.ljust(64, "f"))
    return [
        row[0] for row in db.execute("SELECT id FROM notice WHERE id BETWEEN ? AND ? LIMIT 2", (low, high))
    ]


def update_state(db: apsw.Connection, envelope: bytes, state: str, *, only_from: str | None = None) -> None:
    """Set where a notice stands; with ``only_from``, only if it stands there now."""
    db.execute(
        "UPDATE notice SET state = ?1 WHERE id = ?2 AND (?3 IS NULL OR state = ?3)",
        (state, envelope, only_from),
    )


def insert_deliveries(db: apsw.Connection, envelope: bytes, rows: Iterable[DeliveryRow]) -> None:
    """Store one row per recipient of a sent notice."""
    db.executemany(
        "INSERT INTO delivery (envelope, recipient, state, since_ms, code, tail) VALUES (?, ?, ?, ?, ?, ?)",
        [(envelope, row.recipient, row.state.value, row.since_ms, row.code, int(row.tail)) for row in rows],
    )


def list_deliveries(db: apsw.Connection, envelope: bytes) -> list[DeliveryRow]:
    """Return the recipients of a sent notice, by code."""
    query = (
        "SELECT recipient, state, since_ms, code, tail FROM delivery WHERE envelope = ? ORDER BY recipient"
    )
    return [
        DeliveryRow(recipient, DeliveryState(state), since, code, bool(tail))
        for recipient, state, since, code, tail in db.execute(query, (envelope,))
    ]


def update_delivery(
    db: apsw.Connection, envelope: bytes, recipient: str, state: DeliveryState, at_ms: int, code: str | None
) -> None:
    """Set where one delivery stands, since when, and with which code."""
    db.execute(
        "UPDATE delivery SET state = ?, since_ms = ?, code = ? WHERE envelope = ? AND recipient = ?",
        (state.value, at_ms, code, envelope, recipient),
    )


def pair_gaps(db: apsw.Connection) -> list[tuple[str, int]]:
    """Return, by sender, how many of its notices before its newest are missing here.

    A pair's first notice has number 1 in each epoch, and what is missing before a new epoch is missing
    still. What an officer has accepted as missing is not counted.
    """
    return [(str(sender), int(missing)) for sender, missing in db.execute(_GAPS)]


def newest_sequence(db: apsw.Connection, sender: str) -> int:
    """Return the highest pair sequence that was received from a sender; 0 if nothing was."""
    query = "SELECT coalesce(max(pair_sequence), 0) FROM notice WHERE direction = 'received' AND sender = ?"
    return int(db.execute(query, (sender,)).get)


def accept_gaps(db: apsw.Connection) -> None:
    """Count from here on only what will be missing after each sender's newest notice."""
    db.execute(_ACCEPT_GAPS)


def _one(cursor: apsw.Cursor) -> NoticeRow | None:
    row = cursor.fetchone()
    return None if row is None else _row(row)


def _row(values: tuple[Any, ...]) -> NoticeRow:
    # The table's columns stand in the order of the record's fields.
    return NoticeRow(**dict(zip(_FIELDS, values, strict=True)))
