"""The mirror: what is trusted is kept once, and nothing that a coordinator sends spoils the next start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from exchange.node.mirror import Mirror, load_directory
from exchange.stores.node_books import read_alarms, read_documents
from keys import enrolment
from keys.documents import sign_document
from protocol import codec
from protocol.documents import DocumentSignature, parse_signed_document
from protocol.errors import StoreFailed
from protocol.session.messages import Documents
from tests.nodes import TestNode, a_node


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[TestNode]:
    """Return XAA's node."""
    async with a_node(tmp_path / "XAA", "XAA") as opened:
        yield opened


def publication(node: TestNode, state: str = "XBB") -> bytes:
    """Return a new document of a state."""
    document = enrolment.next_publication(
        None,
        state=state,
        community=node.everyone.id,
        topic="severity",
        name=f"{state.lower()}-national",
        content=b"levels",
        now_ms=node.clock.now_ms(),
    )
    return sign_document(document, [node.everyone.members[state].identity])


def unsigned_copy(document: bytes, filling: int) -> bytes:
    """Return the same document with a signature that says nothing."""
    empty = DocumentSignature(key_id=bytes(32), signature=bytes([filling]) * 3373)
    return codec.encode(replace(parse_signed_document(document), signatures=(empty,)))


async def stored(node: TestNode) -> list[bytes]:
    """Return the documents that the node keeps."""
    return await node.context.engine.read(read_documents)


async def offer(mirror: Mirror, *documents: bytes) -> None:
    """Let the coordinator send the next documents of its list."""
    first = mirror.next_index
    await mirror.receive(Documents(first=first, documents=documents, head=first + len(documents)))


async def test_copies_with_other_signatures_are_not_kept(node: TestNode) -> None:
    """A coordinator cannot fill a node's disk with one document in ever new wrappings."""
    mirror, document = await Mirror.open(node.context), publication(node)
    await offer(mirror, document, *(unsigned_copy(document, filling) for filling in range(9)))
    assert await stored(node) == [document]
    assert mirror.next_index == 10


async def test_after_a_failed_write_the_copy_that_was_checked_is_kept(node: TestNode) -> None:
    """A copy without signatures, sent after the disk had failed, must not be what the next start reads."""
    mirror, document = await Mirror.open(node.context), publication(node)
    await node.context.engine.write(lambda db: db.execute("PRAGMA query_only = ON"))
    with pytest.raises(StoreFailed):
        await offer(mirror, document)
    await offer(mirror, unsigned_copy(document, 0))
    load_directory(node.everyone.directory(), await stored(node))
    assert await stored(node) == [document]


async def test_a_list_that_became_shorter_is_read_again_from_its_beginning(node: TestNode) -> None:
    """After a coordinator was restored from a backup, what is new in it stands at numbers read before."""
    mirror, document = await Mirror.open(node.context), publication(node)
    await offer(mirror, *node.everyone.documents)
    await mirror.begin(len(node.everyone.documents))
    assert mirror.next_index == len(node.everyone.documents)
    await mirror.begin(4)
    await offer(mirror, *node.everyone.documents[:3], document)
    assert await stored(node) == [document]
    assert [one.code for one in await node.context.engine.read(read_alarms)] == ["documents-missing"]


async def test_a_state_hands_its_own_documents_in_again_after_a_restore(node: TestNode) -> None:
    """What the coordinator's backup lacks of this state, nobody else would bring back."""
    mirror = await Mirror.open(node.context)
    own = publication(node, "XAA")
    await offer(mirror, *node.everyone.documents, own)
    await mirror.begin(4)
    assert own in [row.content for row in await node.queue() if row.kind == "publish"]
