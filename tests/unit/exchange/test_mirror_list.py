"""Following the list of documents: in order, each once, past what nobody believes, and across restarts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.node import selfwatch
from exchange.node.context import NodeContext
from exchange.node.mirror import Mirror, load_directory
from exchange.stores.node_books import read_alarms, read_documents
from keys import governance
from keys.documents import sign_document
from keys.signer import Verifier
from keys.trust import TrustedDirectory
from protocol.documents import Role
from protocol.errors import SetupError
from protocol.session.messages import Documents
from tests.clocks import FixedClock
from tests.community import DAY_MS, YEAR_MS, Community, community, signer
from tests.nodes import TestNode, a_node


def fresh_directory(everyone: Community) -> TrustedDirectory:
    """Return a directory that knows the pinned root hash only."""
    return TrustedDirectory(everyone.id, Verifier())


def empty(node: TestNode) -> TestNode:
    """Let a node know nothing but the pinned root hash."""
    object.__setattr__(node.context, "directory", fresh_directory(node.everyone))
    return node


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[TestNode]:
    """Return XAA's node, whose directory is still empty."""
    async with a_node(tmp_path / "XAA", "XAA") as opened:
        yield empty(opened)


async def take(mirror: Mirror, first: int, *documents: bytes, head: int | None = None) -> bool:
    """Hand in one message of documents."""
    head = first + len(documents) if head is None else head
    return await mirror.receive(Documents(first=first, documents=documents, head=head))


async def stored(context: NodeContext) -> list[bytes]:
    """Return the documents in the store."""
    return await context.engine.read(read_documents)


async def alarms(node: TestNode) -> list[str]:
    """Return the codes and subjects of the stored alarms, but for what an empty node reads about itself."""
    raised = await node.context.engine.read(read_alarms)
    return [f"{one.code}:{one.about}" for one in raised if one.code != selfwatch.ALARM]


async def test_documents_are_trusted_and_kept_in_order(node: TestNode) -> None:
    """A new node learns the whole community from its coordinator and its pinned hash."""
    mirror, documents = await Mirror.open(node.context), node.everyone.documents
    assert await take(mirror, 0, *documents[:3], head=len(documents))
    assert not await take(mirror, 3, *documents[3:])
    assert await stored(node.context) == list(documents)
    assert [entry.code for entry in node.context.directory.states()] == ["XAA", "XBB", "XCC"]


async def test_a_document_is_kept_once(node: TestNode) -> None:
    """Copies, in one message or in two, change nothing."""
    mirror, root = await Mirror.open(node.context), node.everyone.documents[0]
    await take(mirror, 0, root, root)
    await take(mirror, 2, root)
    assert (await stored(node.context), mirror.next_index) == ([root], 3)


async def test_documents_after_a_gap_are_not_taken(node: TestNode) -> None:
    """What was sent unasked from further on makes the node ask for what is missing first."""
    mirror, documents = await Mirror.open(node.context), node.everyone.documents
    assert await take(mirror, 2, *documents[2:])
    assert (await stored(node.context), mirror.next_index) == ([], 0)


async def test_old_documents_are_not_asked_for_again(node: TestNode) -> None:
    """A message that repeats what was seen is no news."""
    mirror, documents = await Mirror.open(node.context), node.everyone.documents
    await take(mirror, 0, *documents)
    assert not await take(mirror, 0, *documents)


async def test_a_false_document_is_told_and_passed_over(node: TestNode) -> None:
    """The list is append-only: a document nobody believes must not stop those behind it."""
    documents = node.everyone.documents
    stranger = signer("stranger", Role.DIRECTORY)
    false = governance.next_directory(
        node.everyone.directory(), [], [], now_ms=node.clock.now_ms(), life_ms=YEAR_MS
    )
    mirror = await Mirror.open(node.context)
    await take(mirror, 0, *documents[:2], sign_document(false, [stranger]), b"rubbish", *documents[2:])
    assert await stored(node.context) == list(documents)
    assert mirror.next_index == len(documents) + 2
    assert await alarms(node) == ["document-refused:malformed", "document-refused:threshold-not-met"]


async def test_a_document_from_the_future_is_read_again_when_our_clock_is_right(tmp_path: Path) -> None:
    """A wrong clock here must not make the node skip a document for ever."""
    early = FixedClock(community().now_ms - DAY_MS)
    async with a_node(tmp_path / "XAA", "XAA", early) as node:
        mirror, documents = await Mirror.open(empty(node).context), node.everyone.documents
        assert not await take(mirror, 0, *documents)
        assert (mirror.next_index, await alarms(node)) == (0, ["document-refused:clock-skew"])
        early.advance(DAY_MS)
        await take(mirror, 0, *documents)
        assert (mirror.next_index, await alarms(node)) == (len(documents), [])


async def test_an_empty_answer_is_no_reason_to_ask_again(node: TestNode) -> None:
    """A coordinator that says there is more, and sends nothing, does not make the node spin."""
    mirror = await Mirror.open(node.context)
    assert not await take(mirror, 0, head=9)


async def test_waiting_for_news_ends_when_there_is_none(node: TestNode) -> None:
    """Whoever waits for newer documents is told at once that all of them are there."""
    mirror = await Mirror.open(node.context)
    rung = mirror.changed.listen()
    await take(mirror, 0, head=0)
    assert rung.is_set()


async def test_a_restarted_node_continues_where_it_was(tmp_path: Path) -> None:
    """Neither trust nor place in the list is lost, and nothing is fetched twice."""
    documents = community().documents
    async with a_node(tmp_path / "XAA", "XAA") as node:
        await take(await Mirror.open(empty(node).context), 0, *documents)
        head = node.context.directory.head()
    async with a_node(tmp_path / "XAA", "XAA") as node:
        directory = fresh_directory(node.everyone)
        load_directory(directory, await stored(node.context))
        mirror = await Mirror.open(node.context)
    assert (directory.head(), mirror.next_index) == (head, len(documents))


async def test_an_altered_store_does_not_start(node: TestNode) -> None:
    """A stored document that is not believed any more is said, not skipped."""
    documents = list(node.everyone.documents)
    documents[1] = documents[1][:-100] + bytes([documents[1][-100] ^ 1]) + documents[1][-99:]
    with pytest.raises(SetupError) as caught:
        load_directory(fresh_directory(node.everyone), documents)
    assert "root hash" in caught.value.hint


async def test_another_communitys_documents_are_not_believed(node: TestNode) -> None:
    """The pinned hash decides, not the coordinator."""
    other = community(node.clock.now_ms() - 2 * DAY_MS)
    mirror = await Mirror.open(node.context)
    await take(mirror, 0, *other.documents)
    assert await stored(node.context) == []
    assert await alarms(node)
