"""Which documents count is said in the log of statements, exactly, before what is judged by them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from exchange.coordinator.announcing import Announcer
from exchange.coordinator.documents import CommunityDocuments
from exchange.coordinator.following import Following
from exchange.stores.contract import CoordinatorStore, NewStatement
from exchange.stores.coordinator_sqlite import SqliteCoordinatorStore
from exchange.stores.turn_sqlite import Counts, SqliteTurn
from keys.evidence import NO_STATEMENT_YET, Saying, draft_statement, sign_statements
from keys.trust import TrustedDirectory
from protocol import tree
from protocol.errors import OutcomeUnknown, SetupError
from protocol.ledger.origins import Log
from protocol.session.messages import Documents
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


async def record(store: SqliteCoordinatorStore, saying: Saying, after: int = 0) -> None:
    """Record a statement of the coordinator, with a nonce that tells it from others."""
    draft = draft_statement(
        saying,
        party=HUB,
        signer=EVERYONE.hub,
        at_ms=EVERYONE.now_ms,
        nonce=bytes([after]) * 32,
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


async def due(announcer: Announcer, documents: int = COUNT - 2) -> Saying:
    """Return what is due, of which there must be something."""
    saying = await announcer.due(documents)
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
    announcer.said(COUNT - 2)
    assert await announcer.due(COUNT - 2) is None
    await store.append_documents(EVERYONE.documents[-2:], EVERYONE.now_ms)
    assert await announcer.due(COUNT - 2) is None
    seen = (await due(announcer, COUNT)).seen
    assert seen is not None
    assert (seen.size, seen.root) == (COUNT, await root(store, COUNT))


async def test_a_restart_reads_what_was_said_last(store: SqliteCoordinatorStore) -> None:
    """It is not said twice."""
    await record(store, await due(Announcer(store.ledger, ORIGIN)))
    announcer = Announcer(store.ledger, ORIGIN)
    assert await announcer.due(COUNT - 2) is None
    await store.append_documents(EVERYONE.documents[-2:], EVERYONE.now_ms)
    announcer.forget()
    assert (await due(announcer, COUNT)).envelope == await root(store, COUNT)


async def test_what_another_process_has_said_is_not_said_again(store: SqliteCoordinatorStore) -> None:
    """Whoever finds that others were at work looks again."""
    here, there = Announcer(store.ledger, ORIGIN), Announcer(store.ledger, ORIGIN)
    await record(store, await due(here))
    assert await there.due(COUNT - 2) is None
    await store.append_documents(EVERYONE.documents[-2:], EVERYONE.now_ms)
    saying = await due(here, COUNT)
    await record(store, saying, after=1)
    there.forget()
    assert await there.due(COUNT) is None


async def test_documents_that_are_not_those_that_were_named_are_noticed(
    store: SqliteCoordinatorStore,
) -> None:
    """A coordinator does not go on over a list that was changed."""
    await record(store, await due(Announcer(store.ledger, ORIGIN)))
    await store._engine.write(
        lambda db: db.execute("UPDATE document SET added_ms = added_ms + 1 WHERE idx = 0").fetchall()
    )
    with pytest.raises(SetupError, match="not those that it has named"):
        await Announcer(store.ledger, ORIGIN).due(COUNT - 2)


class DoubtfulTurn(SqliteTurn):
    """A turn that appends documents and says that it does not know."""

    async def append_documents(self, documents: Sequence[bytes], now_ms: int) -> tuple[int, ...]:
        """Do it, and doubt it."""
        await super().append_documents(documents, now_ms)
        raise OutcomeUnknown("the disk failed while the work was being committed")


class Doubtful(SqliteCoordinatorStore):
    """A store with turns in doubt."""

    def _begun(self, counts: Counts) -> SqliteTurn:
        return DoubtfulTurn(self._engine, counts)


def trusting(documents: Sequence[bytes]) -> TrustedDirectory:
    """Return a directory made of these documents."""
    directory = TrustedDirectory(EVERYONE.id, EVERYONE.verifier)
    for document in documents:
        directory.update(document, EVERYONE.now_ms)
    return directory


def accepting(
    store: CoordinatorStore, directory: TrustedDirectory
) -> tuple[CommunityDocuments, list[Documents]]:
    """Return what accepts documents, and what the nodes are told."""
    clock = FixedClock(EVERYONE.now_ms)
    following = Following(store, directory, COUNT - 2, clock)
    told: list[Documents] = []
    following.changed = told.append
    return CommunityDocuments(store, directory, following, clock), told


async def test_a_document_stored_in_doubt_is_trusted_when_it_comes_again(
    store: SqliteCoordinatorStore,
) -> None:
    """What the list has, the coordinator goes by; the nodes are told once."""
    directory = trusting(EVERYONE.documents[:-2])
    documents, told = accepting(Doubtful(store._engine), directory)
    with pytest.raises(OutcomeUnknown):
        await documents.publish(EVERYONE.documents[-2])
    before = directory.documents
    assert await documents.publish(EVERYONE.documents[-2]) == COUNT - 2
    assert directory.documents != before
    assert await documents.publish(EVERYONE.documents[-2]) == COUNT - 2
    assert [(one.first, one.head) for one in told] == [(COUNT - 2, COUNT - 1)]


async def test_a_document_is_judged_behind_those_of_other_processes(store: SqliteCoordinatorStore) -> None:
    """Two processes accept at once: each ends with both documents, in the order of the store."""
    here, there = (accepting(store, trusting(EVERYONE.documents[:-2])) for _ in range(2))
    last_two = EVERYONE.documents[-2:]
    indexes = await asyncio.gather(here[0].publish(last_two[0]), there[0].publish(last_two[1]))
    assert sorted(indexes) == [COUNT - 2, COUNT - 1]
    for documents, _ in (here, there):
        for index, document in zip(indexes, last_two, strict=True):
            assert await documents.publish(document) == index
        assert documents._following.held == COUNT


async def test_the_same_document_brought_twice_at_once_is_stored_once(store: SqliteCoordinatorStore) -> None:
    """Both are told its index."""
    documents, told = accepting(store, trusting(EVERYONE.documents[:-2]))
    one = EVERYONE.documents[-2]
    assert set(await asyncio.gather(documents.publish(one), documents.publish(one))) == {COUNT - 2}
    assert len(told) == 1
