"""The coordinator's store keeps its contract, whatever the engine."""

from __future__ import annotations

import secrets
from pathlib import Path

import apsw
import asyncpg
import pytest

from exchange.stores.contract import (
    ChainHead,
    Cursor,
    MailPlace,
    NewEnvelope,
    NewStatement,
    Reported,
)
from exchange.stores.coordinator_sqlite import SqliteCoordinatorStore
from exchange.stores.mailbox_sqlite import EXPIRED
from protocol.envelope import deliver, parse_delivery
from protocol.errors import PeerCode
from protocol.notice import DEFAULT_LIFE_MS
from protocol.session.messages import ItemKind
from protocol.statement import CHAIN_START, StatementKind
from tests.clocks import FixedClock
from tests.community import HUB, community
from tests.envelopes import id_of, sent
from tests.stores import Store, Stores

EVERYONE = community()
NOW_MS = EVERYONE.now_ms
TWICE = (apsw.ConstraintError, asyncpg.UniqueViolationError)
PLENTY = 2**30


def statement(
    envelope: bytes,
    *,
    party: str = "XBB",
    kind: StatementKind = StatementKind.RECEIVED,
    mail_to: tuple[str, ...] = ("XAA",),
    expired: MailPlace | None = None,
) -> NewStatement:
    """Return a statement; the store does not look into its bytes."""
    return NewStatement(
        id=secrets.token_bytes(32),
        envelope=envelope,
        party=party,
        kind=kind,
        at_ms=NOW_MS,
        received_ms=NOW_MS,
        data=secrets.token_bytes(100),
        mail_to=mail_to,
        expired=expired,
    )


def envelope(to: tuple[str, ...] = ("XBB", "XCC")) -> NewEnvelope:
    """Return an envelope with real parts."""
    parts = sent(EVERYONE, to=to)
    name = id_of(parts)
    return NewEnvelope(
        id=name,
        sender="XAA",
        recipients=to,
        created_ms=NOW_MS,
        expires_ms=NOW_MS + DEFAULT_LIFE_MS,
        received_ms=NOW_MS,
        submission=parts,
        relayed=statement(name, party=HUB, kind=StatementKind.RELAYED, mail_to=()),
    )


async def test_indexes_count_statements_from_zero_without_gaps(store: Store) -> None:
    """They will be leaf indexes of the ledger."""
    first = envelope()
    assert await store.commit([first, statement(first.id)], None) == (0, 1)
    assert await store.commit([envelope()], None) == (2,)
    stored = await store.statements(0, 10)
    assert stored[0] == first.relayed.data
    assert len(stored) == 3
    assert await store.statements(1, 1) == stored[1:2]


async def test_a_delivery_is_cut_from_the_one_stored_copy(store: Store) -> None:
    """Each recipient gets the envelope with its own wrap, byte for byte."""
    new = envelope()
    await store.commit([new], None)
    for index, recipient in enumerate(new.recipients):
        (item,) = await store.mail(recipient, 0, limit=10, max_bytes=PLENTY)
        assert (item.sequence, item.kind) == (1, ItemKind.ENVELOPE)
        assert parse_delivery(item.content)[0] == deliver(new.submission, index)


async def test_a_mailbox_holds_envelopes_and_statements_in_the_order_of_commits(
    store: Store,
) -> None:
    """Nothing is skipped, whatever kind it is."""
    new, other = envelope(), envelope(to=("XAA",))
    note = statement(new.id)
    await store.commit([new, other], None)
    await store.commit([note], None)
    items = await store.mail("XAA", 0, limit=10, max_bytes=PLENTY)
    assert [(item.sequence, item.kind) for item in items] == [(1, ItemKind.ENVELOPE), (2, ItemKind.STATEMENT)]
    assert items[1].content == note.data
    assert await store.mail("XAA", 2, limit=10, max_bytes=PLENTY) == ()


async def test_mail_is_bounded_but_never_stuck_on_a_large_item(store: Store) -> None:
    """The first item comes whatever its size; the next only if there is room."""
    await store.commit([envelope(to=("XBB",)) for _ in range(3)], None)
    assert len(await store.mail("XBB", 0, limit=2, max_bytes=PLENTY)) == 2
    assert [item.sequence for item in await store.mail("XBB", 1, limit=9, max_bytes=1)] == [2]


async def test_a_commit_is_all_or_nothing(store: Store) -> None:
    """One entry that is there already undoes the whole commit."""
    new = envelope()
    await store.commit([new], None)
    fresh = envelope()
    with pytest.raises(TWICE):
        await store.commit([fresh, new], ChainHead(bytes(32), 9, bytes(32)))
    assert fresh.id not in (await store.known([fresh.id], [])).envelopes
    assert (await store.chain(bytes(32))).sequence == 0
    assert await store.cursor("XBB") == Cursor(head=1, collected=0)


async def test_what_is_known_is_told_with_its_relayed_statement(store: Store) -> None:
    """A repeated submission is answered from this."""
    new = envelope()
    note = statement(new.id)
    await store.commit([new, note], None)
    known = await store.known([new.id, bytes(32)], [note.id, bytes(32)])
    assert set(known.envelopes) == {new.id}
    assert known.statements == {note.id: 1}
    stored = known.envelopes[new.id]
    assert (stored.sender, stored.recipients, stored.index) == ("XAA", ("XBB", "XCC"), 0)
    assert stored.relayed == new.relayed.data


