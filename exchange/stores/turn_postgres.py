"""The turn on PostgreSQL: the lock of one row, in the transaction that adds to the ledger.

All of a round is one statement and one commit. The lock is given back when the commit is on the standby, so
the rows of one turn are durable before the next begins. A process that stands still in its turn is put out of
it by the server, and its late commit fails: nothing of the turn is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from exchange.stores.content_postgres import ContentDays, day_of
from exchange.stores.contract import (
    ChainHead,
    Entry,
    Known,
    MailPlace,
    NewEnvelope,
    NewStatement,
    StoredEnvelope,
)
from exchange.stores.postgres import Connection, Transaction
from protocol import codec
from protocol.documents import signed_document_hash
from protocol.statement import CHAIN_START
from protocol.suite import WRAP_BYTES

TAKE = "SELECT statements, documents FROM turn FOR UPDATE"

# One statement: a turn lasts as long as it needs, and each way to the server and back is a part of that.
RECORD = """
    WITH said AS (
        INSERT INTO statement
        SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::text[], $5::integer[], $6::bigint[],
            $7::bigint[], $8::bytea[])
    ), kept AS (
        INSERT INTO envelope
        SELECT n, i, s, string_to_array(r, ' '), c, e, a, m, p
        FROM unnest($9::bigint[], $10::bytea[], $11::text[], $12::text[], $13::bigint[], $14::bigint[],
            $15::bigint[], $16::bytea[], $17::bytea[]) AS x (n, i, s, r, c, e, a, m, p)
    ), sealed AS (
        INSERT INTO content
        SELECT * FROM unnest($18::integer[], $9::bigint[], $19::bytea[], $20::bytea[])
    ), heads AS (
        INSERT INTO mailbox_head AS h
        SELECT * FROM unnest($21::text[], $22::bigint[])
        ON CONFLICT (recipient) DO UPDATE SET head = h.head + excluded.head
        RETURNING recipient, head
    ), added AS (
        SELECT * FROM unnest($21::text[], $22::bigint[]) AS x (recipient, count)
    ), mailed AS (
        INSERT INTO mailbox
        SELECT m.recipient, heads.head - added.count + m.nth, m.envelope, m.position, m.day, m.statement,
            m.size
        FROM unnest($23::text[], $24::bigint[], $25::bigint[], $26::smallint[], $27::integer[], $28::bigint[],
                $29::integer[]) AS m (recipient, nth, envelope, position, day, statement, size)
            JOIN heads ON heads.recipient = m.recipient
            JOIN added ON added.recipient = m.recipient
    ), gone AS (
        INSERT INTO undelivered SELECT * FROM unnest($30::text[], $31::bigint[], $32::bigint[])
    ), chained AS (
        INSERT INTO chain SELECT * FROM unnest($33::bytea[], $34::bigint[], $35::bytea[])
        ON CONFLICT (key_id) DO UPDATE SET sequence = excluded.sequence, previous = excluded.previous
    )
    UPDATE turn SET statements = statements + cardinality($1::bigint[])
"""

KNOWN_ENVELOPES = """
    SELECT e.id, e.sender, e.recipients, e.expires_ms, e.number, s.data
    FROM envelope AS e JOIN statement AS s ON s.idx = e.number WHERE e.id = ANY($1::bytea[])
"""

SPOKEN = """
    SELECT envelope, party, count(*) FROM statement WHERE envelope = ANY($1::bytea[]) GROUP BY envelope, party
