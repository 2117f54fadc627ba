"""Full tiles that were read lately: they never change, and a way to the database is spared."""

from __future__ import annotations

from collections import OrderedDict

from protocol.ledger.origins import Log
from protocol.ledger.tiles import TILE_WIDTH, Tile

TILES_KEPT = 512
"""Of 8 KiB each."""


class Tiles:
    """The tiles read last. Used by threads of calculations, and by the event loop."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Log, Tile], bytes] = OrderedDict()

    def get(self, log: Log, tile: Tile) -> bytes | None:
        """Return the hashes of a tile, if they are kept."""
        return self._kept.get((log, tile))

    def keep(self, log: Log, tile: Tile, hashes: bytes) -> None:
        """Keep the hashes of a tile if it is full: a partial one is read anew."""
        if tile.width == TILE_WIDTH:
            self._kept[log, tile] = hashes
            while len(self._kept) > TILES_KEPT:
                self._kept.popitem(last=False)
