"""Which key signs now: the newest whose time has come, and that others can know."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.node.key_files import key_files, next_key_file
from exchange.node.mirror import begin_keys
from exchange.stores.node_queue import enqueue, read_published
from exchange.stores.node_statements import read_chains
from keys.authenticity import verify_submission
from keys.trust import MAX_SKEW_MS
from protocol.documents import Revocation, StateManifest, parse_document, parse_signed_document
from protocol.documents import signed_document_hash as hash_of
from protocol.errors import ClockSkew, UnknownSigner
from tests.community import DAY_MS, NOW_MS, YEAR_MS, community, note_secret
from tests.nodes import TestNode, a_node, delivery_to
from tests.rotations import entry, manifest, node_key

START_MS = NOW_MS + 7 * DAY_MS
OLD_END_MS = START_MS + 30 * DAY_MS
OLD, NEW = node_key("XAA", 1), node_key("XAA", 2)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[TestNode]:
    """The node of XAA, which holds both keys before anybody has heard of the second."""
    async with a_node(tmp_path / "XAA", "XAA") as made:
        made.context.keys.hold(NEW)
        yield made


def announced(node: TestNode, *, from_ms: int = START_MS) -> bytes:
    """Return the manifest that announces the second key."""
    now_ms = node.clock.now_ms()
    first = entry("XAA", OLD, NOW_MS - DAY_MS, OLD_END_MS)
    second = entry("XAA", NEW, from_ms - MAX_SKEW_MS, from_ms + YEAR_MS)
    return manifest(node.context.directory, "XAA", [first, second], now_ms)


def hand_over(node: TestNode, data: bytes) -> bytes:
    """Trust a manifest here, as if it waited for the coordinator; return its hash."""
    document = parse_document(parse_signed_document(data).body)
    assert isinstance(document, StateManifest)
    node.context.keys.queue(hash_of(data), document)
    node.context.directory.update(data, node.clock.now_ms())
    return hash_of(data)


def announce(node: TestNode, *, from_ms: int = START_MS) -> None:
    """Announce the second key, and let the coordinator accept that."""
    node.context.keys.has_accepted(hand_over(node, announced(node, from_ms=from_ms)))


def test_a_key_that_nobody_announced_never_signs(node: TestNode) -> None:
    """The file alone gives a key no right: the manifest does."""
    assert node.context.signer is OLD
    node.clock.advance(300 * DAY_MS)
    assert node.context.signer is OLD


def test_the_next_key_signs_from_its_day_on_and_the_old_one_no_more(node: TestNode) -> None:
    """Both are valid for the overlap; which one signs is the node's choice, and needs no appointment."""
    announce(node)
    assert node.context.signer is OLD
    node.clock.set(START_MS - 1)
    assert node.context.signer is OLD
    node.clock.set(START_MS)
    assert node.context.signer is NEW
    node.clock.set(OLD_END_MS + DAY_MS)
    assert node.context.signer is NEW


def test_a_key_that_is_valid_at_once_waits_until_the_coordinator_knows_it(node: TestNode) -> None:
    """Nobody is ever given a signature by a key that he cannot know."""
    digest = hand_over(node, announced(node, from_ms=NOW_MS))
    assert node.context.signer is OLD
    node.context.keys.has_accepted(b"?" * 32)
    assert node.context.signer is OLD
    node.context.keys.has_accepted(digest)
    assert node.context.signer is NEW


async def test_what_the_coordinator_does_not_know_yet_is_known_after_a_restart(node: TestNode) -> None:
    """The queue in the store says which manifests still wait; so the next start is as careful."""
    data = announced(node, from_ms=NOW_MS)
    await node.context.engine.write(lambda db: enqueue(db, "publish", 0, hash_of(data), data))
    node.context.directory.update(data, NOW_MS)
    assert node.context.signer is NEW
    assert await node.context.engine.read(read_published) == [data]
    await begin_keys(node.context)
    # Of the manifests before it, none is in this store: so which one the coordinator has is not known.
    assert node.context.keys.accepted is None


