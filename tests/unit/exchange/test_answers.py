"""Answers of the coordinator: a promise counts when it is verified, a refusal when it is final."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.node.again import CURED_BY_ANOTHER
from exchange.node.answers import PASSING, Answered
from exchange.stores.node_books import read_alarms
from exchange.stores.node_queue import OutgoingRow, enqueue, read_queue
from exchange.stores.node_statements import list_statements
from protocol.errors import AlmenaraError, BadSignature, PeerCode, RemoteProtocolError
from protocol.session.messages import Accepted, ItemKind, Refused
from protocol.statement import StatementKind, parse_statement
from tests.envelopes import said
from tests.nodes import SENDER, TestNode, a_node, delivery_to

FINAL = sorted(set(PeerCode) - PASSING)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[TestNode]:
    """Return XAA's node."""
    async with a_node(tmp_path / "XAA", "XAA") as opened:
        yield opened


async def queued(node: TestNode) -> OutgoingRow:
    """Send a notice and return what waits for the coordinator."""
    await node.send()
    return (await node.queue())[-1]


async def states(node: TestNode, row: OutgoingRow) -> list[str]:
    """Return where the notice stands at each recipient."""
    status = await node.desk.status(SENDER, row.subject.hex())
    return [delivery.state for delivery in status.deliveries]


async def alarms(node: TestNode) -> list[str]:
    """Return the codes of the stored alarms."""
    return [alarm.code for alarm in await node.context.engine.read(read_alarms)]


async def answer(node: TestNode, row: OutgoingRow, statement: bytes | None) -> None:
    """Let the coordinator accept, with this statement."""
    node.answers.offer(Answered(row, Accepted(ref=1, index=0, statement=statement)))
    await node.answers.next_round()


async def refuse(node: TestNode, row: OutgoingRow, code: PeerCode) -> None:
    """Let the coordinator refuse."""
    node.answers.offer(Answered(row, Refused(ref=1, code=code)))
    await node.answers.next_round()


async def test_a_verified_promise_makes_every_delivery_relayed(node: TestNode) -> None:
    """The envelope leaves the queue, and the promise is kept."""
    row = await queued(node)
    await node.accept(row)
    kept = await node.context.engine.read(lambda db: list_statements(db, row.subject))
    assert (await states(node, row), await node.queue()) == (["relayed", "relayed"], [])
    assert [one.kind for one in kept] == [StatementKind.RELAYED]


async def test_the_same_promise_twice_changes_nothing(node: TestNode) -> None:
    """A promise that was given again after a cut is recorded once."""
    row = await queued(node)
    promise = node.relayed(row.subject)
    await answer(node, row, promise)
    await answer(node, row, promise)
    kept = await node.context.engine.read(lambda db: list_statements(db, row.subject))
    assert (await states(node, row), len(kept)) == (["relayed", "relayed"], 1)


async def test_a_promise_after_an_answer_does_not_take_the_answer_back(
    node: TestNode, tmp_path: Path
) -> None:
    """RECEIVED can overtake RELAYED when the first try's answer was lost."""
    row = await queued(node)
    async with a_node(tmp_path / "XBB", "XBB") as xbb:
        await xbb.receive(delivery_to("XBB", row.content))
        (receipt,) = await xbb.queue()
    await node.receive(receipt.content, kind=ItemKind.STATEMENT)
    await node.accept(row)
    assert await states(node, row) == ["received", "relayed"]


def _wrong_promises(node: TestNode, envelope: bytes) -> dict[str, tuple[bytes | None, type[AlmenaraError]]]:
    everyone = node.everyone
    forged = bytearray(node.relayed(envelope))
    forged[-100] ^= 1
    stranger = everyone.members["XBB"].node
    return {
        "none": (None, RemoteProtocolError),
        "another kind": (
            said(everyone, "HUB", StatementKind.UNDELIVERED, envelope, about="XBB", code="expired").data,
            RemoteProtocolError,
        ),
        "forged": (bytes(forged), BadSignature),
        "rubbish": (b"rubbish", AlmenaraError),
        "of an envelope that is not ours": (node.relayed(bytes(32)), AlmenaraError),
        "by a key that is no coordinator's": (
            said(everyone, "XBB", StatementKind.RECEIVED, envelope, signer=stranger).data,
            AlmenaraError,
        ),
    }


WRONG = (
    "none",
    "another kind",
    "forged",
    "rubbish",
    "of an envelope that is not ours",
    "by a key that is no coordinator's",
)


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_promise_ends_the_session_and_keeps_the_envelope(node: TestNode, name: str) -> None:
    """What is not truly promised stays queued and is not shown as relayed."""
    row = await queued(node)
    promise, error = _wrong_promises(node, row.subject)[name]
    with pytest.raises(error):
        await answer(node, row, promise)
    assert len(await node.queue()) == 1
    assert await states(node, row) == ["queued", "queued"]


