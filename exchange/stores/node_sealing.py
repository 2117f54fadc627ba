"""Notices that are sealed more than once, in the node's store: who waits, and what was tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import apsw

from exchange.stores.many_rows import select_among
from exchange.stores.node_notices import DeliveryRow, delivery_row


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRow:
    """One recipient for whom a notice must still be sealed; ``notice`` is its first envelope."""

    notice: bytes
    recipient: str
    priority: int
    created_ms: int
    since_ms: int
    cause: str
    not_before_ms: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """One envelope of a notice, as far as it concerns one recipient."""

    envelope: bytes
    stored_ms: int
    delivery: DeliveryRow


_WAITING = "SELECT notice, recipient, priority, created_ms, since_ms, cause, not_before_ms FROM waiting"
_ATTEMPTS = """
    SELECT notice.id, notice.stored_ms, recipient, delivery.state, since_ms, code, tail
    FROM notice JOIN delivery ON envelope = notice.id
    WHERE notice.id = ?1 OR notice.first = ?1 ORDER BY notice.rowid, recipient
"""
_NEWEST = """
    SELECT notice.id FROM notice JOIN delivery ON envelope = notice.id AND recipient = ?2
    WHERE notice.id = ?1 OR notice.first = ?1 ORDER BY notice.rowid DESC LIMIT 1
"""
_SEALED = (
    "FROM notice JOIN delivery ON envelope = id AND recipient = ?2"
    " WHERE (id = ?1 OR first = ?1) AND prekey IS NOT NULL"
)
_SIGNERS = """
    SELECT DISTINCT recipient, prekey_signer FROM delivery
    WHERE state IN ('queued', 'relayed') AND prekey_signer IS NOT NULL
"""
_SIGNED_BY = """
    SELECT coalesce(first, id) FROM delivery JOIN notice ON id = envelope
    WHERE delivery.state IN ('queued', 'relayed') AND recipient = ? AND prekey_signer = ?
"""


def first_of(db: apsw.Connection, envelope: bytes) -> bytes:
    """Return the first envelope of the notice that an envelope carries."""
    row = db.execute("SELECT first FROM notice WHERE id = ?", (envelope,)).fetchone()
    return envelope if row is None or row[0] is None else bytes(row[0])


def firsts_of(db: apsw.Connection, envelopes: Sequence[bytes]) -> dict[bytes, bytes | None]:
    """Return, by envelope, the first one of the same notice; None for that one itself."""
    return dict(select_among(db, "SELECT id, first FROM notice WHERE id IN {ids}", envelopes))


def anybody_waits(db: apsw.Connection) -> bool:
    """Whether anybody waits for any notice."""
    return db.execute("SELECT 1 FROM waiting LIMIT 1").fetchone() is not None


def envelopes_of(db: apsw.Connection, first: bytes) -> list[bytes]:
    """Return every envelope of a notice, in the order in which they were sealed."""
    rows = db.execute("SELECT id FROM notice WHERE id = ?1 OR first = ?1 ORDER BY rowid", (first,))
    return [row[0] for row in rows]


def list_attempts(db: apsw.Connection, first: bytes) -> list[Attempt]:
    """Return what became of each envelope of a notice at each recipient, the oldest envelope first."""
    return [Attempt(name, at, delivery_row(*rest)) for name, at, *rest in db.execute(_ATTEMPTS, (first,))]


def newest_attempt(db: apsw.Connection, first: bytes, recipient: str) -> bytes:
    """Return the newest envelope of a notice that has anything to do with one recipient."""
    newest: bytes = db.execute(_NEWEST, (first, recipient)).get
    return newest


def tried_prekeys(db: apsw.Connection, first: bytes, recipient: str) -> list[bytes]:
    """Return the keys to which a notice was sealed for one recipient, in envelopes that were relayed."""
    query = f"SELECT prekey {_SEALED} AND delivery.state != 'refused'"
    return [row[0] for row in db.execute(query, (first, recipient))]


def count_sealed(db: apsw.Connection, first: bytes, recipient: str) -> int:
    """Return in how many envelopes a notice was sealed for one recipient."""
    return int(db.execute(f"SELECT count(*) {_SEALED}", (first, recipient)).get)


def insert_waiting(db: apsw.Connection, row: WaitingRow) -> bool:
    """Let a recipient wait; False if it does already."""
    cursor = db.execute(
        "INSERT INTO waiting (notice, recipient, priority, created_ms, since_ms, cause, not_before_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING 1",
        (
            row.notice,
            row.recipient,
            row.priority,
            row.created_ms,
            row.since_ms,
            row.cause,
            row.not_before_ms,
        ),
    )
    return cursor.fetchone() is not None


def remove_waiting(db: apsw.Connection, first: bytes, recipient: str) -> bool:
    """Let a recipient wait no more; False if it did not."""
    query = "DELETE FROM waiting WHERE notice = ? AND recipient = ? RETURNING 1"
    return db.execute(query, (first, recipient)).fetchone() is not None


def list_waiting(db: apsw.Connection) -> list[WaitingRow]:
    """Return everybody who waits: the most severe notice first, the oldest first among equals."""
    return [_waiting(*row) for row in db.execute(f"{_WAITING} ORDER BY priority, created_ms, number")]


def waiting_for(db: apsw.Connection, first: bytes) -> dict[str, WaitingRow]:
    """Return, by recipient, who waits for one notice."""
    rows = [_waiting(*row) for row in db.execute(f"{_WAITING} WHERE notice = ?", (first,))]
    return {row.recipient: row for row in rows}


def count_waiting(db: apsw.Connection) -> list[tuple[str, int, int]]:
    """Return, by recipient, how many notices wait for it and since when the longest does."""
    query = "SELECT recipient, count(*), min(since_ms) FROM waiting GROUP BY recipient ORDER BY recipient"
    return [(recipient, count, since) for recipient, count, since in db.execute(query)]


def newest_waiting(db: apsw.Connection) -> int:
    """Return the number of who began to wait last; 0 if nobody waits."""
    return int(db.execute("SELECT coalesce(max(number), 0) FROM waiting").get)


def open_signers(db: apsw.Connection) -> list[tuple[str, bytes]]:
    """Return recipients and the keys that signed for the daily keys of what they have not received."""
    return [(recipient, signer) for recipient, signer in db.execute(_SIGNERS)]


def signed_by(db: apsw.Connection, recipient: str, signer: bytes) -> list[bytes]:
    """Return the first envelopes of what one recipient has not received, by such a key."""
    return [row[0] for row in db.execute(_SIGNED_BY, (recipient, signer))]


def forget_signers(db: apsw.Connection, first: bytes, recipient: str) -> None:
    """Forget who signed for the daily keys of one recipient's copies: another one takes their place."""
    db.execute(
        "UPDATE delivery SET prekey_signer = NULL WHERE recipient = ?2"
        " AND envelope IN (SELECT id FROM notice WHERE id = ?1 OR first = ?1)",
        (first, recipient),
    )


def _waiting(
    notice: bytes,
    recipient: str,
    priority: int,
    created_ms: int,
    since_ms: int,
    cause: str,
    not_before_ms: int,
) -> WaitingRow:
    return WaitingRow(
        notice=notice,
        recipient=recipient,
        priority=priority,
        created_ms=created_ms,
        since_ms=since_ms,
        cause=cause,
        not_before_ms=not_before_ms,
    )
