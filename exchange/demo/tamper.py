"""What a dishonest operator of a coordinator could do: change a stored envelope behind everybody's back.

This works on the database file of a coordinator that does not run. It needs no key, which is the
point: the coordinator has none that would help it. The recipient's node must notice.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

import apsw

from protocol.errors import SetupError

_NEWEST = """
    SELECT m.sequence, m.envelope, e.payload
    FROM mailbox AS m JOIN envelope AS e ON e.number = m.envelope
    WHERE m.recipient = ? ORDER BY m.sequence DESC LIMIT 1
"""
_COPY = """
    INSERT INTO envelope (id, sender, recipients, created_ms, expires_ms, received_ms, relayed,
                          manifest, proof, wraps, payload)
    SELECT ?, sender, recipients, created_ms, expires_ms, received_ms, relayed, manifest, proof, wraps, ?
    FROM envelope WHERE number = ?
"""
_PUT_AHEAD = """
    INSERT INTO mailbox
    SELECT recipient, sequence - 1, ?, position, NULL FROM mailbox WHERE recipient = ? AND sequence = ?
"""


@dataclass(frozen=True, slots=True)
class Tampering:
    """What was done: in which place of the mailbox the copy lies, and which byte differs."""

    sequence: int
    byte: int


def tamper(database: Path, recipient: str) -> Tampering:
    """Put a damaged copy of a recipient's newest envelope into its mailbox, ahead of the genuine one.

    One byte in the middle of the copy's sealed payload is changed; manifest and signature stay.

    Args:
        database: The coordinator's database; the coordinator must not be running.
        recipient: The code of the state whose mailbox is altered.

    Raises:
        SetupError: there is no envelope in that mailbox.
    """
    db = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        with db:
            done = _alter(db, recipient)
    finally:
        db.close()
    return done


def _alter(db: apsw.Connection, recipient: str) -> Tampering:
    found = db.execute(_NEWEST, (recipient,)).fetchone()
    if found is None:
        raise SetupError(f"there is no envelope for {recipient} to tamper with")
    sequence, number, payload = found
    byte = len(payload) // 2
    damaged = payload[:byte] + bytes([payload[byte] ^ 0x01]) + payload[byte + 1 :]
    # The column only finds envelopes; what is delivered is the manifest, from which the id follows.
    db.execute(_COPY, (secrets.token_bytes(32), damaged, number))
    copy = db.last_insert_rowid()
    # Downwards, so that no two items ever share a place.
    for place in range(_head(db, recipient), sequence - 1, -1):
        db.execute(
            "UPDATE mailbox SET sequence = sequence + 1 WHERE recipient = ? AND sequence = ?",
            (recipient, place),
        )
    db.execute(_PUT_AHEAD, (copy, recipient, sequence + 1))
    db.execute("UPDATE cursor SET head = head + 1 WHERE recipient = ?", (recipient,))
    return Tampering(sequence=sequence, byte=byte)


def _head(db: apsw.Connection, recipient: str) -> int:
    return int(db.execute("SELECT head FROM cursor WHERE recipient = ?", (recipient,)).get)
