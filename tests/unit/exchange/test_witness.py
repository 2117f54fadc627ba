"""The node as a witness: it cosigns what continues, never goes back, and tells of what contradicts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest

from exchange.node.witness import Witness
from exchange.stores.node_books import read_alarms
from exchange.stores.node_ledger import WitnessRow, list_evidence, read_witness, save_witness
from keys.note_keys import NoteSecret, verify_signature, witness_keys_of
from protocol.errors import StoreFailed
from protocol.ledger.note import parse_signature_lines
from protocol.ledger.origins import Log
from protocol.ledger.witness import WitnessStatus, parse_size
from protocol.session.messages import Witness as Request
from tests.community import witness_keys
from tests.ledgers import PlayedLedger
from tests.nodes import TestNode, a_node

OK, MALFORMED, FORBIDDEN, CONFLICT, INCONSISTENT = (
    WitnessStatus.OK,
    WitnessStatus.MALFORMED,
    WitnessStatus.FORBIDDEN,
    WitnessStatus.CONFLICT,
    WitnessStatus.INCONSISTENT,
)


@dataclass
class Scene:
    """XAA's node as a witness, and a log that the test plays."""

    node: TestNode
    witness: Witness
    played: PlayedLedger

    async def held(self) -> WitnessRow | None:
        """Return what the node cosigned last."""
        return await self.node.context.engine.read(lambda db: read_witness(db, Log.ACK))

    async def size(self) -> int:
        """Return how large that was."""
        held = await self.held()
        return 0 if held is None else held.size

    async def status(self, request: Request) -> int:
        """Return the status of the node's answer."""
        return (await self.witness.answer(request)).answer.status

    async def alarms(self) -> list[str]:
        """Return the codes of the alarms that stand."""
        return [row.code for row in await self.node.context.engine.read(read_alarms)]

    async def evidence(self) -> list[str]:
        """Return the texts of the evidence that is kept."""
        return [text.decode() for _, text in await self.node.context.engine.read(list_evidence)]

    def other(self, size: int) -> PlayedLedger:
        """Return another version of the log."""
        played = PlayedLedger(self.node.everyone, self.node.clock)
        played.fill(size, b"other")
        return played


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """Return a witness that has cosigned nothing, and a log of three leaves."""
    async with a_node(tmp_path / "XAA", "XAA") as node:
        played = PlayedLedger(node.everyone, node.clock)
        played.fill(3)
        yield Scene(node, Witness(node.context), played)


async def test_a_continuation_is_cosigned_with_both_keys(scene: Scene) -> None:
    """The answer holds two cosignatures of this state's listed witness keys, with the node's time."""
    judged = await scene.witness.answer(scene.played.ask(0))
    lines = parse_signature_lines(judged.answer.body.decode())
    keys = witness_keys_of(witness_keys("XAA", scene.node.everyone.id))
    checkpoint = scene.played.checkpoint().checkpoint
    times = [verify_signature(key, checkpoint, line) for key, line in zip(keys, lines, strict=True)]
    assert (judged.answer.status, times) == (OK, [scene.played.seconds] * 2)
    assert judged.verified == checkpoint


async def test_what_was_cosigned_is_durable_and_the_next_continues_it(scene: Scene) -> None:
    """The new size is in the store before the answer leaves, and the next request must start from it."""
    await scene.witness.answer(scene.played.ask(0))
    assert await scene.size() == 3
    scene.played.fill(4)
    assert await scene.status(scene.played.ask(3)) == OK
    assert await scene.size() == 7
    assert await scene.alarms() == []


async def test_the_same_checkpoint_is_cosigned_again_with_a_newer_time(scene: Scene) -> None:
    """A quiet log stays fresh: its last checkpoint may be asked about any number of times."""
    await scene.witness.answer(scene.played.ask(0))
    scene.node.clock.advance(60_000)
    judged = await scene.witness.answer(scene.played.ask(3))
    (line, _) = parse_signature_lines(judged.answer.body.decode())
    key = witness_keys_of(witness_keys("XAA", scene.node.everyone.id))[0]
    checkpoint = scene.played.checkpoint().checkpoint
    assert verify_signature(key, checkpoint, line) == scene.played.seconds


async def test_a_wrong_old_size_is_told_the_right_one(scene: Scene) -> None:
    """A coordinator that has forgotten what this witness holds learns it, and nobody is alarmed."""
    await scene.witness.answer(scene.played.ask(0))
    scene.played.fill(1)
    judged = await scene.witness.answer(scene.played.ask(0))
    assert (judged.answer.status, parse_size(judged.answer.body)) == (CONFLICT, 3)
    assert await scene.alarms() == []


async def test_another_history_is_refused_with_evidence(scene: Scene) -> None:
    """A checkpoint that does not continue the last one is not cosigned; both become a file."""
    await scene.witness.answer(scene.played.ask(0))
    other = scene.other(5)
    assert await scene.status(other.ask(3)) == INCONSISTENT
    (text,) = await scene.evidence()
    assert await scene.alarms() == ["ledger-forked"]
    assert scene.played.checkpoint().note.text in text
    assert other.checkpoint().note.text in text
    assert await scene.size() == 3


async def test_another_root_of_the_same_size_is_a_fork(scene: Scene) -> None:
    """Whatever old size it names, a second root for the size that was cosigned is told of."""
    await scene.witness.answer(scene.played.ask(0))
    assert await scene.status(scene.other(3).ask(0)) == CONFLICT
    assert await scene.alarms() == ["ledger-forked"]


