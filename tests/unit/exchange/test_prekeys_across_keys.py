"""Daily keys when the node key that signed their list is rotated, runs out, or is revoked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.node.prekeeper import Prekeeper
from exchange.node.unsealing import can_unseal
from keys.trust import MAX_SKEW_MS
from protocol.documents import KeyEntry, PrekeyList, Revocation
from protocol.errors import NoUsableKey
from tests.community import DAY_MS, NOW_MS, YEAR_MS, community
from tests.nodes import TestNode, a_node
from tests.patience import PATIENCE_S
from tests.rotations import entry, manifest, node_key

OLD, NEW = node_key("XAA", 1), node_key("XAA", 2)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[TestNode]:
    """The node of XAA, which holds a second key."""
    async with a_node(tmp_path / "XAA", "XAA") as made:
        made.context.keys.hold(NEW)
        made.link_state.opened(0)
        yield made


def lists(node: TestNode) -> PrekeyList:
    """Return the list of daily keys that is in force."""
    return node.context.directory.documents.prekeys["XAA"].document


def signer_of(node: TestNode) -> bytes | None:
    """Return which key signed it."""
    return node.context.directory.documents.prekeys["XAA"].signer


def both(node: TestNode, *, old_until_ms: int, revoked: tuple[Revocation, ...] = ()) -> None:
    """List both keys."""
    now_ms = node.clock.now_ms()
    keys: list[KeyEntry] = [
        entry("XAA", OLD, NOW_MS - DAY_MS, old_until_ms),
        entry("XAA", NEW, now_ms - MAX_SKEW_MS, now_ms + YEAR_MS),
    ]
    node.context.directory.update(
        manifest(node.context.directory, "XAA", keys, now_ms, revoked=revoked), now_ms
    )


async def test_a_switch_alone_needs_no_new_list(node: TestNode) -> None:
    """During the overlap the old key counts, and so does what it signed; the next list is by the new one."""
    both(node, old_until_ms=NOW_MS + 30 * DAY_MS)
    await node.prekeeper.look()
    assert (lists(node).version, signer_of(node)) == (1, OLD.key_id)
    node.clock.advance(8 * DAY_MS)
    await node.prekeeper.look()
    assert (lists(node).version, signer_of(node)) == (2, NEW.key_id)


async def test_a_list_whose_signer_ran_out_is_signed_anew_with_the_same_keys(node: TestNode) -> None:
    """What senders have sealed to the keys stays open: only the signature is new."""
    before = [key.public for key in lists(node).keys]
    both(node, old_until_ms=NOW_MS + DAY_MS)
    node.clock.advance(2 * DAY_MS)
    await node.prekeeper.look()
    assert (lists(node).version, signer_of(node)) == (2, NEW.key_id)
    assert {key.public for key in lists(node).keys} <= set(before)


async def test_a_list_whose_signer_was_revoked_is_replaced_at_once_with_new_keys(node: TestNode) -> None:
    """Until it is, senders are told why; whoever had the node key may have had the daily keys too."""
    before = {key.public for key in lists(node).keys}
    gone = (Revocation(key_id=OLD.key_id, reason="compromised", at_ms=NOW_MS),)
    both(node, old_until_ms=NOW_MS + 30 * DAY_MS, revoked=gone)
    with pytest.raises(NoUsableKey, match="revoked"):
        node.context.directory.prekey("XAA", NOW_MS)
    await node.prekeeper.look()
    assert (lists(node).version, signer_of(node)) == (2, NEW.key_id)
    choice = node.context.directory.prekey("XAA", NOW_MS)
    assert choice.prekey.public not in before
    assert not before.intersection(
        key.public for key in lists(node).keys if key.use_until_ms > node.clock.now_ms()
    )
    # What was sealed before it was known can still be opened.
    mine = node.everyone.members["XAA"].prekeys
    assert all([await can_unseal(node.context, key.public) for key in mine])


async def test_the_new_list_does_not_wait_for_the_next_look(node: TestNode) -> None:
    """As soon as the coordinator has the manifest, the prekeeper looks."""
    running = asyncio.create_task(Prekeeper(node.context, node.link_state).run())
    await asyncio.sleep(0.1)
    now_ms = node.clock.now_ms()
    gone = (Revocation(key_id=OLD.key_id, reason="compromised", at_ms=now_ms),)
    keys = [
        entry("XAA", OLD, NOW_MS - DAY_MS, NOW_MS + YEAR_MS),
        entry("XAA", NEW, NOW_MS - DAY_MS, NOW_MS + YEAR_MS),
    ]
    data = manifest(node.context.directory, "XAA", keys, now_ms, revoked=gone)
    accepted = await node.mirror.hand_in(data)
    assert lists(node).version == 1
    node.context.keys.has_accepted(accepted.hash)
    async with asyncio.timeout(PATIENCE_S):
        while lists(node).version == 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    running.cancel()
    assert community().members["XAA"].node.key_id != signer_of(node)
