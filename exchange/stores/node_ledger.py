"""What the node knows of the ledger, in its store: rows in, rows out."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import apsw

from exchange.stores.many_rows import insert_rows, select_among

HEADS_KEPT = 1024
"""Of how many checkpoints of each log it is remembered that the log has signed them."""

GOSSIP_KEPT = 1000
"""How many checkpoints of others can wait to be compared."""

EVIDENCE_KEPT = 200
_HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class WitnessRow:
    """The checkpoint of one log that this node cosigned last."""

    log: str
    size: int
    root: bytes
    note: bytes = field(repr=False)
    at_ms: int


@dataclass(frozen=True, slots=True)
class HeadRow:
    """A checkpoint that the log has signed."""

    log: str
    size: int
    root: bytes
    note: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A checkpoint that a quorum has cosigned, and how many documents judged it."""

    log: str
    size: int
    note: bytes = field(repr=False)
    witnessed_ms: int
    documents: int


@dataclass(frozen=True, slots=True)
class PlaceRow:
    """Where a statement stands in the log of statements."""

    statement: bytes
    index: int
    at_ms: int
    path: tuple[bytes, ...]
    size: int
    delay_ms: int


@dataclass(frozen=True, slots=True)
class PromiseRow:
    """A recorded statement that is not yet seen under a quorum's checkpoint."""

    statement: bytes
    since_ms: int
    logged_ms: int | None


@dataclass(frozen=True, slots=True)
class GossipRow:
    """A checkpoint that another party has seen, by its own signed statement."""

    origin: str
    size: int
    root: bytes
    party: str
    statement: bytes = field(repr=False)
    at_ms: int


def read_witness(db: apsw.Connection, log: str) -> WitnessRow | None:
    """Return what this node cosigned last of a log, or None before the first time."""
    row = db.execute("SELECT log, size, root, note, at_ms FROM witness WHERE log = ?", (log,)).fetchone()
    return None if row is None else WitnessRow(*row)


def save_witness(db: apsw.Connection, row: WitnessRow) -> bool:
    """Set what this node cosigned last; False, and nothing is changed, if that would be a step back."""
    # The comparison is part of the statement that writes: no path through this module goes back.
    cursor = db.execute(
        "INSERT INTO witness VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET size = excluded.size,"
        " root = excluded.root, note = excluded.note, at_ms = excluded.at_ms"
        " WHERE excluded.size > size OR (excluded.size = size AND excluded.root = root) RETURNING 1",
        (row.log, row.size, row.root, row.note, row.at_ms),
    )
    return cursor.fetchone() is not None


def find_head(db: apsw.Connection, log: str, size: int) -> HeadRow | None:
    """Return the checkpoint of this size that the log has signed, if it is remembered."""
    query = "SELECT log, size, root, note FROM tree_head WHERE log = ? AND size = ?"
    row = db.execute(query, (log, size)).fetchone()
    return None if row is None else HeadRow(*row)


def newest_head(db: apsw.Connection, log: str) -> HeadRow | None:
    """Return the largest checkpoint that the log has signed and this node has compared."""
    query = "SELECT log, size, root, note FROM tree_head WHERE log = ? ORDER BY size DESC LIMIT 1"
    row = db.execute(query, (log,)).fetchone()
    return None if row is None else HeadRow(*row)


def insert_head(db: apsw.Connection, row: HeadRow) -> None:
    """Remember a checkpoint; one of the same size is left as it is, and the oldest goes."""
    values = (row.log, row.size, row.root, row.note)
    db.execute("INSERT INTO tree_head VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", values)
    db.execute(
        "DELETE FROM tree_head WHERE log = ?1 AND size <= (SELECT size FROM tree_head WHERE log = ?1"
        " ORDER BY size DESC LIMIT 1 OFFSET ?2)",
        (row.log, HEADS_KEPT),
    )


def newest_checkpoint(db: apsw.Connection, log: str) -> CheckpointRow | None:
    """Return the largest checkpoint of a log that a quorum has cosigned."""
    query = (
        "SELECT log, size, note, witnessed_ms, documents FROM checkpoint WHERE log = ?"
        " ORDER BY size DESC LIMIT 1"
    )
    row = db.execute(query, (log,)).fetchone()
    return None if row is None else CheckpointRow(*row)


def find_checkpoint(db: apsw.Connection, log: str, size: int) -> CheckpointRow | None:
    """Return the quorum's checkpoint of this size, if it is kept."""
    query = "SELECT log, size, note, witnessed_ms, documents FROM checkpoint WHERE log = ? AND size = ?"
    row = db.execute(query, (log, size)).fetchone()
    return None if row is None else CheckpointRow(*row)


