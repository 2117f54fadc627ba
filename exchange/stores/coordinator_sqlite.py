"""The coordinator's store on SQLite. The contract is :class:`~exchange.stores.contract.CoordinatorStore`.

Reads that cut deliveries are in :mod:`exchange.stores.mailbox_sqlite`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import apsw

from exchange.clock import Clock
from exchange.stores import mailbox_sqlite
from exchange.stores.contract import (
    ChainHead,
    Cursor,
    Entry,
    Known,
    MailItem,
    NewEnvelope,
    NewStatement,
    Reported,
    StoredEnvelope,
    Uncollected,
)
from exchange.stores.engine import Engine, EngineStats
from exchange.stores.ledger_sqlite import SqliteLedgerStore
from protocol import codec
from protocol.documents import signed_document_hash
from protocol.statement import CHAIN_START

MIGRATIONS = "exchange.stores.sql.coordinator"

T = TypeVar("T")


class SqliteCoordinatorStore:
    """One database file of one coordinator. Open it with :meth:`open`.

    Args:
        engine: The open engine; the store closes it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.ledger = SqliteLedgerStore(engine)
        """The two logs, in the same file."""

    @classmethod
    async def open(cls, path: Path, clock: Clock) -> SqliteCoordinatorStore:
        """Open or make the database; its folder must exist and be locked for this process.

        Raises:
            SetupError, StoreFailed: as :meth:`exchange.stores.engine.Engine.open`.
        """
        return cls(await Engine.open(path, MIGRATIONS, clock))

    async def commit(self, entries: Sequence[Entry], chain: ChainHead | None) -> tuple[int, ...]:
        """Record envelopes and statements in one transaction; see the contract."""

        def work(db: apsw.Connection) -> tuple[int, ...]:
            first = next_index(db, "statement")
            for index, entry in enumerate(entries, start=first):
                if isinstance(entry, NewEnvelope):
                    insert_statement(db, index, entry.relayed)
                    insert_envelope(db, index, entry)
                else:
                    insert_statement(db, index, entry)
            if chain is not None:
                row = (chain.key_id, chain.sequence, chain.previous)
                db.execute("INSERT OR REPLACE INTO chain VALUES (?, ?, ?)", row)
            return tuple(range(first, first + len(entries)))

        return await self._engine.write(work)

    async def known(self, envelopes: Collection[bytes], statements: Collection[bytes]) -> Known:
        """Return which of these ids are stored."""

        def work(db: apsw.Connection) -> Known:
            return Known(
                envelopes={id_: found for id_ in envelopes if (found := find_envelope(db, id_))},
                statements=dict(find_statements(db, statements)),
            )

        return self._engine.look_up(work)

    async def chain(self, key_id: bytes) -> ChainHead:
        """Return the last statement of a key."""

        def work(db: apsw.Connection) -> ChainHead:
            row = db.execute("SELECT sequence, previous FROM chain WHERE key_id = ?", (key_id,)).fetchone()
            return ChainHead(key_id, *(row or (0, CHAIN_START)))

        # Through the writer: after a failed commit it empties the WAL first, so that what this
        # transaction sees is on the disk when it returns.
        return await self._engine.write(work)

    async def statements(self, first: int, limit: int) -> tuple[bytes, ...]:
        """Return signed statements in order."""
        query = "SELECT data FROM statement WHERE idx >= ? ORDER BY idx LIMIT ?"
        return await self._engine.read(
            lambda db: tuple(data for (data,) in db.execute(query, (first, limit)))
        )

    async def cursor(self, recipient: str) -> Cursor:
        """Return a mailbox's cursor."""
        query = "SELECT head, collected FROM cursor WHERE recipient = ?"
        return await self._engine.read(
            lambda db: Cursor(*(db.execute(query, (recipient,)).fetchone() or (0, 0)))
        )

    async def mail(self, recipient: str, after: int, *, limit: int, max_bytes: int) -> tuple[MailItem, ...]:
        """Return the items that follow ``after``."""
        return await self._engine.read(
            lambda db: bounded(mailbox_sqlite.items(db, recipient, after), item_size, limit, max_bytes)
        )

    async def collect(self, cursors: Mapping[str, int], reports: Sequence[Reported]) -> None:
        """Advance cursors and record reports."""

        def work(db: apsw.Connection) -> None:
            for recipient, sequence in cursors.items():
                mailbox_sqlite.advance(db, recipient, sequence)
            for report in reports:
                row = (report.place.recipient, report.place.sequence, report.code.value, report.at_ms)
                db.execute("INSERT INTO unusable VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", row)

        await self._engine.write(work)

    async def expired(self, now_ms: int, *, limit: int) -> tuple[Uncollected, ...]:
        """Return places of expired envelopes that nobody collected."""
        return await self._engine.read(lambda db: mailbox_sqlite.expired(db, now_ms, limit))

    async def append_documents(self, documents: Sequence[bytes], now_ms: int) -> tuple[int, ...]:
        """Append signed documents; one that is there already keeps its index."""

        def work(db: apsw.Connection) -> tuple[int, ...]:
            return tuple(append_document(db, data, now_ms) for data in documents)

        return await self._engine.write(work)

    async def documents(self, first: int, *, limit: int, max_bytes: int) -> tuple[bytes, ...]:
        """Return documents in order."""
        query = "SELECT data FROM document WHERE idx >= ? ORDER BY idx"

        def work(db: apsw.Connection) -> tuple[bytes, ...]:
            return bounded((data for (data,) in db.execute(query, (first,))), len, limit, max_bytes)

        return await self._engine.read(work)

    async def document_index(self, document: bytes) -> int | None:
        """Return the index of the document with this hash."""
        return await self._engine.read(lambda db: find_document(db, document))

    async def document_count(self) -> int:
        """Return how many documents there are."""
        return await self._engine.read(lambda db: next_index(db, "document"))

    async def prove_writable(self, now_ms: int) -> None:
        """Write one small row."""
        query = "INSERT OR REPLACE INTO readiness VALUES (1, ?)"

        def work(db: apsw.Connection) -> None:
            db.execute(query, (now_ms,))

        await self._engine.write(work)

    def stats(self) -> EngineStats:
        """Return what the engine did since it was opened."""
        return self._engine.stats()

    async def close(self) -> None:
        """Finish what was begun, then close."""
        await self._engine.close()


