"""What this node holds that a thief may have signed, by the documents that it trusts now.

Asked when something is shown, never stored: governance may confirm a compromise long after.
"""

from __future__ import annotations

from exchange.stores.node_statements import StatementRow
from keys.held import Documents
from protocol.statement import parse_statement
from protocol.text import format_utc


def doubtful_since(documents: Documents, row: StatementRow) -> int | None:
    """Return since when a statement's key is confirmed as compromised, if witnesses had it no earlier."""
    if documents.directory is None or not documents.directory.document.compromised:
        return None
    _, statement = parse_statement(row.body)
    since_ms = documents.compromised_ms(statement.party, statement.key_id)
    if since_ms is None or (row.witnessed_ms is not None and row.witnessed_ms < since_ms):
        return None
    return since_ms


def standing_of(documents: Documents, party: str, key_id: bytes) -> str:
    """Return what is to be said of a key behind its id: nothing, or that it is withdrawn, and by whom."""
    since_ms = documents.compromised_ms(party, key_id)
    if since_ms is not None:
        return f", confirmed as compromised since {format_utc(since_ms)}"
    revoked_ms = documents.revoked.get((party, key_id))
    return "" if revoked_ms is None else f", revoked by {party} as of {format_utc(revoked_ms)}"
