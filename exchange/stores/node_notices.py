"""Notices and deliveries in the node's store: rows in, rows out, one statement each.

Every function takes the connection of a running transaction (``Engine.write``) or snapshot
(``Engine.read``); what it wrote is durable when that call returns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal

import apsw

from exchange.stores.many_rows import insert_rows, parts, select_among
from protocol.delivery import DeliveryState

Direction = Literal["sent", "received"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeRow:
    """One envelope as stored; ``locked_*`` open with the vault, under the envelope's id.

    ``first`` is the first envelope of the same notice, None for that one itself: what people call the
    notice. ``until_ms`` is until when the sender wants it delivered, if that was said.
    """

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
    first: bytes | None = None
    until_ms: int | None = None

    @property
    def is_sealed(self) -> bool:
        """Whether there is an envelope: a notice for which nobody has a key yet is none."""
        return bool(self.proof)

    @property
    def content_id(self) -> bytes:
        """Under whose id the body is kept."""
        return self.first or self.id


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One recipient of a sent notice; ``prekey`` and its signer are written, and not read with it."""

    recipient: str
    state: DeliveryState
    since_ms: int
    code: str | None
    tail: bool
    prekey: bytes | None = None
    prekey_signer: bytes | None = None


@dataclass(frozen=True, slots=True)
class NewNotice:
    """A notice to be stored for the first time, with its locked body and all its recipients."""

    row: NoticeRow
    body: bytes = field(repr=False)
    deliveries: Sequence[DeliveryRow]


_FIELDS = tuple(NoticeRow.__dataclass_fields__)
_VALUES = attrgetter(*_FIELDS)
_INSERT = f"INSERT INTO notice ({', '.join(_FIELDS)}) VALUES"
_BY_ID = "SELECT * FROM notice WHERE id = ?"
_BY_REQUEST = "SELECT * FROM notice WHERE request_id = ?"
# A page ends with all notices of one moment, so that the next page, from before it, misses none.
_LIST = """
    WITH wanted AS (
        SELECT * FROM notice
        WHERE direction = ?1 AND (?2 = '[]' OR state IN (SELECT value FROM json_each(?2)))
            AND (?3 IS NULL OR stored_ms < ?3) AND first IS NULL
    )
    SELECT * FROM wanted
    WHERE stored_ms >= (SELECT min(stored_ms) FROM (
        SELECT stored_ms FROM wanted ORDER BY stored_ms DESC LIMIT ?4
    ))
    ORDER BY stored_ms DESC
"""
# Gaps are counted in each epoch of a sender's numbers: a sequence is epoch * 2^32 + number. What was
# answered without being opened has a number that nobody here knows, but it has one.
_GAPS = """
    WITH known AS (
        SELECT sender, pair_sequence AS sequence FROM notice WHERE direction = 'received'
        UNION ALL SELECT sender, pair_sequence FROM answered WHERE pair_sequence IS NOT NULL
    ),
    counted AS (
        SELECT sender, sequence,
            coalesce((SELECT value FROM fact WHERE name = 'gaps-accepted/' || sender), 0) AS floor
        FROM known
    ),
    missed AS (
        SELECT sender, max(sequence) - max(floor, sequence >> 32 << 32) - count(DISTINCT sequence) AS missing
        FROM counted WHERE sequence > floor GROUP BY sender, sequence >> 32
    ),
    summed AS (
        SELECT sender, sum(missing) - (
            SELECT count(*) FROM answered WHERE answered.sender = missed.sender AND pair_sequence IS NULL
        ) AS missing
        FROM missed WHERE missing > 0 GROUP BY sender
    )
    SELECT sender, missing FROM summed WHERE missing > 0
"""
_ACCEPT_GAPS = """
    INSERT INTO fact
        SELECT 'gaps-accepted/' || sender, max(pair_sequence) FROM notice
        WHERE direction = 'received' GROUP BY sender
    ON CONFLICT DO UPDATE SET value = max(value, excluded.value)
"""


def insert_notice(db: apsw.Connection, row: NoticeRow, locked_body: bytes) -> None:
    """Store a notice with its body; its id must be new."""
    insert_notices(db, [row], [locked_body])


def insert_notices(db: apsw.Connection, rows: Sequence[NoticeRow], locked_bodies: Sequence[bytes]) -> None:
    """Store notices in order, each with its body; their ids must be new."""
    insert_rows(db, _INSERT, [_VALUES(row) for row in rows])
    bodies = [(row.id, body) for row, body in zip(rows, locked_bodies, strict=True)]
    insert_rows(db, "INSERT INTO content VALUES", bodies)


def insert_envelope(db: apsw.Connection, row: NoticeRow) -> None:
    """Store a further envelope of a notice whose body is there."""
    insert_rows(db, _INSERT, [_VALUES(row)])


def find_body(db: apsw.Connection, envelope: bytes) -> bytes:
    """Return the locked body of a stored notice; ``envelope`` is its row's ``content_id``."""
    body: bytes = db.execute("SELECT locked_body FROM content WHERE envelope = ?", (envelope,)).get
    return body


def find_notice(db: apsw.Connection, envelope: bytes) -> NoticeRow | None:
    """Return the notice with this envelope id."""
    return _one(db.execute(_BY_ID, (envelope,)))


def find_request(db: apsw.Connection, request_id: str) -> NoticeRow | None:
    """Return the sent notice that this request id made."""
    return _one(db.execute(_BY_REQUEST, (request_id,)))


