"""What the coordinator writes when it relays: what it promised, it still owes."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

import apsw
import pytest

from exchange.stores.contract import ChainHead, NewEnvelope, NewStatement
from exchange.stores.coordinator_sqlite import MIGRATIONS, SqliteCoordinatorStore
from exchange.stores.engine import Engine
from exchange.stores.migrate import packaged
from exchange.stores.writer import Work
from protocol.documents import Role
from protocol.envelope import Submission
from protocol.signed import Context, Proof
from protocol.statement import StatementKind
from protocol.suite import WRAP_BYTES
from tests.clocks import DAWN
from tests.community import HUB, signer
from tests.faults.cuts import Subject

KEY_ID = bytes(32)
RECIPIENTS = ("XBB", "XCC")
PROOF: Proof = signer("XAA node", Role.NODE).sign(Context.NOTICE, b"any manifest")

T = TypeVar("T")


class Inside:
    """An engine that runs each write at once, on the connection of a transaction already open."""

    def __init__(self, db: apsw.Connection) -> None:
        self.db = db

    async def write(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run the work."""
        return work(self.db)


def within(db: apsw.Connection) -> SqliteCoordinatorStore:
    """Return the real store on an open transaction."""
    return SqliteCoordinatorStore(cast(Engine, Inside(db)))


def finished(steps: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine that never waits."""
    with pytest.raises(StopIteration):
        steps.send(None)


def make_work(chance: random.Random) -> tuple[bytes, Work]:
    """Return what relaying an envelope writes, with a cursor that moves now and then."""
    name, statement = chance.randbytes(32), chance.randbytes(32)
    payload = chance.randbytes(chance.choice((200, 3_000, 9_000)))
    collects = chance.random() < 0.3

    def work(db: apsw.Connection) -> None:
        relay(db, name, statement, payload)
        if collects:
            finished(within(db).collect({"XBB": 2**40}, []))

    return name, work


def relay(db: apsw.Connection, name: bytes, statement: bytes, payload: bytes) -> None:
    """Record one envelope with its promise and the chain of the coordinator's key."""
    row = db.execute("SELECT sequence FROM chain WHERE key_id = ?", (KEY_ID,)).fetchone()
    sequence = 1 if row is None else int(row[0]) + 1
    relayed = NewStatement(
        id=statement,
        envelope=name,
        party=HUB,
        kind=StatementKind.RELAYED,
        at_ms=DAWN,
        received_ms=DAWN,
        data=b"signed",
        mail_to=(),
    )
    envelope = NewEnvelope(
        id=name,
        sender="XAA",
        recipients=RECIPIENTS,
        created_ms=DAWN,
        expires_ms=DAWN + 1,
        received_ms=DAWN,
        submission=Submission(
            manifest=b"manifest", proof=PROOF, wraps=(bytes(WRAP_BYTES),) * 2, payload=payload
        ),
        relayed=relayed,
    )
    receipt = NewStatement(
        id=name,
        envelope=name,
        party="XBB",
        kind=StatementKind.RECEIVED,
        at_ms=DAWN,
        received_ms=DAWN,
        data=b"signed",
        mail_to=("XAA",),
    )
    finished(within(db).commit([envelope, receipt], ChainHead(KEY_ID, sequence, statement)))


def column(db: apsw.Connection, query: str) -> list[object]:
    """Return the first column of a query."""
    return [row[0] for row in db.execute(query)]


def examine(db: apsw.Connection) -> set[bytes]:
    """Return the envelopes that are there, each with promise, places and index."""
    names = {cast(bytes, one) for one in column(db, "SELECT id FROM envelope")}
    whole = """SELECT e.id FROM envelope AS e
        JOIN statement AS s ON s.idx = e.relayed AND s.envelope = e.id
        WHERE (SELECT count(*) FROM mailbox AS m WHERE m.envelope = e.number) = 2"""
    assert set(column(db, whole)) == names
    assert set(column(db, "SELECT envelope FROM statement WHERE party = 'XBB'")) == names
    # Indexes are the ledger's: without gaps. Places too: no reader ever skips one.
    assert column(db, "SELECT idx FROM statement ORDER BY idx") == list(range(2 * len(names)))
    for recipient in (*RECIPIENTS, "XAA"):
        places = column(db, f"SELECT sequence FROM mailbox WHERE recipient = '{recipient}' ORDER BY sequence")
        heads = column(db, f"SELECT head FROM cursor WHERE recipient = '{recipient}'")
        assert places == list(range(1, len(names) + 1))
        assert heads == ([len(names)] if names else [])
    assert column(db, "SELECT sequence FROM chain") == ([len(names)] if names else [])
    return names


COORDINATOR = Subject(packaged(MIGRATIONS), make_work, examine)
