"""The node's small books: facts, documents, prekeys, refused deliveries, events and alarms."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import apsw

from exchange.stores.many_rows import insert_rows

MIRRORED = "mirrored"
"""The fact that holds how many of the community's documents have been asked for."""

EVIDENCE_KEPT = 200
"""How many refused items are kept whole."""

REFUSALS_KEPT = 10_000
"""Of how many refused items it is kept that they came."""

EVENTS_KEPT = 1_000_000
"""How many events are kept; what they report stays where it is stored."""

ALARMS_KEPT = 100
"""How many alarms of one code can stand at once: more would tell a person no more."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event as stored."""

    number: int
    at_ms: int
    event: str
    envelope: bytes | None
    state: str | None
    code: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class AlarmRow:
    """One alarm as stored."""

    code: str
    about: str
    message: str
    next: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class PrekeyRow:
    """The secret half of one daily key as stored: locked under the key of its day, as in 2026-11-25."""

    day: str
    locked_seed: bytes


def read_fact(db: apsw.Connection, name: str) -> int:
    """Return a fact's value, 0 if it was never set."""
    row = db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
    return 0 if row is None else int(row[0])


def save_fact(db: apsw.Connection, name: str, value: int) -> None:
    """Set a fact; it never goes down."""
    db.execute(
        "INSERT INTO fact VALUES (?, ?) ON CONFLICT DO UPDATE SET value = max(value, excluded.value)",
        (name, value),
    )


def read_documents(db: apsw.Connection) -> list[bytes]:
    """Return every trusted document in the order in which it was accepted."""
    return [row[0] for row in db.execute("SELECT body FROM document ORDER BY position")]


def has_document(db: apsw.Connection, hash_: bytes) -> bool:
    """Whether these exact document bytes were accepted before."""
    return db.execute("SELECT 1 FROM document WHERE hash = ?", (hash_,)).fetchone() is not None


def insert_document(db: apsw.Connection, hash_: bytes, body: bytes) -> None:
    """Append a trusted document; one that is there already is left alone."""
    db.execute("INSERT INTO document (hash, body) VALUES (?, ?) ON CONFLICT DO NOTHING", (hash_, body))


def insert_prekey(db: apsw.Connection, id_: bytes, keep_until_ms: int, row: PrekeyRow) -> None:
    """Store the secret half of one daily key."""
    db.execute(
        "INSERT INTO prekey (id, keep_until_ms, locked_seed, day) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (id_, keep_until_ms, row.locked_seed, row.day),
    )


def find_prekey(db: apsw.Connection, id_: bytes) -> PrekeyRow | None:
    """Return the secret half of the daily key with this id, if it still exists."""
    row = db.execute("SELECT day, locked_seed FROM prekey WHERE id = ?", (id_,)).fetchone()
    return None if row is None else PrekeyRow(*row)


def prekey_days(db: apsw.Connection) -> frozenset[str]:
    """Return the days of all daily keys whose secret halves are here."""
    return frozenset(row[0] for row in db.execute("SELECT DISTINCT day FROM prekey"))


def destroy_prekeys(db: apsw.Connection, now_ms: int, except_: bytes | None = None) -> int:
    """Delete every daily key whose time is over, but for one; returns how many."""
    query = "DELETE FROM prekey WHERE keep_until_ms <= ? AND id IS NOT ? RETURNING 1"
    return len(db.execute(query, (now_ms, except_)).fetchall())


def keep_prekey(db: apsw.Connection, id_: bytes, until_ms: int) -> None:
    """Keep a daily key at least so long."""
    db.execute("UPDATE prekey SET keep_until_ms = max(keep_until_ms, ?) WHERE id = ?", (until_ms, id_))


def insert_refused(
    db: apsw.Connection, sequence: int, envelope: bytes | None, code: str, at_ms: int, evidence: bytes
) -> None:
    """Keep what was delivered and could not be used; of older ones, only that it was, and not for ever."""
    db.execute(
        "INSERT INTO refused (sequence, envelope, code, at_ms, evidence) VALUES (?, ?, ?, ?, ?)",
        (sequence, envelope, code, at_ms, evidence),
    )
    # A coordinator that delivers rubbish for ever must not fill the disk.
    number = db.last_insert_rowid()
    db.execute("UPDATE refused SET evidence = x'' WHERE number = ?", (number - EVIDENCE_KEPT,))
    db.execute("DELETE FROM refused WHERE number <= ?", (number - REFUSALS_KEPT,))