async def test_a_promise_for_another_of_our_envelopes_is_wrong(node: TestNode) -> None:
    """Promises cannot be swapped between two envelopes."""
    first, second = await queued(node), await queued(node)
    with pytest.raises(RemoteProtocolError):
        await answer(node, first, node.relayed(second.subject))


async def test_a_broken_promise_does_not_undo_the_answers_beside_it(node: TestNode) -> None:
    """What was truly promised in the same round is recorded."""
    good, bad, late = [await queued(node) for _ in range(3)]
    for row, statement in (
        (good, node.relayed(good.subject)),
        (bad, None),
        (late, node.relayed(late.subject)),
    ):
        node.answers.offer(Answered(row, Accepted(ref=1, index=0, statement=statement)))
    with pytest.raises(RemoteProtocolError):
        await node.answers.next_round()
    assert [row.subject for row in await node.queue()] == [bad.subject]


@pytest.mark.parametrize("code", sorted(PASSING))
async def test_a_passing_refusal_keeps_the_envelope_queued(node: TestNode, code: PeerCode) -> None:
    """Time or an operator can cure it; the reason is shown meanwhile, and gone afterwards."""
    row = await queued(node)
    await refuse(node, row, code)
    status = await node.desk.status(SENDER, row.subject.hex())
    assert [(one.state, one.code) for one in status.deliveries] == [("queued", code.value)] * 2
    assert (len(await node.queue()), await alarms(node)) == (1, ["held"])
    await node.accept(row)
    assert (await states(node, row), await alarms(node)) == (["relayed", "relayed"], [])


@pytest.mark.parametrize("code", [code for code in FINAL if code not in CURED_BY_ANOTHER])
async def test_a_final_refusal_is_told_and_not_tried_again(node: TestNode, code: PeerCode) -> None:
    """Every recipient has a state and a reason, and a person is called."""
    row = await queued(node)
    await refuse(node, row, code)
    status = await node.desk.status(SENDER, row.subject.hex())
    assert [(one.state, one.code) for one in status.deliveries] == [("refused", code.value)] * 2
    assert (await node.queue(), await alarms(node)) == ([], ["refused"])


async def test_a_refusal_does_not_take_back_what_arrived(node: TestNode, tmp_path: Path) -> None:
    """A second try that is refused says nothing about the first, which a recipient has receipted."""
    row = await queued(node)
    async with a_node(tmp_path / "XBB", "XBB") as xbb:
        await xbb.receive(delivery_to("XBB", row.content))
        (receipt,) = await xbb.queue()
    await node.receive(receipt.content, kind=ItemKind.STATEMENT)
    await refuse(node, row, PeerCode.OVER_QUOTA)
    assert await states(node, row) == ["received", "queued"]
    await refuse(node, row, PeerCode.MALFORMED)
    assert await states(node, row) == ["received", "refused"]


async def test_what_expired_before_it_was_handed_over_waits_for_another_envelope(node: TestNode) -> None:
    """It lay here without a coordinator: nobody has refused what it says, and nobody need do anything."""
    row = await queued(node)
    await refuse(node, row, PeerCode.EXPIRED)
    assert (await states(node, row), await alarms(node)) == (["waiting-for-key"] * 2, [])


async def test_a_recorded_statement_is_shown_as_recorded(node: TestNode, tmp_path: Path) -> None:
    """The officer learns that the coordinator holds the answer durably."""
    submission = await node.send()
    async with a_node(tmp_path / "XBB", "XBB") as xbb:
        await xbb.receive(delivery_to("XBB", submission))
        (row,) = await xbb.queue()
        await answer(xbb, row, None)
        (kept,) = await xbb.context.engine.read(
            lambda db: [one for one in list_statements(db, about(row)) if one.id == row.subject]
        )
        assert (kept.recorded, await xbb.queue()) == (True, [])


def about(row: OutgoingRow) -> bytes:
    """Return the envelope that a queued statement is about."""
    return parse_statement(row.content)[1].envelope


async def test_a_published_document_leaves_the_queue(node: TestNode) -> None:
    """Documents need no promise: the mirror shows them."""
    await node.context.engine.write(lambda db: enqueue(db, "publish", 0, bytes(32), b"document"))
    (row,) = await node.context.engine.read(lambda db: read_queue(db, 1, ()))
    await answer(node, row, None)
    assert await node.queue() == []


@pytest.mark.parametrize("code", FINAL)
async def test_a_refused_document_stays_queued_whatever_the_code(node: TestNode, code: PeerCode) -> None:
    """Dropped, it would break its chain for ever: nobody could take a later list of daily keys."""
    await node.context.engine.write(lambda db: enqueue(db, "publish", 0, bytes(32), b"document"))
    (row,) = await node.queue()
    await refuse(node, row, code)
    assert ([one.subject for one in await node.queue()], await alarms(node)) == ([bytes(32)], ["held"])
