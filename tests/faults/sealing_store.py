"""What the node writes while notices wait and are sealed again: each waits, or has its envelope."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import cast

import apsw

from exchange.node.again import NO_KEY, follow, wait
from exchange.node.choosing import Chosen
from exchange.node.context import NodeContext
from exchange.node.link_state import LinkState
from exchange.node.resealer import Resealer
from exchange.node.sealer import Draft, Sealer
from exchange.node.sealing_round import Writing, write_round
from exchange.stores.migrate import packaged
from exchange.stores.node_notices import (
    DeliveryRow,
    NoticeRow,
    find_notice,
    insert_deliveries,
    insert_notice,
    update_delivery,
)
from exchange.stores.node_sealing import list_waiting, newest_attempt
from exchange.stores.node_statements import read_pairs
from exchange.stores.writer import Work
from keys.roster import PrekeyChoice
from keys.sealing import PairPosition, SealedNotice, SealFor
from keys.vault import Vault
from protocol.delivery import DeliveryState
from protocol.documents import Prekey
from protocol.envelope import Submission
from protocol.signed import Proof
from tests.clocks import DAWN, FixedClock
from tests.community import community
from tests.envelopes import BODY, header
from tests.faults.cuts import Subject

HEADER = header(community(), to=("XCC",))
CONTEXT = cast(NodeContext, SimpleNamespace(vault=Vault(bytes(32)), clock=FixedClock()))
RESEALER = Resealer(CONTEXT, cast(Sealer, None), cast(LinkState, None))
W = DeliveryState.WAITING


def make_work(chance: random.Random) -> tuple[bytes, Work]:
    """Return what accepting a notice that must wait writes, or what sealing the next one writes."""
    name, key = chance.randbytes(32), chance.randbytes(32)
    manifest = chance.randbytes(chance.choice((200, 3_000)))
    if chance.random() < 0.4:
        return name, lambda db: accept(db, name, manifest)
    return name, lambda db: seal_next(db, name, manifest, key)


def accept(db: apsw.Connection, name: bytes, manifest: bytes) -> None:
    """Write what the outbox writes when XCC has no key."""
    row = NoticeRow(
        id=name,
        direction="sent",
        sender="XAA",
        notice=name[:16],
        manifest=manifest,
        proof=b"",
        salt=b"",
        created_ms=DAWN,
        stored_ms=DAWN,
        priority=name[0] % 6,
        state=W,
        locked_summary=b"s",
        locked_key=b"k",
        request_id=name.hex(),
        request_digest=name,
    )
    insert_notice(db, row, manifest)
    insert_deliveries(db, name, [DeliveryRow("XCC", W, DAWN, NO_KEY, tail=False)])
    wait(db, row, "XCC", NO_KEY, DAWN)


def seal_next(db: apsw.Connection, name: bytes, manifest: bytes, key: bytes) -> None:
    """Write what the resealer writes for the most urgent one; while nobody waits, accept instead.

    Before it, in the same transaction, now and then XCC rejects an earlier envelope, and waits again.
    """
    waiting = list_waiting(db)
    if not waiting:
        accept(db, name, manifest)
        return
    first = waiting[0].notice
    row = find_notice(db, first)
    assert row is not None
    prekey = Prekey(public=key * 38, use_from_ms=0, use_until_ms=1, keep_until_ms=2)
    draft = Draft(HEADER, BODY, {"XCC": Chosen(PrekeyChoice(prekey, tail=False), key)})
    proof = Proof(signature=bytes(3373), index=0, size=1, path=())
    submission = Submission(manifest=manifest, proof=proof, wraps=(bytes(1208),), payload=key)
    sealed = SealedNotice(id=name, submission=submission, content_key=key)
    sequence, previous = read_pairs(db).last("XCC")
    recipient = SealFor("XCC", prekey.public, PairPosition(sequence + 1, previous))

    def store(db: apsw.Connection) -> None:
        RESEALER._replace(db, row, draft, sealed)

    assert write_round(db, [Writing(sealed, (recipient,), draft.priority, store)]) == [None]
    if name[0] < 64:
        reject(db, name)


def reject(db: apsw.Connection, envelope: bytes) -> None:
    """Write what a REJECTED about an envelope changes."""
    update_delivery(db, envelope, "XCC", DeliveryState.REJECTED, DAWN, "cannot-open")
    gone = DeliveryRow("XCC", DeliveryState.REJECTED, DAWN, "cannot-open", tail=False)
    follow(db, envelope, gone, DAWN)


def examine(db: apsw.Connection) -> set[bytes]:
    """Return every envelope that is there, each with all of its parts."""
    firsts = {row[0] for row in db.execute("SELECT id FROM notice WHERE first IS NULL")}
    again = {row[0]: row[1] for row in db.execute("SELECT id, first FROM notice WHERE first IS NOT NULL")}
    assert set(again.values()) <= firsts
    assert {row[0] for row in db.execute("SELECT envelope FROM delivery")} == {*firsts, *again}
    assert {row[0] for row in db.execute("SELECT envelope FROM content")} == firsts
    assert {row[0] for row in db.execute("SELECT subject FROM outgoing")} == set(again)
    assert {row[0] for row in db.execute("SELECT envelope FROM event")} == firsts
    waiting = {row.notice for row in list_waiting(db)}
    for first in firsts:
        newest = newest_attempt(db, first, "XCC")
        state = db.execute("SELECT state FROM delivery WHERE envelope = ?", (newest,)).get
        # Nothing is lost: who has no envelope on its way waits; and nothing is doubled: nobody else does.
        assert (first in waiting) == (state in (W.value, DeliveryState.REJECTED.value)), state
    # Numbers are never used twice and never skipped.
    assert {sequence for sequence, _ in read_pairs(db).values()} <= {len(again)}
    return {*firsts, *again}


SEALING = Subject(packaged("exchange.stores.sql.node"), make_work, examine)
