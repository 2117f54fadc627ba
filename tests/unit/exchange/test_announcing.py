"""Which documents count is said in the log of statements, exactly, before what is judged by them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from exchange.coordinator.announcing import Announcer
from exchange.coordinator.documents import CommunityDocuments
from exchange.stores.contract import CoordinatorStore, NewStatement
from exchange.stores.coordinator_sqlite import SqliteCoordinatorStore
from keys.evidence import NO_STATEMENT_YET, Saying, draft_statement, sign_statements
from keys.trust import TrustedDirectory
from protocol import tree
from protocol.errors import OutcomeUnknown, SetupError
from protocol.ledger.origins import Log
from protocol.statement import StatementKind
from tests.clocks import FixedClock
from tests.community import HUB, community

EVERYONE = community()
ORIGIN = "hub.example/almenara/dir"
COUNT = len(EVERYONE.documents)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteCoordinatorStore]:
    """Open a store that holds all documents but the last two."""
    opened = await SqliteCoordinatorStore.open(tmp_path / "almenara.db", FixedClock(EVERYONE.now_ms))
    await opened.append_documents(EVERYONE.documents[:-2], EVERYONE.now_ms)
    yield opened
    await opened.close()


async def root(store: SqliteCoordinatorStore, size: int) -> bytes:
    """Return the directory log's root at a size."""
    return tree.root_of((await store.ledger.leaf_hashes(Log.DIRECTORY, 0, limit=size)).hashes)


async def record(store: SqliteCoordinatorStore, saying: Saying) -> None:
    """Record a statement of the coordinator."""
    draft = draft_statement(
        saying,
        party=HUB,
        signer=EVERYONE.hub,
        at_ms=EVERYONE.now_ms,
        nonce=bytes(32),
        directory=EVERYONE.directory().head(),
        chain=NO_STATEMENT_YET,
    )
    (data,) = sign_statements(EVERYONE.hub, [draft])
    statement = NewStatement(
        id=draft.statement_id,
        envelope=saying.envelope,
        party=HUB,
        kind=saying.kind,
        at_ms=EVERYONE.now_ms,
        received_ms=EVERYONE.now_ms,
        data=data,
        mail_to=(),
    )
    await store.commit([statement], None)


async def due(announcer: Announcer) -> Saying:
    """Return what is due, of which there must be something."""
    saying = await announcer.due()
    assert saying is not None
    assert saying.kind is StatementKind.DIRECTORY
    assert saying.seen is not None
    assert saying.seen.root == saying.envelope
    return saying


async def test_it_is_due_until_it_was_said_and_again_when_documents_come(
    store: SqliteCoordinatorStore,
) -> None:
    """What was only meant to be said was not."""
    announcer = Announcer(store.ledger, ORIGIN)
    for _ in range(2):
        seen = (await due(announcer)).seen
        assert seen is not None
        assert (seen.origin, seen.size, seen.root) == (ORIGIN, COUNT - 2, await root(store, COUNT - 2))
    announcer.said()
    assert await announcer.due() is None
    await store.append_documents(EVERYONE.documents[-2:], EVERYONE.now_ms)
    assert await announcer.due() is None
    announcer.grown()
    seen = (await due(announcer)).seen
    assert seen is not None
    assert (seen.size, seen.root) == (COUNT, await root(store, COUNT))


async def test_a_restart_reads_what_was_said_last(store: SqliteCoordinatorStore) -> None:
    """It is not said twice."""
    await record(store, await due(Announcer(store.ledger, ORIGIN)))
    announcer = Announcer(store.ledger, ORIGIN)
    assert await announcer.due() is None
    await store.append_documents(EVERYONE.documents[-2:], EVERYONE.now_ms)
    announcer.forget()
    announcer.grown()
    assert (await due(announcer)).envelope == await root(store, COUNT)


async def test_documents_that_are_not_those_that_were_named_are_noticed(
    store: SqliteCoordinatorStore,
) -> None:
    """A coordinator does not go on over a list that was changed."""
    await record(store, await due(Announcer(store.ledger, ORIGIN)))
    await store._engine.write(
        lambda db: db.execute("UPDATE document SET added_ms = added_ms + 1 WHERE idx = 0").fetchall()
    )
    with pytest.raises(SetupError, match="not those that it has named"):
        await Announcer(store.ledger, ORIGIN).due()


class Doubtful:
    """A store that appends documents and says that it does not know."""

    def __init__(self, store: SqliteCoordinatorStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def append_documents(self, documents: Sequence[bytes], now_ms: int) -> tuple[int, ...]:
        """Do it, and doubt it."""
        await self._store.append_documents(documents, now_ms)
        raise OutcomeUnknown("the disk failed while the work was being committed")


async def test_a_document_stored_in_doubt_is_trusted_when_it_comes_again(
    store: SqliteCoordinatorStore,
) -> None:
    """What the list has, the coordinator goes by; and until it does, the log does not name it."""
    directory = TrustedDirectory(EVERYONE.id, EVERYONE.verifier)
    for document in EVERYONE.documents[:-2]:
        directory.update(document, EVERYONE.now_ms)
    announcer = Announcer(store.ledger, ORIGIN)
    assert (await due(announcer)).seen is not None
    doubtful = cast(CoordinatorStore, Doubtful(store))
    clock = FixedClock(EVERYONE.now_ms)
    documents = CommunityDocuments(doubtful, directory, announcer, clock, lambda _: None)
    with pytest.raises(OutcomeUnknown):
        await documents.publish(EVERYONE.documents[-2])
    before = directory.documents
    seen = (await due(announcer)).seen
    assert seen is not None
    assert seen.size == COUNT - 2
    assert await documents.publish(EVERYONE.documents[-2]) == COUNT - 2
    assert directory.documents != before
    seen = (await due(announcer)).seen
    assert seen is not None
    assert seen.size == COUNT - 1


async def test_no_document_comes_while_the_relay_judges(store: SqliteCoordinatorStore) -> None:
    """Otherwise a statement could be judged by other documents than the log says."""
    directory = TrustedDirectory(EVERYONE.id, EVERYONE.verifier)
    for document in EVERYONE.documents[:-2]:
        directory.update(document, EVERYONE.now_ms)
    announcer = Announcer(store.ledger, ORIGIN)
    clock = FixedClock(EVERYONE.now_ms)
    documents = CommunityDocuments(store, directory, announcer, clock, lambda _: None)
    async with announcer.standing:
        publishing = asyncio.create_task(documents.publish(EVERYONE.documents[-2]))
        await asyncio.sleep(0.05)
        assert await store.document_count() == COUNT - 2
    assert await publishing == COUNT - 2
