"""Lies told by what is stored: dropped statements, withheld notices, leaves with false times."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

from exchange.stores.contract import ChainHead, Entry, MailItem, MailPlace, NewEnvelope, NewStatement, Turn
from exchange.stores.coordinator_sqlite import SqliteCoordinatorStore
from exchange.stores.turn_sqlite import SqliteTurn
from protocol.session.messages import ItemKind
from tests.lying.lies import Lies


class LyingTurn:
    """A real turn, in which what is dropped is not recorded, and the rest is misdated.

    Args:
        honest: The real turn; everything that is not a lie is asked of it.
        lies: What to lie about.
        answered: The last index that was told to anybody, here at 0.
    """

    def __init__(self, honest: SqliteTurn, lies: Lies, answered: list[int]) -> None:
        self._honest = honest
        self._lies = lies
        self._answered = answered

    def __getattr__(self, name: str) -> Any:
        return getattr(self._honest, name)

    async def commit(self, entries: Sequence[Entry], chain: ChainHead | None) -> tuple[int, ...]:
        """Record what is not dropped, and answer as if all of it were recorded."""
        kept = [self._dated(entry) for entry in entries if not self._is_dropped(entry)]
        indexes = iter(await self._honest.commit(kept, chain) if kept else ())
        told = []
        for entry in entries:
            self._answered[0] = self._answered[0] + 1 if self._is_dropped(entry) else next(indexes)
            told.append(self._answered[0])
        return tuple(told)

    @property
    def mailed(self) -> tuple[MailPlace, ...]:
        """Nothing, so that everything is read from where it is withheld."""
        return ()

    def _is_dropped(self, entry: Entry) -> bool:
        return isinstance(entry, NewStatement) and entry.party in self._lies.drop_statements_of

    def _dated(self, entry: Entry) -> Entry:
        if isinstance(entry, NewEnvelope):
            return replace(entry, relayed=self._misdated(entry.relayed))
        return self._misdated(entry)

    def _misdated(self, statement: NewStatement) -> NewStatement:
        return replace(statement, received_ms=statement.received_ms - self._lies.backdate_ms)


class LyingStore:
    """The coordinator's real store, which forgets and misdates what it is told to.

    Args:
        honest: The real store; everything that is not a lie is asked of it.
        lies: What to lie about.
    """

    def __init__(self, honest: SqliteCoordinatorStore, lies: Lies) -> None:
        self._honest = honest
        self._lies = lies
        self._answered = [0]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._honest, name)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Have the real turn, and lie in it."""
        async with self._honest.turn() as honest:
            yield cast(Turn, LyingTurn(honest, self._lies, self._answered))

    async def mail(self, recipient: str, after: int, *, limit: int, max_bytes: int) -> tuple[MailItem, ...]:
        """Return what is in a mailbox, but for notices that are withheld."""
        items = await self._honest.mail(recipient, after, limit=limit, max_bytes=max_bytes)
        if recipient not in self._lies.withhold_from:
            return items
        return tuple(item for item in items if item.kind is not ItemKind.ENVELOPE)
