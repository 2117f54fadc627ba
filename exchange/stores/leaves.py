"""The leaf that a stored row is in its log, whatever the engine that stores it."""

from __future__ import annotations

from protocol.documents import parse_document, parse_signed_document
from protocol.ledger.leaf import document_leaf, statement_leaf
from protocol.ledger.origins import Log
from protocol.statement import StatementKind


def leaf_of(log: Log, kind: int, at_ms: int, data: bytes) -> bytes:
    """Return a row's leaf as it is hashed.

    Args:
        log: Which log.
        kind: The kind of a statement; nothing for a document.
        at_ms: When the row was recorded.
        data: The signed statement or document.

    Raises:
        FormatError: it is neither.
    """
    if log is Log.ACK:
        return statement_leaf(StatementKind(kind), at_ms, data).encode()
    return document_leaf(parse_document(parse_signed_document(data).body), at_ms, data)