async def test_a_smaller_ledger_is_told_of(scene: Scene) -> None:
    """A coordinator that was restored from an old copy shows less than it had cosigned."""
    await scene.witness.answer(scene.played.ask(0))
    assert await scene.status(scene.played.ask(2, 2)) == CONFLICT
    assert await scene.alarms() == ["ledger-shrunk"]
    assert await scene.size() == 3


async def test_a_checkpoint_that_the_log_has_not_signed_is_told_of(scene: Scene) -> None:
    """Nothing is cosigned for somebody who does not hold the log's keys."""
    request = scene.played.ask(0)
    false = Request(log=request.log, body=request.body.replace(b"\n3\n", b"\n4\n"))
    assert await scene.status(false) == FORBIDDEN
    assert await scene.alarms() == ["ledger-unsigned"]
    assert await scene.held() is None


@pytest.mark.parametrize("body", [b"", b"old 1\n\n", b"old 01\n\nx", b"\xff" * 100])
async def test_rubbish_is_answered_and_changes_nothing(scene: Scene, body: bytes) -> None:
    """Bytes that are no request get the status that C2SP gives them."""
    assert await scene.status(Request(log=Log.ACK, body=body)) == MALFORMED
    assert await scene.held() is None


async def test_two_requests_at_once_never_cosign_two_histories(scene: Scene) -> None:
    """Comparing and storing are one transaction, so the race that C2SP describes cannot happen."""
    await scene.witness.answer(scene.played.ask(0))
    scene.played.fill(4)
    other = PlayedLedger(scene.node.everyone, scene.node.clock, leaves=scene.played.leaves[:3])
    other.fill(5, b"other")
    statuses = await asyncio.gather(scene.status(scene.played.ask(3)), scene.status(other.ask(3)))
    assert sorted(statuses) == [OK, CONFLICT]
    assert await scene.size() in (7, 8)


async def test_nothing_is_answered_when_the_disk_refuses(scene: Scene) -> None:
    """A cosignature never leaves before what it promises is durable."""
    await scene.node.context.engine.close()
    with pytest.raises(StoreFailed):
        await scene.witness.answer(scene.played.ask(0))


async def test_the_store_never_goes_back(scene: Scene) -> None:
    """A smaller size, or another root of the same size, is refused by the statement that writes."""
    row = WitnessRow(Log.ACK, 7, b"r" * 32, b"note", 1)
    older = WitnessRow(Log.ACK, 6, b"s" * 32, b"note", 2)
    other = WitnessRow(Log.ACK, 7, b"t" * 32, b"note", 2)

    def work(db: apsw.Connection) -> list[bool]:
        return [save_witness(db, one) for one in (row, older, other, row)]

    assert await scene.node.context.engine.write(work) == [True, False, False, True]


async def test_an_older_copy_takes_up_its_own_cosignature(scene: Scene) -> None:
    """A node restored from a snapshot finds its own word in a newer checkpoint, and stands by it."""
    await scene.witness.answer(scene.played.ask(0))
    scene.played.fill(4)
    assert await scene.witness.adopt(Log.ACK, scene.played.witnessed())
    assert await scene.size() == 7
    assert await scene.alarms() == ["witness-rolled-back"]
    (text,) = await scene.evidence()
    assert text.count("\u2014 almenara/test/XAA ") == 2
    assert "almenara/test/XBB" not in text
    assert not await scene.witness.adopt(Log.ACK, scene.played.witnessed(5))
    assert await scene.size() == 7


async def test_a_coordinator_that_knows_more_of_us_than_we_do_is_told_of(scene: Scene) -> None:
    """An old size above the one held means that this store is an older copy, or that somebody lies."""
    await scene.witness.answer(scene.played.ask(0))
    scene.played.fill(4)
    assert await scene.status(scene.played.ask(5)) == CONFLICT
    assert await scene.alarms() == ["witness-rolled-back"]
    assert len(await scene.evidence()) == 1


async def test_each_log_is_held_apart(scene: Scene) -> None:
    """The directory's log has its own origin, size and history."""
    await scene.witness.answer(scene.played.ask(0))
    directory = PlayedLedger(scene.node.everyone, scene.node.clock, Log.DIRECTORY)
    directory.fill(9)
    assert await scene.status(directory.ask(0)) == OK
    assert await scene.status(Request(log=Log.DIRECTORY, body=scene.played.ask(9, 3).body)) == 404
    assert await scene.size() == 3


async def test_the_same_lie_is_told_once(scene: Scene) -> None:
    """A coordinator that repeats itself fills neither the alarms nor the disk."""
    await scene.witness.answer(scene.played.ask(0))
    for _ in range(3):
        await scene.witness.answer(scene.other(5).ask(3))
    assert await scene.alarms() == ["ledger-forked"]
    assert len(await scene.evidence()) == 1


async def test_a_restart_remembers(tmp_path: Path) -> None:
    """What was cosigned before a restart binds after it."""
    async with a_node(tmp_path / "XAA", "XAA") as node:
        played = PlayedLedger(node.everyone, node.clock)
        played.fill(3)
        await Witness(node.context).answer(played.ask(0))
    async with a_node(tmp_path / "XAA", "XAA") as node:
        other = PlayedLedger(node.everyone, node.clock)
        other.fill(4, b"other")
        assert (await Witness(node.context).answer(other.ask(3))).answer.status == INCONSISTENT


def test_the_tests_keys_are_the_listed_ones(scene: Scene) -> None:
    """The played community and the node under test speak of one witness."""
    listed = witness_keys("XAA", scene.node.everyone.id)
    secret: NoteSecret = scene.node.context.witness
    assert (listed.ed25519, listed.mldsa44) == (secret.ed25519, secret.mldsa44)
