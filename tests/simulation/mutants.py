"""Faults put into the product on purpose: a simulation that does not find them is worth nothing.

Each is one of the mistakes that this design must not make, as a patch of one name of one module.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

from exchange.coordinator.cursors import Cursors
from exchange.node import answers, inbox, openings
from exchange.node.courier import Courier
from exchange.node.inbox import Inbox
from exchange.stores import connection, mailbox_sqlite
from exchange.stores.node_queue import remove_all
from exchange.stores.turn_sqlite import SqliteTurn


class Mutant(NamedTuple):
    """One fault: whose, which name, and what stands there instead."""

    owner: Any
    name: str
    substitute: Any


def _later(work: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that begins what it should finish, and returns at once."""

    async def method(self: Any, *args: Any, **words: Any) -> Any:
        async def slowly() -> None:
            await asyncio.sleep(0.05)
            await work(self, *args, **words)

        asyncio.get_running_loop().create_task(slowly())

    return method


_write = Inbox._write
_commit = SqliteTurn.commit
_hand_over_all = Courier._hand_over_all
_items = mailbox_sqlite.items


async def _answer_first(self: SqliteTurn, entries: Any, chain: Any) -> tuple[int, ...]:
    """Return the places before the rows are stored; they are stored a moment later."""
    first = self._statements
    self._statements += len(entries)

    async def slowly() -> None:
        await asyncio.sleep(0.02)
        self._statements = first
        await _commit(self, entries, chain)

    asyncio.get_running_loop().create_task(slowly())
    return tuple(range(first, first + len(entries)))


async def _forget_when_sent(self: Courier, session: Any, rows: Any) -> bool:
    """Take what was handed over out of the queue, whatever the answer."""
    done = await _hand_over_all(self, session, rows)
    await self._context.engine.write(lambda db: remove_all(db, [row.number for row in rows]))
    return done


def _newest_first(*args: Any) -> Iterator[Any]:
    """Return a mailbox's items in the wrong order, two by two."""
    items = list(_items(*args))
    for at in range(0, len(items) - 1, 2):
        items[at], items[at + 1] = items[at + 1], items[at]
    return iter(items)


async def _from_the_end(self: Cursors, recipient: str) -> int:
    """Return where a mailbox ends, and not how far it was collected."""
    return (await self._store.cursor(recipient)).head


def _nothing(*_: Any, **__: Any) -> None:
    """Do nothing; as an answer: no."""


MUTANTS: Mapping[str, tuple[Mutant, ...]] = {
    "the cursor moves before the inbox has stored": (Mutant(Inbox, "_write", _later(_write)),),
    "an answer leaves before the commit": (Mutant(SqliteTurn, "commit", _answer_first),),
    "a commit is not flushed": (Mutant(connection, "SYNCHRONOUS", "OFF"),),
    "a mailbox is read out of order": (Mutant(mailbox_sqlite, "items", _newest_first),),
    "a session begins where the mailbox ends": (Mutant(Cursors, "start", _from_the_end),),
    "the queue forgets what was only sent": (Mutant(Courier, "_hand_over_all", _forget_when_sent),),
    "a passing refusal is taken for good": (Mutant(answers, "PASSING", frozenset()),),
    "a node does not know what it has said": (
        Mutant(inbox, "has_said", _nothing),
        Mutant(openings, "has_said", _nothing),
    ),
}
"""By what is wrong in each."""


@contextmanager
def mutated(what: str) -> Iterator[None]:
    """Put one fault in for as long as the block runs."""
    with ExitStack() as stack:
        for mutant in MUTANTS[what]:
            stack.enter_context(patch.object(mutant.owner, mutant.name, mutant.substitute))
        yield