def save_checkpoint(db: apsw.Connection, row: CheckpointRow) -> None:
    """Store a quorum's checkpoint; of the same size, the newer one. Those that nothing needs go."""
    db.execute(
        "INSERT INTO checkpoint VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET note = excluded.note,"
        " witnessed_ms = excluded.witnessed_ms, documents = excluded.documents"
        " WHERE NOT EXISTS (SELECT 1 FROM place WHERE checkpoint.log = 'ack' AND place.size = excluded.size)",
        (row.log, row.size, row.note, row.witnessed_ms, row.documents),
    )
    db.execute(
        "DELETE FROM checkpoint WHERE log = ?1"
        " AND size < (SELECT max(size) FROM checkpoint WHERE log = ?1)"
        " AND NOT EXISTS (SELECT 1 FROM place WHERE checkpoint.log = 'ack' AND place.size = checkpoint.size)",
        (row.log,),
    )


def count_documents(db: apsw.Connection) -> int:
    """Return how many trusted documents are stored."""
    return int(db.execute("SELECT count(*) FROM document").get)


def insert_promises(db: apsw.Connection, statements: Sequence[bytes], now_ms: int) -> None:
    """Remember that the coordinator has recorded statements that are stored only now."""
    rows = [(statement, now_ms) for statement in statements]
    insert_rows(db, "INSERT INTO promise (statement, since_ms) VALUES", rows, then="ON CONFLICT DO NOTHING")


def recorded_unplaced(db: apsw.Connection, statements: Sequence[bytes]) -> list[bytes]:
    """Return those of these stored statements whose place in the log is not known."""
    query = (
        "SELECT id FROM statement WHERE id IN {ids}"
        " AND NOT EXISTS (SELECT 1 FROM place WHERE place.statement = id)"
    )
    return [id_ for (id_,) in select_among(db, query, statements)]


def list_promises(
    db: apsw.Connection, limit: int, after: bytes = b"", *, unlogged: bool = False
) -> list[PromiseRow]:
    """Return recorded statements without a place, by id, from behind one of them; or only the unlogged."""
    query = (
        "SELECT statement, since_ms, logged_ms FROM promise WHERE statement > ?1"
        " AND (NOT ?2 OR logged_ms IS NULL) ORDER BY statement LIMIT ?3"
    )
    return [PromiseRow(*row) for row in db.execute(query, (after, unlogged, limit))]


def list_overdue(db: apsw.Connection, before_ms: int, limit: int) -> list[PromiseRow]:
    """Return statements recorded before a time that were never seen in the log, oldest first."""
    query = (
        "SELECT statement, since_ms, logged_ms FROM promise WHERE since_ms < ? AND logged_ms IS NULL"
        " ORDER BY since_ms LIMIT ?"
    )
    return [PromiseRow(*row) for row in db.execute(query, (before_ms, limit))]


def count_promises(db: apsw.Connection) -> tuple[int, int]:
    """Return how many recorded statements wait for the log, and how many only for a quorum."""
    query = "SELECT coalesce(sum(logged_ms IS NULL), 0), coalesce(sum(logged_ms IS NOT NULL), 0) FROM promise"
    waiting, logged = next(db.execute(query))
    return int(waiting), int(logged)


def oldest_unwitnessed(db: apsw.Connection) -> int | None:
    """Return since when the statement waits longest for a quorum that is in the log."""
    row = db.execute("SELECT min(logged_ms) FROM promise").fetchone()
    return None if row is None or row[0] is None else int(row[0])


def mark_logged(db: apsw.Connection, statement: bytes, now_ms: int) -> None:
    """Remember when a statement was first seen in the log."""
    db.execute(
        "UPDATE promise SET logged_ms = coalesce(logged_ms, ?) WHERE statement = ?", (now_ms, statement)
    )


def insert_place(db: apsw.Connection, row: PlaceRow) -> None:
    """Store where a statement stands, and forget that it was awaited; a second place changes nothing."""
    db.execute(
        "INSERT INTO place VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (row.statement, row.index, row.at_ms, b"".join(row.path), row.size, row.delay_ms),
    )
    db.execute("DELETE FROM promise WHERE statement = ?", (row.statement,))


def find_promise(db: apsw.Connection, statement: bytes) -> PromiseRow | None:
    """Return what is awaited of a statement, if anything is."""
    query = "SELECT statement, since_ms, logged_ms FROM promise WHERE statement = ?"
    row = db.execute(query, (statement,)).fetchone()
    return None if row is None else PromiseRow(*row)


def find_place(db: apsw.Connection, statement: bytes) -> PlaceRow | None:
    """Return where a statement stands, if that is proved."""
    query = "SELECT statement, idx, at_ms, path, size, delay_ms FROM place WHERE statement = ?"
    row = db.execute(query, (statement,)).fetchone()
    return None if row is None else _place(*row)