def find_logical_notice(db: apsw.Connection, sender: str, notice: bytes) -> NoticeRow | None:
    """Return the received notice with this logical id, under whatever envelope it came."""
    query = "SELECT * FROM notice WHERE direction = 'received' AND sender = ? AND notice = ?"
    return _one(db.execute(query, (sender, notice)))


def insert_answered(db: apsw.Connection, envelope: bytes, sender: str, number: int | None) -> None:
    """Remember a genuine envelope that was answered and is not shown, with its number if it was opened."""
    db.execute("INSERT INTO answered VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (envelope, sender, number))


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
    return [notice_row(row) for row in rows]


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


def update_states(db: apsw.Connection, envelopes: Sequence[bytes], state: str) -> None:
    """Set where notices stand."""
    for part in parts(envelopes):
        marks = ", ".join("?" * len(part))
        db.execute(f"UPDATE notice SET state = ? WHERE id IN ({marks})", (state, *part))  # noqa: S608


def update_state(db: apsw.Connection, envelope: bytes, state: str, *, only_from: str | None = None) -> None:
    """Set where a notice stands; with ``only_from``, only if it stands there now."""
    db.execute(
        "UPDATE notice SET state = ?1 WHERE id = ?2 AND (?3 IS NULL OR state = ?3)",
        (state, envelope, only_from),
    )


def insert_deliveries(db: apsw.Connection, envelope: bytes, rows: Iterable[DeliveryRow]) -> None:
    """Store one row per recipient of a sent notice."""
    insert_all_deliveries(db, [(envelope, row) for row in rows])


def insert_all_deliveries(db: apsw.Connection, rows: Sequence[tuple[bytes, DeliveryRow]]) -> None:
    """Store one row per recipient of each of several sent notices, whose envelopes are named."""
    values = [
        (
            envelope,
            row.recipient,
            row.state.value,
            row.since_ms,
            row.code,
            int(row.tail),
            row.prekey,
            row.prekey_signer,
        )
        for envelope, row in rows
    ]
    insert_rows(
        db,
        "INSERT INTO delivery"
        " (envelope, recipient, state, since_ms, code, tail, prekey, prekey_signer) VALUES",
        values,
    )


def list_deliveries(db: apsw.Connection, envelope: bytes) -> list[DeliveryRow]:
    """Return the recipients of a sent notice, by code."""
    query = (
        "SELECT recipient, state, since_ms, code, tail FROM delivery WHERE envelope = ? ORDER BY recipient"
    )
    return [delivery_row(*row) for row in db.execute(query, (envelope,))]


def deliveries_of(db: apsw.Connection, envelopes: Sequence[bytes]) -> dict[bytes, dict[str, DeliveryRow]]:
    """Return the recipients of sent notices by envelope, and then by code in its order."""
    query = (
        "SELECT envelope, recipient, state, since_ms, code, tail FROM delivery WHERE envelope IN {ids}"
        " ORDER BY envelope, recipient"
    )
    found: dict[bytes, dict[str, DeliveryRow]] = {}
    for envelope, *rest in select_among(db, query, envelopes):
        row = delivery_row(*rest)
        found.setdefault(envelope, {})[row.recipient] = row
    return found


def update_deliveries(db: apsw.Connection, rows: Sequence[tuple[bytes, DeliveryRow]]) -> None:
    """Set where deliveries stand, since when, and with which code; each must be there."""
    values = [
        (envelope, row.recipient, row.state.value, row.since_ms, row.code, int(row.tail))
        for envelope, row in rows
    ]
    insert_rows(
        db,
        "INSERT INTO delivery (envelope, recipient, state, since_ms, code, tail) VALUES",
        values,
        then="ON CONFLICT DO UPDATE SET state = excluded.state, since_ms = excluded.since_ms,"
        " code = excluded.code",
    )


def delivery_row(recipient: str, state: str, since_ms: int, code: str | None, tail: int) -> DeliveryRow:
    """Return a delivery from its columns."""
    return DeliveryRow(recipient, DeliveryState(state), since_ms, code, bool(tail))


def update_delivery(
    db: apsw.Connection, envelope: bytes, recipient: str, state: DeliveryState, at_ms: int, code: str | None
) -> None:
    """Set where one delivery stands, since when, and with which code."""
    db.execute(
        "UPDATE delivery SET state = ?, since_ms = ?, code = ? WHERE envelope = ? AND recipient = ?",
        (state.value, at_ms, code, envelope, recipient),
    )


def count_under_way(db: apsw.Connection, recipient: str) -> int:
    """Return how many sent notices are queued for or relayed to a recipient, and not received."""
    query = "SELECT count(*) FROM delivery WHERE recipient = ? AND state IN ('queued', 'relayed')"
    return int(db.execute(query, (recipient,)).get)


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
    # What was answered without being opened lies before it, as far as anybody can know.
    db.execute("DELETE FROM answered WHERE pair_sequence IS NULL")


def _one(cursor: apsw.Cursor) -> NoticeRow | None:
    row = cursor.fetchone()
    return None if row is None else notice_row(row)


def notice_row(values: tuple[Any, ...]) -> NoticeRow:
    """Return a notice from the columns of its row."""
    # The table's columns stand in the order of the record's fields.
    return NoticeRow(**dict(zip(_FIELDS, values, strict=True)))
