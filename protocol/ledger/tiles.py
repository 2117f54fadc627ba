"""The tree as immutable files of 256 hashes, its leaves as files of 256 entries (C2SP tlog-tiles).

A tile of level *l* holds the roots of complete subtrees of ``256**l`` leaves each. The rightmost
tile of a level may be partial, and is then named after its width: no file ever changes.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from protocol.errors import FormatError, NotCanonical, TooLarge
from protocol.fields import MAX_UINT
from protocol.text import parse_decimal
from protocol.tree import node_hash

TILE_WIDTH = 256
TILE_HEIGHT = 8
HASH_BYTES = 32
MAX_LEVEL = 63
MAX_ENTRY_BYTES = 0xFFFF

_KEPT_TILES = 64
_LENGTH = struct.Struct(">H")


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """One file of hashes.

    Args:
        level: 0 for leaf hashes; the roots of whole tiles of this level are in the next.
        number: Which one of its level, from the left, from 0.
        width: How many hashes it holds, 1 to 256.

    Raises:
        FormatError: a bound is broken.
    """

    level: int
    number: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        _check(self.number, self.width)
        if not 0 <= self.level <= MAX_LEVEL:
            raise FormatError("no tile has this level")

    @property
    def path(self) -> str:
        """The path below a log's prefix, such as ``tile/0/x001/x234/067`` or ``tile/1/000.p/17``."""
        return f"tile/{self.level}/{_suffixed(self.number, self.width)}"