def recent_delays(db: apsw.Connection, limit: int) -> list[int]:
    """Return how long the newest places took from recorded to seen in the log, in milliseconds."""
    query = "SELECT delay_ms FROM place ORDER BY size DESC LIMIT ?"
    return [int(delay) for (delay,) in db.execute(query, (limit,))]


def list_relayed(
    db: apsw.Connection, recipients: Collection[str], limit: int
) -> list[tuple[bytes, str, int]]:
    """Return envelope, recipient and time of what was relayed to these and not received, oldest first."""
    query = (
        "SELECT envelope, recipient, since_ms FROM delivery WHERE state = 'relayed'"
        " AND recipient IN (SELECT value FROM json_each(?)) ORDER BY since_ms LIMIT ?"
    )
    rows = db.execute(query, (json.dumps(sorted(recipients)), limit))
    return [(envelope, recipient, since) for envelope, recipient, since in rows]


def insert_gossip(db: apsw.Connection, row: GossipRow) -> None:
    """Remember a checkpoint that another has seen, until it is compared; there is a bound to how many."""
    db.execute(
        "INSERT INTO gossip SELECT ?, ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM gossip) < ?"
        " ON CONFLICT DO NOTHING",
        (row.origin, row.size, row.root, row.party, row.statement, row.at_ms, GOSSIP_KEPT),
    )


def list_gossip(db: apsw.Connection, origin: str, limit: int) -> list[GossipRow]:
    """Return checkpoints of others that were not yet compared, oldest first."""
    query = (
        "SELECT origin, size, root, party, statement, at_ms FROM gossip WHERE origin = ?"
        " ORDER BY at_ms LIMIT ?"
    )
    return [GossipRow(*row) for row in db.execute(query, (origin, limit))]


def remove_gossip(db: apsw.Connection, row: GossipRow) -> None:
    """Forget a checkpoint of another, because it was compared."""
    db.execute(
        "DELETE FROM gossip WHERE origin = ? AND size = ? AND root = ?", (row.origin, row.size, row.root)
    )


def remove_strange_gossip(db: apsw.Connection, origins: tuple[str, str]) -> None:
    """Forget the checkpoints of other logs than these two, of which nothing is known here."""
    db.execute("DELETE FROM gossip WHERE origin NOT IN (?, ?)", origins)


def insert_all_signed(db: apsw.Connection, rows: Sequence[tuple[bytes, int, bytes, bytes]]) -> None:
    """Remember key, number, predecessor and id of statements; what is there already stays."""
    insert_rows(db, "INSERT INTO signed VALUES", rows, then="ON CONFLICT DO NOTHING")


def signed_between(
    db: apsw.Connection, key_id: bytes, first: int, last: int
) -> dict[int, tuple[bytes, bytes]]:
    """Return what a key signed under these numbers, and the statement that each names before it."""
    query = "SELECT sequence, statement, previous FROM signed WHERE key_id = ? AND sequence BETWEEN ? AND ?"
    return {number: (name, before) for number, name, before in db.execute(query, (key_id, first, last))}


def insert_evidence(db: apsw.Connection, name: str, code: str, about: str, at_ms: int, text: bytes) -> None:
    """Keep a piece of evidence; the first about one thing stays, and there is a bound to how many."""
    db.execute(
        "INSERT INTO evidence SELECT ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM evidence) < ?"
        " ON CONFLICT DO NOTHING",
        (name, code, about, at_ms, text, EVIDENCE_KEPT),
    )


def find_evidence(db: apsw.Connection, code: str, about: str) -> str | None:
    """Return the name of the evidence about one thing, if it is kept."""
    row = db.execute("SELECT name FROM evidence WHERE code = ? AND about = ?", (code, about)).fetchone()
    return None if row is None else str(row[0])


def list_evidence(db: apsw.Connection) -> list[tuple[str, bytes]]:
    """Return every piece of evidence with the name of its file, oldest first."""
    return [(name, text) for name, text in db.execute("SELECT name, text FROM evidence ORDER BY at_ms, name")]


def evidence_names(db: apsw.Connection) -> list[str]:
    """Return the names of the files of evidence, oldest first."""
    return [str(name) for (name,) in db.execute("SELECT name FROM evidence ORDER BY at_ms, name")]


def _place(statement: bytes, index: int, at_ms: int, path: bytes, size: int, delay_ms: int) -> PlaceRow:
    hashes: Iterable[bytes] = (path[at : at + _HASH_BYTES] for at in range(0, len(path), _HASH_BYTES))
    return PlaceRow(statement, index, at_ms, tuple(hashes), size, delay_ms)