"""


class PostgresTurn:
    """The contract is :class:`~exchange.stores.contract.Turn`.

    Args:
        transaction: In which the turn's row is locked.
        days: The partitions for content.
        statements: How many statements there are.
        documents: How many documents there are.
    """

    def __init__(self, transaction: Transaction, days: ContentDays, statements: int, documents: int) -> None:
        self._transaction = transaction
        self._days = days
        self._connection = transaction.connection
        self._statements = statements
        self._documents = documents

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
        return await find_known(self._connection, envelopes, statements)

    async def chain(self, key_id: bytes) -> ChainHead:
        """Return the last statement of a key."""
        return await find_chain(self._connection, key_id)

    async def declared(self, places: Collection[MailPlace]) -> frozenset[MailPlace]:
        """Return which of these places were declared undelivered."""
        query = """SELECT u.recipient, u.sequence FROM undelivered AS u
            JOIN unnest($1::text[], $2::bigint[]) AS x (r, s) ON u.recipient = x.r AND u.sequence = x.s"""
        columns = [place.recipient for place in places], [place.sequence for place in places]
        return frozenset(MailPlace(*row) for row in await self._connection.fetch(query, *columns))

    async def commit(self, entries: Sequence[Entry], chain: ChainHead | None) -> tuple[int, ...]:
        """Record envelopes and statements, and commit."""
        rows = Rows()
        for index, entry in enumerate(entries, start=self._statements):
            rows.add(index, entry)
        if chain is not None:
            rows.chain.append((chain.key_id, chain.sequence, chain.previous))
        # They are made ahead; this is for a clock that is far off, and touches nothing that the turn holds.
        await self._days.make(rows.days)
        await self._connection.execute(RECORD, *rows.columns())
        await self._transaction.commit()
        first = self._statements
        self._statements += len(entries)
        return tuple(range(first, self._statements))

    @property
    def mailed(self) -> tuple[MailPlace, ...]:
        """The places filled: taken by the server, and not told."""
        return ()

    async def append_documents(self, documents: Sequence[bytes], now_ms: int) -> tuple[int, ...]:
        """Append signed documents, and commit; one that is there already keeps its index."""
        hashes = [signed_document_hash(data) for data in documents]
        found = await self._connection.fetch("SELECT id, idx FROM document WHERE id = ANY($1)", hashes)
        indexes: dict[bytes, int] = dict(found)
        fresh: list[tuple[int, bytes, bytes]] = []
        for name, data in zip(hashes, documents, strict=True):
            if name not in indexes:
                indexes[name] = self._documents + len(fresh)
                fresh.append((indexes[name], name, data))
        numbers, names, contents = column_lists(fresh, 3)
        await self._connection.execute(
            """INSERT INTO document
                SELECT i, n, d, $4::bigint
                FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS x (i, n, d)""",
            numbers,
            names,
            contents,
            now_ms,
        )
        await self._connection.execute("UPDATE turn SET documents = documents + $1", len(fresh))
        await self._transaction.commit()
        self._documents += len(fresh)
        return tuple(indexes[name] for name in hashes)


@dataclass(slots=True)
class Rows:
    """The rows of one commit, table by table."""

    statements: list[tuple[Any, ...]] = field(default_factory=list)
    envelopes: list[tuple[Any, ...]] = field(default_factory=list)
    contents: list[tuple[Any, ...]] = field(default_factory=list)
    mail: list[tuple[Any, ...]] = field(default_factory=list)
    undelivered: list[tuple[Any, ...]] = field(default_factory=list)
    chain: list[tuple[Any, ...]] = field(default_factory=list)
    places: Counter[str] = field(default_factory=Counter)
    """How many new items each mailbox gets."""

    @property
    def days(self) -> set[int]:
        """On which days the content expires."""
        return {day for day, *_ in self.contents}

    def add(self, index: int, entry: Entry) -> None:
        """Add what one entry comes to."""
        if isinstance(entry, NewEnvelope):
            self._say(index, entry.relayed)
            self._keep(index, entry)
        else:
            self._say(index, entry)

    def columns(self) -> Iterator[list[Any]]:
        """Yield the arguments of :data:`RECORD`."""
        yield from column_lists(self.statements, 8)
        yield from column_lists(self.envelopes, 9)
        yield from column_lists(self.contents, 3)
        # In one order whoever comes: two that lock the same rows never wait for each other.
        recipients = sorted(self.places)
        yield recipients
        yield [self.places[recipient] for recipient in recipients]
        yield from column_lists(self.mail, 7)
        yield from column_lists(self.undelivered, 3)
        yield from column_lists(self.chain, 3)

    def _say(self, index: int, said: NewStatement) -> None:
        times = said.at_ms, said.received_ms
        self.statements.append((index, said.id, said.envelope, said.party, int(said.kind), *times, said.data))
        for recipient in said.mail_to:
            self._mail(recipient, None, None, None, index, len(said.data))
        if said.expired is not None:
            self.undelivered.append((said.expired.recipient, said.expired.sequence, index))

    def _keep(self, index: int, new: NewEnvelope) -> None:
        parts, day = new.submission, day_of(new.expires_ms)
        proof = codec.encode(parts.proof)
        times = new.created_ms, new.expires_ms, new.received_ms
        recipients = " ".join(new.recipients)
        self.envelopes.append((index, new.id, new.sender, recipients, *times, parts.manifest, proof))
        self.contents.append((day, b"".join(parts.wraps), parts.payload))
        size = len(parts.manifest) + len(proof) + WRAP_BYTES + len(parts.payload)
        for position, recipient in enumerate(new.recipients):
            self._mail(recipient, index, position, day, None, size)

    def _mail(
        self,
        recipient: str,
        envelope: int | None,
        position: int | None,
        day: int | None,
        statement: int | None,
        size: int,
    ) -> None:
        self.places[recipient] += 1
        nth = self.places[recipient]
        self.mail.append((recipient, nth, envelope, position, day, statement, size))


async def find_known(
    connection: Connection, envelopes: Collection[bytes], statements: Collection[bytes]
) -> Known:
    """Return which of these ids are stored."""
    spoken: dict[bytes, dict[str, int]] = {}
    found: dict[bytes, StoredEnvelope] = {}
    if envelopes:
        # The counts first: a statement that comes in between then belongs to nobody yet.
        for envelope, party, count in await connection.fetch(SPOKEN, list(envelopes)):
            spoken.setdefault(envelope, {})[party] = count
        for name, sender, recipients, expires_ms, index, relayed in await connection.fetch(
            KNOWN_ENVELOPES, list(envelopes)
        ):
            said = spoken.get(name, {})
            found[name] = StoredEnvelope(name, sender, tuple(recipients), expires_ms, index, relayed, said)
    indexes: dict[bytes, int] = {}
    if statements:
        query = "SELECT id, idx FROM statement WHERE id = ANY($1::bytea[])"
        indexes = dict(await connection.fetch(query, list(statements)))
    return Known(envelopes=found, statements=indexes)


async def find_chain(connection: Connection, key_id: bytes) -> ChainHead:
    """Return the last statement of a key."""
    row = await connection.fetchrow("SELECT sequence, previous FROM chain WHERE key_id = $1", key_id)
    return ChainHead(key_id, *(row or (0, CHAIN_START)))


def column_lists(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Return rows of so many columns as one list for each column."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
