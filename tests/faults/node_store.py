"""What the node writes when it accepts or receives a notice: it is there whole, or not at all."""

from __future__ import annotations

import random

import apsw

from exchange.node.chains import Said
from exchange.node.delivery_round import store_round
from exchange.node.records import Item, NoticeRecord, Outcome
from exchange.node.summary import LockedContent
from exchange.stores.migrate import packaged
from exchange.stores.node_books import record_event
from exchange.stores.node_notices import DeliveryRow, NoticeRow, insert_deliveries, insert_notice
from exchange.stores.node_queue import enqueue
from exchange.stores.node_statements import read_chains, read_pairs, save_pair
from exchange.stores.writer import Work
from keys.evidence import NO_STATEMENT_YET, Chain, Draft, Saying
from keys.sealing import PAIR_START, PairPosition
from protocol.delivery import DeliveryState
from protocol.session.messages import ItemKind
from protocol.statement import StatementKind
from tests.clocks import DAWN
from tests.community import community
from tests.envelopes import header
from tests.faults.cuts import Subject

KEY_ID = bytes(32)
HEADER = header(community())
RECIPIENTS = ("XBB", "XCC")


def make_work(chance: random.Random) -> tuple[bytes, Work]:
    """Return what accepting one notice writes, or what receiving one writes."""
    name = chance.randbytes(32)
    body = chance.randbytes(chance.choice((200, 3_000, 9_000)))
    nonce = chance.randbytes(32)
    if chance.random() < 0.5:
        return name, lambda db: accept(db, name, body)
    return name, lambda db: receive(db, name, body, nonce)


def accept(db: apsw.Connection, name: bytes, body: bytes) -> None:
    """Write what the outbox writes in one transaction."""
    row = NoticeRow(
        id=name,
        direction="sent",
        sender="XAA",
        notice=name[:16],
        manifest=body,
        proof=b"p",
        salt=bytes(32),
        created_ms=DAWN,
        stored_ms=DAWN,
        priority=1,
        state=DeliveryState.QUEUED,
        locked_summary=b"s",
        locked_key=b"k",
        request_id=name.hex(),
        request_digest=name,
    )
    insert_notice(db, row, body)
    insert_deliveries(
        db, name, [DeliveryRow(code, DeliveryState.QUEUED, DAWN, None, tail=False) for code in RECIPIENTS]
    )
    pairs = read_pairs(db)
    for code in RECIPIENTS:
        sequence, _ = pairs.get(code, (0, PAIR_START))
        save_pair(db, code, sequence + 1, name)
    enqueue(db, "submit", row.priority, name, body)
    record_event(db, DAWN, "notice.queued", envelope=name)


def receive(db: apsw.Connection, name: bytes, body: bytes, nonce: bytes) -> None:
    """Write what the inbox writes in one transaction."""
    chains = read_chains(db)
    last = Chain(*chains[KEY_ID]) if KEY_ID in chains else NO_STATEMENT_YET
    saying = Saying(kind=StatementKind.RECEIVED, envelope=name, decryption_proof=bytes(32))
    record = NoticeRecord(
        envelope=name,
        header=HEADER,
        manifest=body,
        proof=b"p",
        salt=bytes(32),
        notice=name[:16],
        position=PairPosition(sequence=1, previous=bytes(32)),
        content=LockedContent(summary=b"s", body=body, key=b"k"),
        priority=1,
        decryption_proof=bytes(32),
    )
    said = Said(KEY_ID, saying, Draft(b"body", nonce, Chain(last.sequence + 1, nonce)), b"signed")
    outcome = Outcome(Item(1, ItemKind.ENVELOPE, body), notice=record, saying=saying)
    store_round(db, "XBB", [outcome], [said], DAWN)


def column(db: apsw.Connection, query: str) -> list[bytes]:
    """Return the first column of a query, sorted."""
    return sorted(row[0] for row in db.execute(query))


def examine(db: apsw.Connection) -> set[bytes]:
    """Return the notices that are there, each with all of its parts."""
    sent = column(db, "SELECT id FROM notice WHERE direction = 'sent'")
    received = column(db, "SELECT id FROM notice WHERE direction = 'received'")
    assert column(db, "SELECT envelope FROM delivery WHERE recipient = 'XBB'") == sent
    assert column(db, "SELECT envelope FROM delivery WHERE recipient = 'XCC'") == sent
    assert column(db, "SELECT subject FROM outgoing WHERE kind = 'submit'") == sent
    assert column(db, "SELECT envelope FROM statement") == received
    statements = column(db, "SELECT id FROM statement")
    assert column(db, "SELECT subject FROM outgoing WHERE kind = 'attest'") == statements
    assert column(db, "SELECT envelope FROM event") == sorted(sent + received)
    # Numbers are never used twice and never skipped.
    assert {sequence for sequence, _ in read_pairs(db).values()} <= {len(sent)}
    assert {sequence for sequence, _ in read_chains(db).values()} <= {len(received)}
    return {*sent, *received}


NODE = Subject(packaged("exchange.stores.sql.node"), make_work, examine)