def record_event(
    db: apsw.Connection,
    at_ms: int,
    event: str,
    *,
    envelope: bytes | None = None,
    state: str | None = None,
    code: str | None = None,
    detail: str = "",
) -> None:
    """Append one event, in the transaction of what it reports; the oldest go when there are too many."""
    db.execute(
        "INSERT INTO event (at_ms, event, envelope, state, code, detail) VALUES (?, ?, ?, ?, ?, ?)",
        (at_ms, event, envelope, state, code, detail),
    )
    db.execute("DELETE FROM event WHERE number <= ?", (db.last_insert_rowid() - EVENTS_KEPT,))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """One event before it has a number."""

    event: str
    envelope: bytes | None = None
    state: str | None = None
    code: str | None = None
    detail: str = ""


def record_events(db: apsw.Connection, at_ms: int, events: Sequence[NewEvent]) -> None:
    """Append events in order, as :func:`record_event` does one."""
    if not events:
        return
    rows = [(at_ms, one.event, one.envelope, one.state, one.code, one.detail) for one in events]
    insert_rows(db, "INSERT INTO event (at_ms, event, envelope, state, code, detail) VALUES", rows)
    db.execute("DELETE FROM event WHERE number <= ?", (db.last_insert_rowid() - EVENTS_KEPT,))


def read_events(db: apsw.Connection, since: int, limit: int) -> list[EventRow]:
    """Return up to ``limit`` events with a number above ``since``, in order."""
    query = (
        "SELECT number, at_ms, event, envelope, state, code, detail FROM event"
        " WHERE number > ? ORDER BY number LIMIT ?"
    )
    return [EventRow(*row) for row in db.execute(query, (since, limit))]


def raise_alarm(db: apsw.Connection, code: str, about: str, message: str, next_: str, at_ms: int) -> None:
    """Raise an alarm; it is left as it is when it is raised already, or when many of its code stand."""
    db.execute(
        "INSERT INTO alarm SELECT ?1, ?2, ?3, ?4, ?5"
        " WHERE (SELECT count(*) FROM alarm WHERE code = ?1) < ?6 ON CONFLICT DO NOTHING",
        (code, about, message, next_, at_ms, ALARMS_KEPT),
    )


def any_alarm(db: apsw.Connection) -> bool:
    """Whether anything at all is raised: mostly nothing is, and nothing need be lowered."""
    return db.execute("SELECT 1 FROM alarm LIMIT 1").fetchone() is not None


def has_alarm(db: apsw.Connection, code: str, about: str) -> bool:
    """Whether an alarm is raised."""
    return (
        db.execute("SELECT 1 FROM alarm WHERE code = ? AND about = ?", (code, about)).fetchone() is not None
    )


def clear_alarm(db: apsw.Connection, code: str, about: str) -> None:
    """Lower an alarm whose cause is gone."""
    db.execute("DELETE FROM alarm WHERE code = ? AND about = ?", (code, about))


def clear_alarms_but(db: apsw.Connection, code: str, lasting: Collection[str]) -> None:
    """Lower the alarms of one code whose cause is gone: all but those about these."""
    raised = [str(about) for (about,) in db.execute("SELECT about FROM alarm WHERE code = ?", (code,))]
    for about in raised:
        if about not in lasting:
            clear_alarm(db, code, about)


def clear_alarms(db: apsw.Connection) -> int:
    """Lower every raised alarm; returns how many. A cause that lasts raises its alarm again."""
    return len(db.execute("DELETE FROM alarm RETURNING 1").fetchall())


def read_alarms(db: apsw.Connection) -> list[AlarmRow]:
    """Return the raised alarms, oldest first."""
    query = "SELECT code, about, message, next, since_ms FROM alarm ORDER BY since_ms, code"
    return [AlarmRow(*row) for row in db.execute(query)]