async def test_a_cursor_moves_forward_only_and_never_past_the_head(store: Store) -> None:
    """A late or wild report cannot hide an item."""
    await store.commit([envelope(to=("XBB",)) for _ in range(3)], None)
    await store.collect({"XBB": 2}, [])
    await store.collect({"XBB": 1}, [])
    assert await store.cursor("XBB") == Cursor(head=3, collected=2)
    await store.collect({"XBB": 99, "XZZ": 5}, [])
    assert await store.cursor("XBB") == Cursor(head=3, collected=3)
    assert await store.cursor("XZZ") == Cursor(head=0, collected=0)


async def test_everything_is_there_after_opening_again(stores: Stores) -> None:
    """What a call returned was durable."""
    new = envelope()
    key = secrets.token_bytes(32)
    store = await stores.open()
    await store.commit([new], ChainHead(key, 1, new.relayed.id))
    await store.collect({"XBB": 1}, [Reported(MailPlace("XBB", 1), PeerCode.TAMPERED, NOW_MS)])
    await store.close()
    store = await stores.open()
    assert await store.cursor("XBB") == Cursor(head=1, collected=1)
    assert await store.cursor("XCC") == Cursor(head=1, collected=0)
    assert await store.chain(key) == ChainHead(key, 1, new.relayed.id)
    await store.close()


async def test_an_unknown_key_has_no_statement_yet(store: Store) -> None:
    """A chain starts at nothing."""
    assert await store.chain(bytes(32)) == ChainHead(bytes(32), 0, CHAIN_START)


async def test_expired_items_are_listed_until_they_are_recorded(store: Store) -> None:
    """Collected or recorded items are not listed; nothing is listed before its time."""
    new = envelope()
    await store.commit([new], None)
    await store.collect({"XBB": 1}, [])
    assert await store.expired(new.expires_ms - 1, limit=10) == ()
    (item,) = await store.expired(new.expires_ms, limit=10)
    assert (item.place, item.envelope, item.sender) == (MailPlace("XCC", 1), new.id, "XAA")
    await store.commit([statement(new.id, party=HUB, expired=item.place)], None)
    assert await store.expired(new.expires_ms, limit=10) == ()


async def test_what_a_recipient_spoke_of_is_not_called_undelivered(store: Store) -> None:
    """Its cursor may have been lost in a crash; its own word was not."""
    new = envelope()
    await store.commit([new], None)
    await store.commit([statement(new.id, party="XBB")], None)
    (item,) = await store.expired(new.expires_ms, limit=10)
    assert item.place.recipient == "XCC"


async def test_what_a_recipient_could_not_use_is_undelivered(store: Store) -> None:
    """A cursor that passed it is no delivery; once, and not if the recipient said so itself."""
    first, second = envelope(), envelope()
    await store.commit([first, second], None)
    reports = [Reported(MailPlace("XBB", number), PeerCode.NOT_TRUSTED, NOW_MS) for number in (1, 2)]
    await store.collect({"XBB": 2, "XCC": 2}, reports)
    await store.commit([statement(second.id, party="XBB")], None)
    (item,) = await store.expired(first.expires_ms, limit=10)
    assert (item.place, item.envelope) == (MailPlace("XBB", 1), first.id)
    await store.commit([statement(first.id, party=HUB, expired=item.place)], None)
    assert await store.expired(first.expires_ms, limit=10) == ()


async def test_a_report_of_an_unusable_item_may_come_twice(store: Store) -> None:
    """The first report stands."""
    await store.commit([envelope()], None)
    report = Reported(MailPlace("XBB", 1), PeerCode.TAMPERED, NOW_MS)
    await store.collect({}, [report])
    await store.collect({}, [report])


async def test_documents_keep_the_order_and_the_copy_of_their_first_arrival(
    store: Store,
) -> None:
    """The index is what nodes mirror by."""
    documents = EVERYONE.documents
    assert await store.append_documents(documents[:3], NOW_MS) == (0, 1, 2)
    assert await store.append_documents(documents[2:4], NOW_MS) == (2, 3)
    assert await store.documents(1, limit=2, max_bytes=PLENTY) == documents[1:3]
    assert await store.documents(0, limit=9, max_bytes=1) == documents[:1]
    assert await store.document_count() == 4
    await store.prove_writable(NOW_MS)


async def test_the_search_for_expired_items_looks_only_behind_cursors(tmp_path: Path) -> None:
    """It must stay cheap with any number of collected items."""
    store = await SqliteCoordinatorStore.open(tmp_path / "almenara.db", FixedClock(NOW_MS))
    await store.close()
    db = apsw.Connection(str(tmp_path / "almenara.db"))
    plan = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + EXPIRED, {"now": 1, "limit": 1})]
    assert any("SEARCH m USING PRIMARY KEY (recipient=? AND sequence>?)" in step for step in plan), plan
