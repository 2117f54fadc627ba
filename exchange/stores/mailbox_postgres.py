"""Mailboxes on PostgreSQL: reading in order, cursors, and what expired.

Places are given in the turn (:mod:`exchange.stores.turn_postgres`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from exchange.stores.content_postgres import UNSPOKEN, day_of
from exchange.stores.contract import MailItem, MailPlace, Reported, Uncollected
from exchange.stores.postgres import Connection
from protocol import codec
from protocol.envelope import Delivery
from protocol.session.messages import ItemKind
from protocol.signed import Proof
from protocol.suite import WRAP_BYTES

MAX_PROOF_BYTES = 4096

# The sizes that were noted are a little too small, so that this returns a little more than was asked for; an
# item whose content is gone is passed over. Of a payload nothing is read but what is returned.
ITEMS = """
    WITH due AS (
        SELECT m.*, sum(size) OVER (ORDER BY sequence) AS total, row_number() OVER (ORDER BY sequence) AS nth
        FROM (
            SELECT sequence, envelope, position, day, statement, size FROM mailbox
            WHERE recipient = $1 AND sequence > $2
                AND (day IS NULL OR day >= (SELECT day FROM content_from))
            ORDER BY sequence LIMIT $3
        ) AS m
    )
    SELECT d.sequence, d.position, e.manifest, e.proof, c.payload,
        substr(c.wraps, 1 + d.position * $5::integer, $5::integer) AS wrap, s.data
    FROM due AS d
        LEFT JOIN envelope AS e ON e.number = d.envelope
        LEFT JOIN content AS c ON c.day = d.day AND c.number = d.envelope
        LEFT JOIN statement AS s ON s.idx = d.statement
    WHERE (d.total <= $4 OR d.nth = 1) AND (s.data IS NOT NULL OR c.payload IS NOT NULL)
    ORDER BY d.sequence
"""

EXPIRED = f"""
    SELECT m.recipient, m.sequence, e.id, e.sender
    FROM mailbox_head AS h
        LEFT JOIN cursor AS c ON c.recipient = h.recipient
        JOIN mailbox AS m
            ON m.recipient = h.recipient AND m.sequence > coalesce(c.collected, 0) AND m.day <= $3
        JOIN envelope AS e ON e.number = m.envelope AND e.expires_ms <= $1
    WHERE {UNSPOKEN}
    UNION ALL
    SELECT m.recipient, m.sequence, e.id, e.sender
    FROM unusable AS r
        JOIN cursor AS c ON c.recipient = r.recipient AND c.collected >= r.sequence
        JOIN mailbox AS m ON m.recipient = r.recipient AND m.sequence = r.sequence
        JOIN envelope AS e ON e.number = m.envelope AND e.expires_ms <= $1
    WHERE {UNSPOKEN}
    LIMIT $2
"""  # noqa: S608  (both parts are constants of this module)

# Locked in one order whoever comes, so that two never wait for each other.
ADVANCE = """
    INSERT INTO cursor AS c
    SELECT h.recipient, least(h.head, x.sequence)
    FROM unnest($1::text[], $2::bigint[]) AS x (recipient, sequence)
        JOIN mailbox_head AS h ON h.recipient = x.recipient
    ORDER BY h.recipient
    ON CONFLICT (recipient) DO UPDATE SET collected = greatest(c.collected, excluded.collected)
"""

REPORT = """
    INSERT INTO unusable SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[])
    ON CONFLICT DO NOTHING
"""

STALE = """
    SELECT x.state FROM unnest($1::text[], $2::bigint[]) AS x (state, epoch)
        LEFT JOIN session AS s ON s.state = x.state
    WHERE s.epoch IS DISTINCT FROM x.epoch
"""


async def items(
    connection: Connection, recipient: str, after: int, limit: int, max_bytes: int
) -> list[MailItem]:
    """Return the items that follow ``after``, perhaps one or two more than have ``max_bytes``."""
    rows = await connection.fetch(ITEMS, recipient, after, limit, max_bytes, WRAP_BYTES)
    return [_item(*row) for row in rows]


def _item(
    sequence: int,
    position: int | None,
    manifest: bytes,
    proof: bytes,
    payload: bytes,
    wrap: bytes,
    statement: bytes | None,
) -> MailItem:
    if statement is not None:
        return MailItem(sequence, ItemKind.STATEMENT, statement)
    assert position is not None  # noqa: S101 - the table says so
    delivery = Delivery(
        manifest=manifest,
        proof=codec.decode(proof, Proof, limit=MAX_PROOF_BYTES, what="stored proof"),
        index=position,
        wrap=wrap,
        payload=payload,
    )
    return MailItem(sequence, ItemKind.ENVELOPE, codec.encode(delivery))


async def collect(
    connection: Connection,
    cursors: Mapping[str, int],
    reports: Sequence[Reported],
    epochs: Mapping[str, int],
) -> frozenset[str]:
    """Advance cursors and record reports, but for recipients whose session is another by now."""
    stale: frozenset[str] = frozenset()
    if epochs:
        stale = await find_stale(connection, epochs)
    moves = sorted((name, sequence) for name, sequence in cursors.items() if name not in stale)
    if moves:
        await connection.execute(ADVANCE, [name for name, _ in moves], [sequence for _, sequence in moves])
    kept = [one for one in reports if one.place.recipient not in stale]
    if kept:
        columns: list[list[Any]] = [
            [one.place.recipient for one in kept],
            [one.place.sequence for one in kept],
            [one.code.value for one in kept],
            [one.at_ms for one in kept],
        ]
        await connection.execute(REPORT, *columns)
    return stale


async def find_stale(connection: Connection, epochs: Mapping[str, int]) -> frozenset[str]:
    """Return those nodes whose session has another epoch by now."""
    rows = await connection.fetch(STALE, list(epochs), list(epochs.values()))
    return frozenset(row["state"] for row in rows)


async def expired(connection: Connection, now_ms: int, limit: int) -> tuple[Uncollected, ...]:
    """Return places of expired envelopes that nobody collected or could use, spoke of, or declared."""
    rows = await connection.fetch(EXPIRED, now_ms, limit, day_of(now_ms))
    return tuple(
        Uncollected(MailPlace(recipient, sequence), envelope, sender)
        for recipient, sequence, envelope, sender in rows
    )
