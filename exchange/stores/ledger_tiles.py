"""Tiles: how they grow, and on SQLite, how they are kept.

A stored tile is never changed but by appending, so a partial tile is the beginning of what is stored,
and doing an append again writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import apsw

from protocol.errors import StoreFailed
from protocol.ledger.origins import Log
from protocol.ledger.tiles import HASH_BYTES, TILE_WIDTH, Tile, tile_root


class Grown(NamedTuple):
    """A tile as it is after hashes were appended to it."""

    level: int
    number: int
    hashes: bytes


def grown(
    read: Callable[[Tile], bytes], first: int, hashes: Sequence[bytes], level: int = 0
) -> Iterator[Grown]:
    """Yield the tiles of a level that consecutive hashes are appended to, and those above that follow.

    Args:
        read: Returns the hashes of a partial tile that is stored.
        first: Index in the level of the first hash; all before it are stored.
        hashes: 32 bytes each.
        level: 0 for leaf hashes.

    Raises:
        StoreFailed: what lies before ``first`` is not there.
    """
    roots: list[bytes] = []
    at = 0
    while at < len(hashes):
        number, width = divmod(first + at, TILE_WIDTH)
        part = hashes[at : at + TILE_WIDTH - width]
        data = (read(Tile(level, number, width)) if width else b"") + b"".join(part)
        yield Grown(level, number, data)
        if len(data) == TILE_WIDTH * HASH_BYTES:
            roots.append(tile_root(data))
        at += len(part)
    if roots:
        yield from grown(read, first // TILE_WIDTH, roots, level + 1)


def growing(first: int, count: int) -> Iterator[Tile]:
    """Yield the partial tiles that :func:`grown` reads for so many hashes from ``first`` on."""
    level = 0
    while count:
        number, width = divmod(first, TILE_WIDTH)
        if width:
            yield Tile(level, number, width)
        first, count, level = number, (first + count) // TILE_WIDTH - number, level + 1


def append_hashes(db: apsw.Connection, log: Log, first: int, hashes: Sequence[bytes]) -> None:
    """Append consecutive leaf hashes to the tiles of a log; raises as :func:`grown`.

    Args:
        db: The writing connection, inside a transaction.
        log: Whose tiles.
        first: Index of the first leaf; all before it are there.
        hashes: 32 bytes each.
    """
    for tile in grown(lambda tile: read_tile(db, log, tile), first, hashes):
        db.execute("INSERT OR REPLACE INTO ledger_tile VALUES (?, ?, ?, ?)", (log, *tile))


def read_tile(db: apsw.Connection, log: Log, tile: Tile) -> bytes:
    """Return the hashes of a tile.

    Raises:
        StoreFailed: it is not there, or not so wide.
    """
    query = "SELECT substr(hashes, 1, ?) FROM ledger_tile WHERE log = ? AND level = ? AND number = ?"
    size = tile.width * HASH_BYTES
    row = db.execute(query, (size, log, tile.level, tile.number)).fetchone()
    if row is None or len(row[0]) != size:
        raise missing(log, tile)
    return bytes(row[0])


def missing(log: Log, tile: Tile) -> StoreFailed:
    """Return what is raised for a tile that is not there, or not so wide."""
    return StoreFailed(
        f"the tile {tile.path} of the log {log} is missing from the database",
        hint="Restore the whole database from backup; do not start with half of it.",
    )