def entries_path(number: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a file of entries, such as ``tile/entries/273.p/112``."""
    _check(number, width)
    return f"tile/entries/{_suffixed(number, width)}"


def parse_tile_path(path: str) -> Tile:
    """Return the tile that a path names.

    Raises:
        FormatError: it is not the one spelling of a tile's path.
    """
    parts = path.split("/", 2)
    if len(parts) != 3 or parts[0] != "tile":
        raise FormatError("this is no path of a tile")
    level = parse_decimal(parts[1], what="tile level", limit=MAX_LEVEL)
    return Tile(level, *_parse_suffixed(parts[2]))


def parse_entries_path(path: str) -> tuple[int, int]:
    """Return the number and the width of the file of entries that a path names.

    Raises:
        FormatError: it is not the one spelling of such a path.
    """
    if not path.startswith("tile/entries/"):
        raise FormatError("this is no path of a file of entries")
    return _parse_suffixed(path.removeprefix("tile/entries/"))


def number_path(number: int) -> str:
    """Return a number as path elements of three digits, such as ``x001/x234/067``."""
    digits = str(number)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    return "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])


def parse_number_path(path: str) -> int:
    """Return the number that such path elements spell.

    Raises:
        FormatError: they are not the one spelling of a number below 2^55.
    """
    digits = path.replace("x", "").replace("/", "")  # in other places they are found out below
    if len(digits) > 18 or not (digits.isascii() and digits.isdigit()):
        raise FormatError("this is no number in path elements of three digits")
    number = int(digits)
    if number > MAX_UINT // TILE_WIDTH or number_path(number) != path:
        raise NotCanonical("a number in path elements is not in its one permitted spelling")
    return number


def width_at(level: int, number: int, size: int) -> int:
    """Return how many hashes a tile has in a tree of this size; 0 if there is no such tile."""
    return max(0, min(TILE_WIDTH, (size >> (TILE_HEIGHT * level)) - number * TILE_WIDTH))


def tiles_of(size: int) -> Iterator[Tile]:
    """Yield every tile of a tree of this size, lower levels first, from left to right."""
    return new_tiles(0, size)


def new_tiles(old: int, new: int) -> Iterator[Tile]:
    """Yield the tiles to write when a tree grows from ``old`` to ``new`` leaves.

    Lower levels come first, so that a tile's hashes can be made from tiles already written.
    """
    for level in range(MAX_LEVEL + 1):
        before, after = old >> (TILE_HEIGHT * level), new >> (TILE_HEIGHT * level)
        if after == 0:
            return
        if after == before:
            continue
        for number in range(before // TILE_WIDTH, -(-after // TILE_WIDTH)):
            yield Tile(level, number, min(TILE_WIDTH, after - number * TILE_WIDTH))


def join_hashes(hashes: Sequence[bytes]) -> bytes:
    """Return the contents of a tile."""
    return b"".join(hashes)


def split_hashes(data: bytes, width: int) -> list[bytes]:
    """Return the hashes of a tile.

    Raises:
        FormatError: it has not the length that its width asks for.
    """
    if len(data) != width * HASH_BYTES:
        raise FormatError(f"a tile of width {width} has not {width * HASH_BYTES} bytes")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def tile_root(data: bytes) -> bytes:
    """Return the hash by which the next level names a whole tile, from the tile's 8192 bytes."""
    return _pyramid(split_hashes(data, TILE_WIDTH))[TILE_HEIGHT][0]


def encode_entries(entries: Sequence[bytes]) -> bytes:
    """Return a file of 1 to 256 entries: of each, its length in two bytes and its bytes."""
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise FormatError("a file of entries holds 1 to 256 of them")
    if any(len(entry) > MAX_ENTRY_BYTES for entry in entries):
        raise TooLarge(f"an entry is over {MAX_ENTRY_BYTES} bytes")
    return b"".join(part for entry in entries for part in (_LENGTH.pack(len(entry)), entry))


def parse_entries(data: bytes, width: int) -> list[bytes]:
    """Return the entries of such a file.

    Raises:
        FormatError: it does not hold exactly ``width`` entries.
    """
    entries, at = [], 0
    for _ in range(width):
        # A length that is cut off reads as one that leads beyond the end.
        until = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or until > len(data):
            raise FormatError("a file of entries ends too early")
        entries.append(data[at + 2 : until])
        at = until
    if at != len(data):
        raise FormatError("a file of entries goes on after its last entry")
    return entries


class TileHashes:
    """Reads complete subtrees out of tiles; for the functions of ``protocol.tree`` that take a reader.

    The hashes are only as good as the tiles: whoever uses them compares the root that follows
    with a signed one. Keeps the last 64 tiles, about 3 MiB.

    Args:
        read: Returns the contents of a tile of the tree of this size.
        size: The tree's size.
    """

    def __init__(self, read: Callable[[Tile], bytes], size: int) -> None:
        self._read = read
        self._size = size
        self._kept: OrderedDict[Tile, list[list[bytes]]] = OrderedDict()

    def subtree(self, level: int, number: int) -> bytes:
        """Return the root of the complete subtree of ``2**level`` leaves with this number.

        Raises:
            FormatError: the tree has no such subtree, or a tile has not the length of its width.
        """
        if level < 0 or number < 0 or (number + 1) << level > self._size:
            raise FormatError("the tree has no such subtree")
        tile_level, above = divmod(level, TILE_HEIGHT)
        tile_number, offset = divmod(number, TILE_WIDTH >> above)
        width = width_at(tile_level, tile_number, self._size)
        return self._levels(Tile(tile_level, tile_number, width))[above][offset]

    def _levels(self, tile: Tile) -> list[list[bytes]]:
        levels = self._kept.get(tile)
        if levels is None:
            levels = self._kept[tile] = _pyramid(split_hashes(self._read(tile), tile.width))
            if len(self._kept) > _KEPT_TILES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(tile)
        return levels


def _pyramid(hashes: list[bytes]) -> list[list[bytes]]:
    """Return the hashes, then the roots of each complete pair, and so on."""
    levels = [hashes]
    for _ in range(TILE_HEIGHT):
        below = levels[-1]
        levels.append([node_hash(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)])
    return levels


def _suffixed(number: int, width: int) -> str:
    return number_path(number) + ("" if width == TILE_WIDTH else f".p/{width}")


def _parse_suffixed(path: str) -> tuple[int, int]:
    number, partial, width = path.partition(".p/")
    if not partial:
        return parse_number_path(number), TILE_WIDTH
    parsed = parse_decimal(width, what="tile width", limit=TILE_WIDTH - 1)
    _check(0, parsed)
    return parse_number_path(number), parsed


def _check(number: int, width: int) -> None:
    if not 0 <= number <= MAX_UINT // TILE_WIDTH or not 1 <= width <= TILE_WIDTH:
        raise FormatError("the number or the width of a tile is out of bounds")
