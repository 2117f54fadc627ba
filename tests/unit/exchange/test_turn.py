"""The turn: one process at a time adds to the ledger, and sees all that others have added."""

from __future__ import annotations

import asyncio

import pytest

from exchange.stores.contract import ChainHead, MailPlace
from protocol.statement import StatementKind
from tests.community import HUB, community
from tests.stores import Store
from tests.unit.exchange.test_coordinator_store import TWICE, envelope, statement

EVERYONE = community()
NOW_MS = EVERYONE.now_ms
KEY = bytes(32)


async def test_a_turn_counts_what_is_there_and_what_it_writes(store: Store) -> None:
    """The counts are the indexes of what comes next."""
    await store.append_documents(EVERYONE.documents[:2], NOW_MS)
    async with store.turn() as turn:
        assert (turn.statements, turn.documents) == (0, 2)
        assert await turn.commit([envelope(), statement(bytes(32))], None) == (0, 1)
        assert (turn.statements, turn.documents) == (2, 2)
    async with store.turn() as turn:
        assert await turn.append_documents(EVERYONE.documents[1:4], NOW_MS) == (1, 2, 3)
        assert (turn.statements, turn.documents) == (2, 4)
    async with store.turn() as turn:
        assert (turn.statements, turn.documents) == (2, 4)


async def test_turns_come_one_after_another(store: Store) -> None:
    """Whoever waits for the turn sees what was written in the one before."""
    new = envelope()
    entered = asyncio.Event()

    async def second() -> tuple[int, bool]:
        entered.set()
        async with store.turn() as turn:
            known = await turn.known([new.id], [])
            return turn.statements, new.id in known.envelopes

    async with store.turn() as turn:
        waiting = asyncio.create_task(second())
        await entered.wait()
        await turn.commit([new], None)
        assert not waiting.done()
    assert await waiting == (1, True)


async def test_a_turn_without_a_write_changes_nothing(store: Store) -> None:
    """Also one that ends with an error."""
    with pytest.raises(ZeroDivisionError):
        async with store.turn():
            raise ZeroDivisionError
    async with store.turn() as turn:
        assert turn.statements == 0
    assert await store.commit([envelope()], None) == (0,)


async def test_a_turn_sees_chains_and_what_was_declared(store: Store) -> None:
    """What one process says of an expired item, the next does not say again."""
    new = envelope()
    gone = MailPlace("XCC", 1)
    said = statement(new.id, party=HUB, kind=StatementKind.UNDELIVERED, expired=gone)
    await store.commit([new, said], ChainHead(KEY, 2, said.id))
    async with store.turn() as turn:
        assert await turn.chain(KEY) == ChainHead(KEY, 2, said.id)
        assert await turn.declared([gone, MailPlace("XBB", 1)]) == {gone}
        assert (await turn.known([new.id], [said.id, KEY])).statements == {said.id: 1}


async def test_after_a_failed_write_the_counts_are_read_again(store: Store) -> None:
    """Nobody goes by a number that may be wrong."""
    new = envelope()
    await store.commit([new], None)
    with pytest.raises(TWICE):
        await store.commit([statement(new.id), new], None)
    async with store.turn() as turn:
        assert turn.statements == 1
