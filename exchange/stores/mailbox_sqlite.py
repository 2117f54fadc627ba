"""Mailboxes on SQLite: appending inside the accepting transaction, reading in order, cursors.

Functions take the connection of the transaction they run in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import apsw

from exchange.stores.contract import MailItem, MailPlace, Uncollected
from exchange.stores.many_rows import Row, insert_rows, select_among
from protocol import codec
from protocol.envelope import Delivery
from protocol.session.messages import ItemKind
from protocol.signed import Proof
from protocol.suite import WRAP_BYTES

MAX_PROOF_BYTES = 4096

Mail = tuple[str, int | None, int | None, int | None]
"""A recipient, and what it gets: an envelope's number and which wrap is its own, or a statement's index."""

HEADS = "SELECT recipient, head FROM cursor WHERE recipient IN {ids}"

# A payload is read only when its item is reached; only one wrap is cut out.
ITEMS = """
    SELECT m.sequence, m.position, e.manifest, e.proof, e.payload,
           substr(e.wraps, 1 + m.position * :wrap, :wrap), s.data
    FROM mailbox AS m
        LEFT JOIN envelope AS e ON e.number = m.envelope
        LEFT JOIN statement AS s ON s.idx = m.statement
    WHERE m.recipient = :recipient AND m.sequence > :after AND (m.envelope IS NULL OR e.payload <> x'')
    ORDER BY m.sequence
"""

# A recipient that has said anything about the envelope has it, even if a crash lost its last cursor.
UNSPOKEN = """
    NOT EXISTS (
        SELECT 1 FROM undelivered AS u WHERE u.recipient = m.recipient AND u.sequence = m.sequence
    ) AND NOT EXISTS (
        SELECT 1 FROM statement AS s WHERE s.envelope = e.id AND s.party = m.recipient
    )
"""

# CROSS JOIN keeps this order: only what no cursor has passed is looked at, and what was passed as unusable.
EXPIRED = f"""
    SELECT m.recipient, m.sequence, e.id, e.sender
    FROM cursor AS c
        CROSS JOIN mailbox AS m ON m.recipient = c.recipient AND m.sequence > c.collected
        CROSS JOIN envelope AS e ON e.number = m.envelope AND e.expires_ms <= :now
    WHERE {UNSPOKEN}
    UNION ALL
    SELECT m.recipient, m.sequence, e.id, e.sender
    FROM unusable AS r
        CROSS JOIN cursor AS c ON c.recipient = r.recipient AND c.collected >= r.sequence
        CROSS JOIN mailbox AS m ON m.recipient = r.recipient AND m.sequence = r.sequence
        CROSS JOIN envelope AS e ON e.number = m.envelope AND e.expires_ms <= :now
    WHERE {UNSPOKEN}
    LIMIT :limit
"""  # noqa: S608  (both parts are constants of this module)


def append(db: apsw.Connection, mailed: Sequence[Mail]) -> list[MailPlace]:
    """Give each item the next place in its recipient's mailbox, and return these places.

    The writing transaction makes the order of commits and the order of places one.
    """
    recipients = tuple({recipient: None for recipient, *_ in mailed})
    heads = dict.fromkeys(recipients, 0) | dict(select_among(db, HEADS, recipients))
    rows: list[Row] = []
    for recipient, envelope, position, statement in mailed:
        heads[recipient] += 1
        rows.append((recipient, heads[recipient], envelope, position, statement))
    insert_rows(db, "INSERT INTO mailbox VALUES", rows)
    insert_rows(
        db,
        "INSERT INTO cursor VALUES",
        [(recipient, head, 0) for recipient, head in heads.items()],
        then="ON CONFLICT DO UPDATE SET head = excluded.head",
    )
    return [MailPlace(str(recipient), int(sequence or 0)) for recipient, sequence, *_ in rows]


def items(db: apsw.Connection, recipient: str, after: int) -> Iterator[MailItem]:
    """Yield the items that follow ``after``, each cut from its envelope when it is reached."""
    bindings = {"recipient": recipient, "after": after, "wrap": WRAP_BYTES}
    for sequence, position, manifest, proof, payload, wrap, statement in db.execute(ITEMS, bindings):
        if statement is not None:
            yield MailItem(sequence, ItemKind.STATEMENT, statement)
            continue
        delivery = Delivery(
            manifest=manifest,
            proof=codec.decode(proof, Proof, limit=MAX_PROOF_BYTES, what="stored proof"),
            index=position,
            wrap=wrap,
            payload=payload,
        )
        yield MailItem(sequence, ItemKind.ENVELOPE, codec.encode(delivery))


def advance(db: apsw.Connection, recipient: str, sequence: int) -> None:
    """Move a cursor forward, never back and never past the head."""
    query = """UPDATE cursor SET collected = min(head, :sequence)
        WHERE recipient = :recipient AND collected < min(head, :sequence)"""
    db.execute(query, {"recipient": recipient, "sequence": sequence})


def expired(db: apsw.Connection, now_ms: int, limit: int) -> tuple[Uncollected, ...]:
    """Return places of expired envelopes that nobody collected or could use, spoke of, or declared."""
    rows = db.execute(EXPIRED, {"now": now_ms, "limit": limit})
    return tuple(
        Uncollected(MailPlace(recipient, sequence), envelope, sender)
        for recipient, sequence, envelope, sender in rows
    )


# Small steps: each is a transaction that others wait for.
STEP = 64

DONE_WITH = f"""
    SELECT e.number FROM envelope AS e
    WHERE e.payload <> x'' AND e.expires_ms <= :before AND NOT EXISTS (
        SELECT 1 FROM mailbox AS m JOIN cursor AS c ON c.recipient = m.recipient
        WHERE m.envelope = e.number AND {UNSPOKEN} AND (m.sequence > c.collected OR EXISTS (
            SELECT 1 FROM unusable AS r WHERE r.recipient = m.recipient AND r.sequence = m.sequence)))
    ORDER BY e.expires_ms LIMIT {STEP}
"""  # noqa: S608  (all parts are constants of this module)


def discard_content(db: apsw.Connection, before_ms: int) -> int:
    """Empty the payloads and wraps of some envelopes that nobody will be sent any more; return how many.

    The database overwrites what it deletes, so that they are gone from the file as well.
    """
    numbers = [number for (number,) in db.execute(DONE_WITH, {"before": before_ms})]
    for number in numbers:
        db.execute("UPDATE envelope SET wraps = x'', payload = x'' WHERE number = ?", (number,))
    return len(numbers)


def declared(db: apsw.Connection, places: Iterable[MailPlace]) -> frozenset[MailPlace]:
    """Return those of the places that an UNDELIVERED statement was made about."""
    query = "SELECT 1 FROM undelivered WHERE recipient = ? AND sequence = ?"
    return frozenset(
        place
        for place in places
        if db.execute(query, (place.recipient, place.sequence)).fetchone() is not None
    )
