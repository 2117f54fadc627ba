"""Heads and gossip: a node follows one history of the ledger, and another one is evidence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from exchange.node.comparing import load_heads
from exchange.node.heads import Heads
from protocol.errors import ClockSkew
from protocol.ledger.origins import Log
from protocol.ledger.witness import WitnessStatus
from protocol.session.messages import Compare, Compared, Cosigned
from protocol.statement import SeenCheckpoint, parse_statement
from tests.ledger_scenes import Scene, scene
from tests.ledgers import PlayedLedger
from tests.nodes import a_node, delivery_to

FIXTURES = (scene,)
"""A connected node, as :mod:`tests.ledger_scenes` makes it."""


async def test_statements_carry_the_newest_verified_checkpoint(scene: Scene, tmp_path: Path) -> None:
    """What this node signs says what it has seen; after a restart too."""
    submission = None
    async with a_node(tmp_path / "XBB", "XBB", scene.node.clock) as sender:
        await scene.announce()
        submission = await sender.send(to=("XAA",))
        await scene.node.receive(delivery_to("XAA", submission))
    (row,) = await scene.node.queue()
    seen = parse_statement(row.content)[1].seen
    checkpoint = scene.played.checkpoint().checkpoint
    assert seen == SeenCheckpoint(origin=scene.played.origin, size=5, root=checkpoint.root)


async def test_a_restart_takes_up_the_newest_verified_checkpoint(scene: Scene) -> None:
    """The heads are read from the store before anything is signed."""
    await scene.announce()
    fresh = replace(scene.node.context, heads=Heads())
    await load_heads(fresh)
    newest = fresh.heads.newest(Log.ACK)
    assert newest is not None
    assert newest.size == 5


async def test_a_larger_checkpoint_counts_once_it_is_proved_to_continue(scene: Scene) -> None:
    """The node asks for the consistency proof, and believes nothing before it."""
    await scene.announce()
    scene.played.fill(4)
    await scene.announce()
    assert scene.node.context.heads.newest(Log.ACK) == scene.played.checkpoint(5).checkpoint
    await scene.look()
    assert scene.wire.questions() == [Compare(log=Log.ACK, old=5, new=9)]
    await scene.ledger.take(scene.link, scene.played.compare(5, 9))
    assert scene.node.context.heads.newest(Log.ACK) == scene.played.checkpoint(9).checkpoint


async def test_a_new_witness_begins_where_a_quorum_stands(scene: Scene) -> None:
    """The first request must continue what the other witnesses have cosigned, not just anything."""
    await scene.announce()
    other = PlayedLedger(scene.node.everyone, scene.node.clock)
    other.fill(9, b"other")
    await scene.ledger.take(scene.link, other.ask(0))
    (refused,) = scene.wire.sent
    assert isinstance(refused, Cosigned)
    assert (refused.status, refused.body) == (WitnessStatus.CONFLICT, b"5\n")
    scene.wire.sent.clear()
    scene.played.fill(4)
    await scene.ledger.take(scene.link, scene.played.ask(5))
    (granted,) = scene.wire.sent
    assert isinstance(granted, Cosigned)
    assert granted.status == WitnessStatus.OK
    assert scene.node.context.heads.newest(Log.ACK) == scene.played.checkpoint(9).checkpoint


async def test_a_clock_that_is_known_to_be_wrong_cosigns_nothing(scene: Scene) -> None:
    """The time in a cosignature is evidence for ever; the next request comes when the clock is right."""
    scene.node.link_state.opened(skew_ms=3600_000)
    with pytest.raises(ClockSkew):
        await scene.ledger.take(scene.link, scene.played.ask(0))
    assert scene.wire.sent == []
    scene.node.link_state.opened(skew_ms=0)
    await scene.ledger.take(scene.link, scene.played.ask(0))
    assert len(scene.wire.sent) == 1


async def test_another_history_is_a_fork_with_evidence(scene: Scene) -> None:
    """A checkpoint that a quorum cosigned and that does not continue ours is told of, with both notes."""
    await scene.announce()
    other = PlayedLedger(scene.node.everyone, scene.node.clock)
    other.fill(8, b"other")
    await scene.announce(other)
    await scene.ledger.take(scene.link, other.compare(5, 8))
    assert set(await scene.alarms()) == {"ledger-forked"}
    (text,) = await scene.evidence()
    assert scene.played.checkpoint(5).note.text in text
    assert other.checkpoint().note.text in text
    assert scene.node.context.heads.newest(Log.ACK) == scene.played.checkpoint(5).checkpoint


async def test_what_was_compared_and_what_is_cosigned_are_one_history(scene: Scene) -> None:
    """A coordinator proves one version, without a quorum, and asks to cosign another from before it."""
    await scene.ledger.take(scene.link, scene.played.ask(0))
    other = PlayedLedger(scene.node.everyone, scene.node.clock)
    other.leaves = list(scene.played.leaves)
    scene.played.fill(4, b"one")
    other.fill(4, b"other")
    await scene.announce(by=("XBB",))
    await scene.look()
    await scene.ledger.take(scene.link, scene.played.compare(5, 9))
    scene.wire.sent.clear()
    await scene.ledger.take(scene.link, other.ask(5))
    (refused,) = scene.wire.sent
    assert isinstance(refused, Cosigned)
    assert refused.status == WitnessStatus.CONFLICT
    assert set(await scene.alarms()) == {"ledger-forked"}


async def test_a_coordinator_that_proves_nothing_is_told_of(scene: Scene) -> None:
    """Silence and "I cannot say" are answers too: after a time they are an alarm with evidence."""
    await scene.announce()
    scene.played.fill(4)
    await scene.announce()
    await scene.look()
    await scene.ledger.take(scene.link, Compared(log=Log.ACK, old=5, new=0, proof=()))
    assert await scene.alarms() == {}
    await scene.look(46_000)
    assert set(await scene.alarms()) == {"ledger-unproven"}


async def test_a_proof_that_was_asked_for_before_a_cut_is_asked_for_again(scene: Scene) -> None:
    """An hour without a link is not an hour in which the coordinator proved nothing."""
    await scene.announce()
    scene.played.fill(4)
    await scene.announce()
    scene.node.clock.advance(3600_000)
    scene.since_ms = scene.node.clock.now_ms()
    await scene.look()
    assert scene.wire.questions() == [Compare(log=Log.ACK, old=5, new=9)]
    assert await scene.alarms() == {}


async def test_gossip_of_the_same_root_is_no_news(scene: Scene) -> None:
    """Another member that has seen what this node has seen raises nothing."""
    envelope = await scene.relay()
    await scene.announce()
    root = scene.played.checkpoint().checkpoint.root
    await scene.hear(scene.seen_by_xbb(envelope, scene.played.size, root))
    await scene.look(120_000)
    assert not {"ledger-forked", "ledger-unproven", "ledger-behind"} & set(await scene.alarms())


async def test_gossip_of_another_root_is_evidence(scene: Scene) -> None:
    """A statement that names another root for a size we verified is kept with our own checkpoint."""
    envelope = await scene.relay()
    await scene.announce()
    await scene.hear(scene.seen_by_xbb(envelope, scene.played.size, b"x" * 32))
    await scene.look()
    alarm = (await scene.alarms())["ledger-forked"]
    assert "XBB has signed that it saw" in alarm.message
    assert "Call XBB on another channel" in alarm.next
    assert any("exhibit 2: the signed statement of XBB" in text for text in await scene.evidence())


async def test_gossip_of_a_size_between_is_compared_with_the_coordinators_proof(scene: Scene) -> None:
    """A true smaller size is proved; a false one is evidence by the coordinator's own proof."""
    envelope = await scene.relay()
    await scene.announce()
    true = scene.played.checkpoint(3).checkpoint.root
    await scene.hear(scene.seen_by_xbb(envelope, 3, true))
    await scene.look()
    assert scene.wire.questions() == [Compare(log=Log.ACK, old=3, new=6)]
    await scene.ledger.take(scene.link, scene.played.compare(3, 6))
    assert "ledger-forked" not in await scene.alarms()
    await scene.hear(scene.seen_by_xbb(await scene.relay(), 4, b"x" * 32))
    await scene.look()
    await scene.ledger.take(scene.link, scene.played.compare(4, 6))
    assert "ledger-forked" in await scene.alarms()


async def test_a_ledger_that_stands_still_for_this_node_alone_is_told_of(scene: Scene) -> None:
    """Another member has seen more than the coordinator shows here: a frozen view is a lie too."""
    envelope = await scene.relay()
    await scene.announce()
    await scene.hear(scene.seen_by_xbb(envelope, 500, b"x" * 32))
    await scene.look()
    assert "ledger-behind" not in await scene.alarms()
    await scene.look(50_000)
    assert "ledger-behind" in await scene.alarms()
