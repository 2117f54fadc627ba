"""What there is to read of the ledger, by path: C2SP tlog-tiles byte for byte, and what stands behind.

Below ``ack/`` and ``dir/``: ``checkpoint``, ``policy.txt``, ``tile/...`` and ``tile/entries/...``.
Further ``ack/milestones`` and one of them, ``ack/statements/...`` and ``ack/headers/...`` as packs, and
``dir/documents/...``. The names are those of an auditor's bundle (:mod:`protocol.ledger.bundle`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exchange.coordinator.heads import Heads
from exchange.stores.ledger_contract import LedgerStore
from protocol.errors import FormatError
from protocol.ledger.bundle import Place, Sort, place_of
from protocol.ledger.origins import Log
from protocol.ledger.pack import encode_pack
from protocol.ledger.tiles import (
    TILE_HEIGHT,
    TILE_WIDTH,
    Tile,
    encode_entries,
    parse_tile_path,
    width_at,
)

TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"

MILESTONES = f"{Log.ACK}/milestones"


@dataclass(frozen=True, slots=True)
class Page:
    """One answer.

    Attributes:
        body: Its bytes.
        media_type: What they are.
        fixed: Whether the same path gives the same bytes for ever.
    """

    body: bytes
    media_type: str
    fixed: bool


class Pages:
    """Finds pages.

    Args:
        heads: What is published and witnessed.
        store: What stands behind.
        policy: Returns a log's ``tlog-policy``, by the documents trusted now.
    """

    def __init__(self, heads: Heads, store: LedgerStore, policy: Callable[[Log], str]) -> None:
        self._heads = heads
        self._store = store
        self._policy = policy

    async def find(self, path: str, reader: str | None) -> Page | None:
        """Return the page of a path, or None if there is none.

        Args:
            path: As above, in its one spelling.
            reader: The state that reads, or None for an auditor.

        Raises:
            StoreFailed: the store cannot be read.
        """
        if path == MILESTONES:
            sizes = await self._store.milestones(Log.ACK)
            return Page("".join(f"{size}\n" for size in sizes).encode(), TEXT, fixed=False)
        try:
            asked = _asked(path)
        except (FormatError, ValueError):
            return None
        if isinstance(asked, Place):
            return await self._placed(asked, reader)
        return await self._tile(*asked)

    async def _placed(self, place: Place, reader: str | None) -> Page | None:
        log = place.log
        if log is None:
            return None
        match place.sort:
            case Sort.CHECKPOINT:
                shown = self._heads[log].shown
                return None if shown is None else Page(shown.data, TEXT, fixed=False)
            case Sort.POLICY:
                return Page(self._policy(log).encode(), TEXT, fixed=False)
            case Sort.ENTRIES:
                return await self._entries(log, place.number, place.width)
            case Sort.MILESTONE:
                return _fixed(await self._store.milestone(log, place.number), TEXT)
            case Sort.DOCUMENT:
                published = place.number < self._heads[log].size
                return _fixed(await self._store.document(place.number), BYTES) if published else None
            case Sort.STATEMENTS | Sort.HEADERS:
                return await self._pack(place, reader)
            case _:
                return None

    async def _tile(self, log: Log, tile: Tile) -> Page | None:
        if not await self._is_there(log, tile):
            return None
        return Page(await self._store.on_tiles(log, lambda read: read(tile)), BYTES, fixed=True)

    async def _entries(self, log: Log, number: int, width: int) -> Page | None:
        if not await self._is_there(log, Tile(0, number, width)):
            return None
        entries = await self._store.entries(log, number * TILE_WIDTH, width)
        return Page(encode_entries(entries), BYTES, fixed=True)

    async def _is_there(self, log: Log, tile: Tile) -> bool:
        """Whether a tile is part of the published tree: if it is partial, of one that was published once."""
        if width_at(tile.level, tile.number, self._heads[log].size) < tile.width:
            return False
        if tile.width == TILE_WIDTH:
            return True
        first = (tile.number * TILE_WIDTH + tile.width) << (TILE_HEIGHT * tile.level)
        return await self._store.is_published(log, first, first + (1 << (TILE_HEIGHT * tile.level)))

    async def _pack(self, place: Place, reader: str | None) -> Page | None:
        width = width_at(0, place.number, self._heads[Log.ACK].size)
        if width == 0:
            return None
        first = place.number * TILE_WIDTH
        reading = self._store.statements_for if place.sort is Sort.STATEMENTS else self._store.headers_for
        return Page(encode_pack(await reading(reader, first, width)), BYTES, fixed=width == TILE_WIDTH)


def _fixed(data: bytes | None, media_type: str) -> Page | None:
    return None if data is None else Page(data, media_type, fixed=True)


def _asked(path: str) -> Place | tuple[Log, Tile]:
    """Return what a path names. Raises FormatError or ValueError: it names nothing of a ledger."""
    head, _, rest = path.partition("/")
    if rest.startswith("tile/") and not rest.startswith("tile/entries/"):
        return Log(head), parse_tile_path(rest)
    return place_of(path)
