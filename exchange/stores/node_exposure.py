"""What one key touched, in the node's store: every notice and every statement, one after another."""

from __future__ import annotations

from collections.abc import Iterator

import apsw

from exchange.stores.node_notices import NoticeRow, notice_row
from exchange.stores.node_statements import StatementRow, select_statements


def notices_of(db: apsw.Connection, sender: str) -> Iterator[NoticeRow]:
    """Yield every notice that a state sent, oldest first, in all its envelopes."""
    for row in db.execute("SELECT * FROM notice WHERE sender = ? ORDER BY stored_ms", (sender,)):
        yield notice_row(row)


def received_notices(db: apsw.Connection) -> Iterator[NoticeRow]:
    """Yield every received notice, oldest first, in all its envelopes."""
    for row in db.execute("SELECT * FROM notice WHERE direction = 'received' ORDER BY stored_ms"):
        yield notice_row(row)


def statements_of(db: apsw.Connection, party: str) -> Iterator[StatementRow]:
    """Yield every statement of a party, in the order in which they became known here."""
    yield from select_statements(db, "WHERE party = ? ORDER BY statement.rowid", (party,))


def held_prekeys(db: apsw.Connection) -> frozenset[bytes]:
    """Return the ids of the daily keys whose secret halves are still here."""
    return frozenset(name for (name,) in db.execute("SELECT id FROM prekey"))