def test_a_revoked_key_signs_nothing_and_the_next_best_does(node: TestNode) -> None:
    """A revocation counts at once, also in the middle of an overlap."""
    announce(node)
    node.clock.set(START_MS + DAY_MS)
    held = node.context.directory.documents.manifests["XAA"].document
    revoked = [Revocation(key_id=NEW.key_id, reason="withdrawn", at_ms=node.clock.now_ms())]
    data = manifest(node.context.directory, "XAA", held.keys[:2], node.clock.now_ms(), revoked=revoked)
    node.context.directory.update(data, node.clock.now_ms())
    assert node.context.signer is OLD


def test_without_a_key_that_may_sign_nothing_is_signed_and_the_cause_is_named(node: TestNode) -> None:
    """An expired key is told of by its id, with what to do; all keys are still tried in the greeting."""
    node.clock.advance(YEAR_MS + DAY_MS)
    with pytest.raises(UnknownSigner, match=r"expired|not valid") as refused:
        _ = node.context.signer
    assert "key rotate node" in refused.value.hint
    assert node.context.keys.greeting(node.clock.now_ms()) == (NEW, OLD)


def test_the_greeting_offers_every_key_that_counts_now_the_best_first(node: TestNode) -> None:
    """A coordinator that has lost the newest document still knows the other key."""
    assert node.context.keys.greeting(NOW_MS) == (OLD,)
    announce(node)
    assert node.context.keys.greeting(START_MS) == (NEW, OLD)


def test_the_witness_changes_when_the_coordinator_has_accepted_it(node: TestNode) -> None:
    """Until then it asks for the old keys; so at most one round of cosignatures misses this state."""
    first, second = node.context.witness, note_secret("XAA second")
    node.context.keys.hold_witness(second)
    keys = community().members["XAA"].keys[:1]
    digest = hand_over(node, manifest(node.context.directory, "XAA", keys, NOW_MS, witness=second))
    assert node.context.witness is first
    node.context.keys.has_accepted(digest)
    assert node.context.witness is second


async def test_a_switch_in_the_middle_of_work_begins_a_new_chain(tmp_path: Path) -> None:
    """Each key's statements are numbered from one; the old chain stays where it ended."""
    async with a_node(tmp_path / "XBB", "XBB") as sender, a_node(tmp_path / "XAA", "XAA") as node:
        node.context.keys.hold(NEW)
        announce(node)
        await node.receive(*[delivery_to("XAA", await sender.send(to=("XAA",))) for _ in range(2)])
        for clock in (sender.clock, node.clock):
            clock.set(START_MS)
        outcomes = await node.receive(delivery_to("XAA", await sender.send(to=("XAA",))))
        assert [outcome.refusal for outcome in outcomes] == [None]
        chains = await node.context.engine.read(read_chains)
    assert {key: sequence for key, (sequence, _) in chains.items()} == {OLD.key_id: 2, NEW.key_id: 1}


async def test_a_notice_is_signed_by_the_key_that_it_names_on_both_sides_of_the_switch(
    node: TestNode,
) -> None:
    """Header and signature are of one key, and the coordinator's own check takes both."""
    announce(node)
    named = []
    for at_ms in (NOW_MS, START_MS):
        node.clock.set(at_ms)
        data = await node.send()
        verified = verify_submission(node.context.directory, node.context.verifier, data, "XAA", at_ms)
        named.append(verified.header.key_id)
    assert named == [OLD.key_id, NEW.key_id]


async def test_with_a_wrong_clock_nothing_is_judged_and_the_clock_is_blamed(tmp_path: Path) -> None:
    """A year ahead, every key is over: the fault is the clock's, and the items come again."""
    async with a_node(tmp_path / "XBB", "XBB") as sender, a_node(tmp_path / "XAA", "XAA") as node:
        content = delivery_to("XAA", await sender.send(to=("XAA",)))
        node.link_state.opened(0)
        node.clock.set(NOW_MS + 2 * YEAR_MS)
        with pytest.raises(ClockSkew):
            await node.receive(content)


def test_key_files_are_numbered_and_never_named_twice(tmp_path: Path) -> None:
    """The first has no number; what only looks like one is passed over."""
    for name in ("node.key", "node-10.key", "node-2.key", "node-x.key", "node-02.key", "node-2.key.bak"):
        (tmp_path / name).touch()
    assert [path.name for path in key_files(tmp_path, "node")] == ["node.key", "node-2.key", "node-10.key"]
    assert next_key_file(tmp_path, "node").name == "node-11.key"
    assert next_key_file(tmp_path, "witness").name == "witness-2.key"
