"""Which documents count from which statement on: DIRECTORY, said in the log of statements itself.

Whoever judges a statement years later must know which documents were trusted when it was recorded.
So when documents have come, the next commit of the relay begins with a statement that names the
directory log's size and root; and what was judged by fewer documents than there are when the relay
has its turn is judged again.
"""

from __future__ import annotations

from exchange.stores.ledger_contract import LedgerStore
from keys.evidence import Saying
from protocol.errors import SetupError
from protocol.ledger.frontier import Frontier
from protocol.ledger.origins import Log
from protocol.statement import SeenCheckpoint, StatementKind, parse_statement

PAGE_ROWS = 256


class Announcer:
    """Knows which documents the log of statements has named.

    Args:
        store: Documents, and the statements that named them.
        origin: The directory log's origin.
    """

    def __init__(self, store: LedgerStore, origin: str) -> None:
        self._store = store
        self._origin = origin
        self._tree = Frontier()
        self._said: int | None = None

    async def due(self, documents: int) -> Saying | None:
        """Return what must be said first in the next commit, or None.

        Args:
            documents: How many documents there are, in the turn of that commit.

        Raises:
            SetupError: the documents are not those that were named before.
            StoreFailed: the store cannot be read.
        """
        if self._said is None:
            self._said = await self._load()
        if documents <= self._said:
            return None
        await self._grow(documents)
        seen = SeenCheckpoint(origin=self._origin, size=self._tree.size, root=self._tree.root)
        return Saying(kind=StatementKind.DIRECTORY, envelope=seen.root, seen=seen)

    def said(self, documents: int) -> None:
        """Note that what was due in a turn with so many documents is durable."""
        self._said = documents

    def forget(self) -> None:
        """Look again into the store: the last statement may be stored or not, or another process's came."""
        self._said = None

    async def _load(self) -> int:
        """Return the size that was named last, after comparing its root with the documents here."""
        data = await self._store.announced()
        if data is None:
            return 0
        seen = parse_statement(data)[1].seen
        assert seen is not None  # noqa: S101 - the layout of a DIRECTORY statement says so
        await self._grow(seen.size)
        if self._tree.size == seen.size and self._tree.root != seen.root:
            raise SetupError(
                f"the {seen.size} documents of the database are not those that it has named",
                hint="Restore the newest whole copy of the database; do not go on with this one.",
            )
        return seen.size

    async def _grow(self, until: int) -> None:
        """Add the documents behind the tree to it, up to a size."""
        while self._tree.size < until:
            limit = min(PAGE_ROWS, until - self._tree.size)
            page = await self._store.leaf_hashes(Log.DIRECTORY, self._tree.size, limit=limit)
            if not page.hashes:
                return
            self._tree = self._tree.extend(page.hashes)