def next_index(db: apsw.Connection, table: Literal["document", "statement"]) -> int:
    """Return the index that the next row will have: rows are only ever appended."""
    queries = {
        "document": "SELECT coalesce(max(idx) + 1, 0) FROM document",
        "statement": "SELECT coalesce(max(idx) + 1, 0) FROM statement",
    }
    return int(db.execute(queries[table]).get)


def insert_statement(db: apsw.Connection, index: int, statement: NewStatement) -> None:
    """Record one statement, its places in mailboxes, and what it says has expired."""
    row = (
        index,
        statement.id,
        statement.envelope,
        statement.party,
        int(statement.kind),
        statement.at_ms,
        statement.received_ms,
        statement.data,
    )
    db.execute("INSERT INTO statement VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    for recipient in statement.mail_to:
        mailbox_sqlite.append_statement(db, recipient, index)
    if statement.expired is not None:
        place = statement.expired
        db.execute("INSERT INTO undelivered VALUES (?, ?, ?)", (place.recipient, place.sequence, index))


def insert_envelope(db: apsw.Connection, relayed: int, envelope: NewEnvelope) -> None:
    """Store one envelope once, and append it to the mailbox of each recipient."""
    parts = envelope.submission
    row = (
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
    db.execute("INSERT INTO envelope VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    number = db.last_insert_rowid()
    for position, recipient in enumerate(envelope.recipients):
        mailbox_sqlite.append_envelope(db, recipient, number, position)


def find_envelope(db: apsw.Connection, envelope: bytes) -> StoredEnvelope | None:
    """Return what is known of an envelope, or None."""
    row = db.execute(
        """SELECT e.sender, e.recipients, e.expires_ms, e.relayed, s.data
           FROM envelope AS e JOIN statement AS s ON s.idx = e.relayed WHERE e.id = ?""",
        (envelope,),
    ).fetchone()
    if row is None:
        return None
    sender, recipients, expires_ms, index, relayed = row
    counts = db.execute(
        "SELECT party, count(*) FROM statement WHERE envelope = ? GROUP BY party", (envelope,)
    )
    spoken = {str(party): int(count) for party, count in counts}
    return StoredEnvelope(envelope, sender, tuple(recipients.split(" ")), expires_ms, index, relayed, spoken)


def find_statements(db: apsw.Connection, statements: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    """Yield id and index of those statements that are stored."""
    for statement in statements:
        row = db.execute("SELECT idx FROM statement WHERE id = ?", (statement,)).fetchone()
        if row is not None:
            yield statement, row[0]


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


def item_size(item: MailItem) -> int:
    """Return how many bytes an item has."""
    return len(item.content)


def bounded(rows: Iterable[T], size_of: Callable[[T], int], limit: int, max_bytes: int) -> tuple[T, ...]:
    """Return the first rows, at most ``limit``, and more than ``max_bytes`` only if the first is."""
    taken: list[T] = []
    size = 0
    for row in rows:
        size += size_of(row)
        if taken and size > max_bytes:
            break
        taken.append(row)
        if len(taken) == limit:
            break
    return tuple(taken)
