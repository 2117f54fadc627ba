"""The inbox when something of our own fails: nothing is lost, and nothing blocks the mailbox for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import apsw
import msgspec
import pytest

from exchange.node.openings import Openings, Prepared
from exchange.node.records import AgainRecord, Item, NoticeRecord
from exchange.stores import node_books
from exchange.stores.node_books import EVIDENCE_KEPT, read_alarms
from protocol import codec
from protocol.envelope import deliver, parse_delivery
from protocol.errors import StoreFailed
from protocol.session.messages import ItemKind
from protocol.statement import StatementKind, parse_statement
from tests.envelopes import header as plain_header
from tests.envelopes import submission as plain_submission
from tests.nodes import TestNode, a_node, delivery_to


@dataclass(frozen=True)
class Pair:
    """A sender and a recipient."""

    xaa: TestNode
    xbb: TestNode

    async def copy(self, subject: str) -> bytes:
        """Return a new notice as it is delivered."""
        return delivery_to("XBB", await self.xaa.send(subject=subject))


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """Return the nodes of XAA and XBB."""
    async with a_node(tmp_path / "XAA", "XAA") as xaa, a_node(tmp_path / "XBB", "XBB") as xbb:
        yield Pair(xaa, xbb)


async def said(node: TestNode) -> list[StatementKind]:
    """Return the kinds of statements that a node has queued."""
    return [parse_statement(row.content)[1].kind for row in await node.queue() if row.kind == "attest"]


async def shown(node: TestNode) -> set[str]:
    """Return the subjects that the officer sees."""
    return {notice.subject for notice in await node.desk.inbox(node.officer)}


class Faulty(Openings):
    """Openings with a bug, or a failing disk, for one envelope."""

    def spoil(self, envelope: bytes, fault: Exception, times: int = 10**6) -> None:
        """Raise ``fault`` for this envelope."""
        self.envelope, self.fault, self.times = envelope, fault, times

    def open(
        self, prepared: Prepared, seen: Collection[bytes], opened_before: Mapping[bytes, NoticeRecord]
    ) -> NoticeRecord | AgainRecord | None:
        """Open, or fail."""
        claimed = self.claimed(prepared.item)
        if self.times and claimed is not None and claimed.id == self.envelope:
            self.times -= 1
            raise self.fault
        return super().open(prepared, seen, opened_before)


def spoiled(pair: Pair, copy: bytes, fault: Exception, times: int = 10**6) -> None:
    """Make the recipient fail on one delivered copy."""
    faulty = Faulty(pair.xbb.context)
    faulty.spoil(parse_delivery(copy)[1].id, fault, times)
    pair.xbb.inbox._openings = faulty


async def test_a_bug_with_one_item_refuses_that_item_only(pair: Pair) -> None:
    """A fault that repeats every time is kept as evidence and raises an alarm; the rest is taken."""
    copies = [await pair.copy(f"Notice {number}") for number in range(3)]
    spoiled(pair, copies[1], ZeroDivisionError())
    outcomes = await pair.xbb.receive(*copies)
    alarms = await pair.xbb.context.engine.read(read_alarms)
    assert [outcome.refusal is not None for outcome in outcomes] == [False, True, False]
    assert await shown(pair.xbb) == {"Notice 0", "Notice 2"}
    assert await said(pair.xbb) == [StatementKind.RECEIVED, StatementKind.RECEIVED]
    assert [alarm.code for alarm in alarms] == ["delivery-refused"]


async def test_a_row_that_cannot_be_inserted_refuses_that_item_only(pair: Pair) -> None:
    """A constraint of the store that is broken every time does not block what comes after."""
    first, second = await pair.copy("first"), await pair.copy("second")
    name = parse_delivery(first)[1].id

    def forbid(db: apsw.Connection) -> None:
        condition = f"WHEN NEW.id = x'{name.hex()}' BEGIN SELECT raise(ABORT, 'no'); END"
        db.execute(f"CREATE TRIGGER forbidden BEFORE INSERT ON notice {condition}")

    await pair.xbb.context.engine.write(forbid)
    outcomes = await pair.xbb.receive(first, second)
    assert [outcome.refusal is not None for outcome in outcomes] == [True, False]
    assert await shown(pair.xbb) == {"second"}


async def test_a_failing_disk_is_no_reason_to_refuse(pair: Pair) -> None:
    """An item that could not be judged because the store failed comes again and is shown."""
    copy = await pair.copy("genuine")
    spoiled(pair, copy, StoreFailed("the disk cannot be read"), times=1)
    with pytest.raises(StoreFailed):
        await pair.xbb.receive(copy)
    before = await shown(pair.xbb)
    await pair.xbb.receive(copy)
    assert (before, await shown(pair.xbb)) == (set(), {"genuine"})
    assert await said(pair.xbb) == [StatementKind.RECEIVED]


async def test_a_round_that_was_cut_short_is_seen_by_the_next(pair: Pair) -> None:
    """A session that ends in the middle of a write doubles nothing, whatever became of the write."""
    copies = [await pair.copy(f"Notice {number}") for number in range(8)]
    for turns in range(60):
        for number, copy in enumerate(copies):
            pair.xbb.inbox.offer(Item(sequence=number, kind=ItemKind.ENVELOPE, content=copy))
        working = asyncio.create_task(pair.xbb.inbox.next_round())
        for _ in range(turns):
            await asyncio.sleep(0)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        pair.xbb.inbox.forget()
    await pair.xbb.receive(*copies)
    statements = [parse_statement(row.content)[1] for row in await pair.xbb.queue()]
    assert len(await shown(pair.xbb)) == 8
    assert [statement.sequence for statement in statements] == list(range(1, 9))


async def test_an_altered_prekey_is_told_to_the_sender_and_blocks_nothing(pair: Pair) -> None:
    """A stored key that the vault does not unlock is as good as none: the sender hears CANNOT-OPEN."""
    await pair.xbb.context.engine.write(lambda db: db.execute("UPDATE prekey SET locked_seed = x'00'"))
    (outcome,) = await pair.xbb.receive(await pair.copy("lost"))
    assert outcome.refusal is not None
    assert outcome.refusal.error.code == "cannot-open"
    assert await said(pair.xbb) == [StatementKind.REJECTED]


async def test_a_rejected_notice_that_comes_again_is_rejected_once(pair: Pair) -> None:
    """A coordinator that repeats an item does not make the node sign the same thing for ever."""
    head = plain_header(pair.xaa.everyone, to=("XCC",))
    copy = codec.encode(deliver(plain_submission(head, pair.xaa.context.signer), 0))
    for _ in range(3):
        await pair.xbb.receive(copy)
    assert await said(pair.xbb) == [StatementKind.REJECTED]


async def test_unknown_signers_make_the_node_look_once_a_round(pair: Pair) -> None:
    """A mailbox full of unknown signers does not stop deliveries for minutes."""
    head = plain_header(pair.xaa.everyone, to=("XBB",), key_id=bytes(32))
    copies = [
        codec.encode(
            deliver(
                plain_submission(
                    msgspec.structs.replace(head, nonce=bytes([n]) * 16), pair.xaa.context.signer
                ),
                0,
            )
        )
        for n in range(5)
    ]
    await pair.xbb.receive(*copies)
    assert len(pair.xbb.caught_up) == 1


async def test_evidence_does_not_fill_the_disk(pair: Pair) -> None:
    """Rubbish without end costs a bounded number of whole copies; that it came is kept for each."""
    for _ in range(3):
        await pair.xbb.receive(*(b"rubbish" for _ in range(EVIDENCE_KEPT // 2)))

    def count(db: apsw.Connection) -> tuple[object, ...]:
        return db.execute("SELECT count(*), sum(evidence <> x'') FROM refused").fetchone() or ()

    assert await pair.xbb.context.engine.read(count) == (EVIDENCE_KEPT // 2 * 3, EVIDENCE_KEPT)


async def test_rubbish_without_end_costs_a_bounded_number_of_rows(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refusals and events are kept for a long while, not for ever; alarms up to what a person can read."""
    for name, number in (("REFUSALS_KEPT", 9), ("EVENTS_KEPT", 8), ("ALARMS_KEPT", 7)):
        monkeypatch.setattr(node_books, name, number)
    await pair.xbb.receive(*(b"rubbish" for _ in range(20)))

    def count(db: apsw.Connection) -> list[object]:
        return [
            db.execute(query).get
            for query in (
                "SELECT count(*) FROM refused",
                "SELECT count(*) FROM event",
                "SELECT count(*) FROM alarm",
            )
        ]

    assert await pair.xbb.context.engine.read(count) == [9, 8, 7]
