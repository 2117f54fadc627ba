"""The turn on SQLite: what is written in it. One process has the file, so its turn is a lock of its own.

Functions take the connection of the transaction they run in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import count
from typing import Literal

import apsw

from exchange.stores import mailbox_sqlite
from exchange.stores.contract import (
    ChainHead,
    Entry,
    Known,
    MailPlace,
    NewEnvelope,
    NewStatement,
    StoredEnvelope,
)
from exchange.stores.engine import Engine
from exchange.stores.many_rows import Row, insert_rows, select_among
from protocol import codec
from protocol.documents import signed_document_hash
from protocol.statement import CHAIN_START

ENVELOPES = """
    SELECT e.id, e.sender, e.recipients, e.expires_ms, e.relayed, s.data
    FROM envelope AS e JOIN statement AS s ON s.idx = e.relayed WHERE e.id IN {ids}
"""
STATEMENTS = "SELECT id, idx FROM statement WHERE id IN {ids}"
SPOKEN = "SELECT envelope, party, count(*) FROM statement WHERE envelope IN {ids} GROUP BY envelope, party"

Counts = tuple[int, int]
"""How many statements and documents there are."""


class SqliteTurn:
    """The turn of the one process; the contract is :class:`~exchange.stores.contract.Turn`.

    Args:
        engine: The database.
        counts: How many statements and documents there are.
    """

    def __init__(self, engine: Engine, counts: Counts) -> None:
        self._engine = engine
        self._statements, self._documents = counts
        self._mailed: Sequence[MailPlace] = ()

    @property
    def counts(self) -> Counts:
        """How many statements and documents there are."""
        return self._statements, self._documents

    @property
    def statements(self) -> int:
        """How many statements there are."""
        return self._statements

    @property
    def documents(self) -> int:
        """How many documents there are."""
        return self._documents

    async def known(self, envelopes: Collection[bytes], statements: Collection[bytes]) -> Known:
        """Return which of these ids are stored."""
        return self._engine.look_up(lambda db: find_known(db, envelopes, statements))

    async def chain(self, key_id: bytes) -> ChainHead:
        """Return the last statement of a key."""
        return self._engine.look_up(lambda db: find_chain(db, key_id))

    async def declared(self, places: Collection[MailPlace]) -> frozenset[MailPlace]:
        """Return which of these places were declared undelivered."""
        return self._engine.look_up(lambda db: mailbox_sqlite.declared(db, places))

    async def commit(self, entries: Sequence[Entry], chain: ChainHead | None) -> tuple[int, ...]:
        """Record envelopes and statements in one transaction."""
        first, self._mailed = await self._engine.write(lambda db: record(db, entries, chain))
        self._statements += len(entries)
        return tuple(range(first, first + len(entries)))

    @property
    def mailed(self) -> Sequence[MailPlace]:
        """The places that the commit has filled."""
        return self._mailed

    async def append_documents(self, documents: Sequence[bytes], now_ms: int) -> tuple[int, ...]:
        """Append signed documents; one that is there already keeps its index."""
        indexes = await self._engine.write(
            lambda db: tuple(append_document(db, data, now_ms) for data in documents)
        )
        self._documents = max((self._documents, *(index + 1 for index in indexes)))
        return indexes


def count_rows(db: apsw.Connection) -> Counts:
    """Return how many statements and documents there are."""
    return next_index(db, "statement"), next_index(db, "document")


def record(
    db: apsw.Connection, entries: Sequence[Entry], chain: ChainHead | None
) -> tuple[int, Sequence[MailPlace]]:
    """Record envelopes and statements in order, and the end of a chain.

    Returns:
        The first index, and the places in mailboxes.
    """
    first = next_index(db, "statement")
    numbers = count(int(db.execute("SELECT coalesce(max(number), 0) + 1 FROM envelope").get))
    mailed: list[mailbox_sqlite.Mail] = []
    statements: list[Row] = []
    envelopes: list[Row] = []
    undelivered: list[Row] = []
    for index, entry in enumerate(entries, start=first):
        said = entry.relayed if isinstance(entry, NewEnvelope) else entry
        statements.append(statement_row(index, said))
        mailed += ((recipient, None, None, index) for recipient in said.mail_to)
        if said.expired is not None:
            undelivered.append((said.expired.recipient, said.expired.sequence, index))
        if isinstance(entry, NewEnvelope):
            number = next(numbers)
            envelopes.append(envelope_row(number, index, entry))
            mailed += (
                (recipient, number, position, None) for position, recipient in enumerate(entry.recipients)
            )
    insert_rows(db, "INSERT INTO statement VALUES", statements)
    insert_rows(db, "INSERT INTO envelope VALUES", envelopes)
    places = mailbox_sqlite.append(db, mailed)
    insert_rows(db, "INSERT INTO undelivered VALUES", undelivered)
    if chain is not None:
        row = (chain.key_id, chain.sequence, chain.previous)
        db.execute("INSERT OR REPLACE INTO chain VALUES (?, ?, ?)", row)
    return first, places


def find_chain(db: apsw.Connection, key_id: bytes) -> ChainHead:
    """Return the last statement of a key."""
    row = db.execute("SELECT sequence, previous FROM chain WHERE key_id = ?", (key_id,)).fetchone()
    return ChainHead(key_id, *(row or (0, CHAIN_START)))


def find_known(db: apsw.Connection, envelopes: Iterable[bytes], statements: Iterable[bytes]) -> Known:
    """Return which of these ids are stored."""
    ids = tuple(envelopes)
    spoken: dict[bytes, dict[str, int]] = {}
    for envelope, party, times in select_among(db, SPOKEN, ids):
        spoken.setdefault(envelope, {})[party] = times
    return Known(
        envelopes={
            name: StoredEnvelope(
                name, sender, tuple(recipients.split(" ")), expires_ms, index, data, spoken.get(name, {})
            )
            for name, sender, recipients, expires_ms, index, data in select_among(db, ENVELOPES, ids)
        },
        statements=dict(select_among(db, STATEMENTS, tuple(statements))),
    )


def next_index(db: apsw.Connection, table: Literal["document", "statement"]) -> int:
    """Return the index that the next row will have: rows are only ever appended."""
    queries = {
        "document": "SELECT coalesce(max(idx) + 1, 0) FROM document",
        "statement": "SELECT coalesce(max(idx) + 1, 0) FROM statement",
    }
    return int(db.execute(queries[table]).get)


def statement_row(index: int, statement: NewStatement) -> Row:
    """Return the row of one statement."""
    return (
        index,
        statement.id,
        statement.envelope,
        statement.party,
        int(statement.kind),
        statement.at_ms,
        statement.received_ms,
        statement.data,
    )


def envelope_row(number: int, relayed: int, envelope: NewEnvelope) -> Row:
    """Return the row of one envelope."""
    parts = envelope.submission
    return (
        number,
        envelope.id,
        envelope.sender,
        " ".join(envelope.recipients),
        envelope.created_ms,
        envelope.expires_ms,
        envelope.received_ms,
        relayed,
        parts.manifest,
        codec.encode(parts.proof),
        b"".join(parts.wraps),
        parts.payload,
    )


def find_document(db: apsw.Connection, document: bytes) -> int | None:
    """Return the index of the document with this hash, or None."""
    row = db.execute("SELECT idx FROM document WHERE id = ?", (document,)).fetchone()
    return None if row is None else int(row[0])


def append_document(db: apsw.Connection, data: bytes, now_ms: int) -> int:
    """Append one signed document and return its index."""
    document = signed_document_hash(data)
    index = find_document(db, document)
    if index is None:
        index = next_index(db, "document")
        db.execute("INSERT INTO document VALUES (?, ?, ?, ?)", (index, document, data, now_ms))
    return index
