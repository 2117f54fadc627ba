"""Tiles on SQLite: appended as the tree grows, read as parts of what is stored.

Functions take the connection of the transaction they run in. A stored tile is never changed but
by appending, so a partial tile is the beginning of what is stored, and doing an append again
writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from protocol.errors import StoreFailed
from protocol.ledger.origins import Log
from protocol.ledger.tiles import HASH_BYTES, TILE_WIDTH, Tile, tile_root


def append_hashes(db: apsw.Connection, log: Log, level: int, first: int, hashes: Sequence[bytes]) -> None:
    """Append consecutive hashes to the tiles of a level, and the roots of filled tiles to those above.

    Args:
        db: The writing connection, inside a transaction.
        log: Whose tiles.
        level: 0 for leaf hashes.
        first: Index in the level of the first hash; all before it are there.
        hashes: 32 bytes each.

    Raises:
        StoreFailed: what lies before ``first`` is not there.
    """
    roots: list[bytes] = []
    at = 0
    while at < len(hashes):
        number, width = divmod(first + at, TILE_WIDTH)
        part = hashes[at : at + TILE_WIDTH - width]
        data = read_tile(db, log, Tile(level, number, width)) if width else b""
        data += b"".join(part)
        db.execute("INSERT OR REPLACE INTO ledger_tile VALUES (?, ?, ?, ?)", (log, level, number, data))
        if len(data) == TILE_WIDTH * HASH_BYTES:
            roots.append(tile_root(data))
        at += len(part)
    if roots:
        append_hashes(db, log, level + 1, first // TILE_WIDTH, roots)


def read_tile(db: apsw.Connection, log: Log, tile: Tile) -> bytes:
    """Return the hashes of a tile.

    Raises:
        StoreFailed: it is not there, or not so wide.
    """
    query = "SELECT substr(hashes, 1, ?) FROM ledger_tile WHERE log = ? AND level = ? AND number = ?"
    size = tile.width * HASH_BYTES
    row = db.execute(query, (size, log, tile.level, tile.number)).fetchone()
    if row is None or len(row[0]) != size:
        raise StoreFailed(
            f"the tile {tile.path} of the log {log} is missing from the database",
            hint="Restore the whole database from backup; do not start with half of it.",
        )
    return bytes(row[0])
