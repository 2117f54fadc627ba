"""A whole tree of leaf hashes in little memory, for roots at any earlier size.

About two bytes a leaf: the hashes of sixteen leaves and of 256, and those of single leaves for a while.
What lies between is computed again when it is asked for, and old leaves are read again, which is seldom:
signers have seen the newest checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from protocol.errors import FormatError
from protocol.tree import node_hash, root_by

_STEP = 4
_STORED = (0, 4, 8)
_HASH = 32
ROOTS_KEPT = 4096
TILE = 256
LEAVES_KEPT = 64 * 1024
TILES_KEPT = 64

Older = Callable[[int], Sequence[bytes]]
"""Returns again the hashes of the 256 leaves of a tile, by its number."""


class StoredTree:
    """The tree over everything that was appended.

    Args:
        older: Gives leaves again that are not kept; None: all are kept.
        kept: How many of the newest leaves are kept at least.
    """

    def __init__(self, older: Older | None = None, kept: int = LEAVES_KEPT) -> None:
        self._kept = kept
        self._start = 0
        self._forgets = older is not None
        self._older = lru_cache(maxsize=TILES_KEPT)(older or _nothing)
        self._levels = {level: bytearray() for level in _STORED}
        self.size = 0
        # Both answer only for complete subtrees, which never change again.
        self._above = lru_cache(maxsize=ROOTS_KEPT)(self._joined)
        self._root = lru_cache(maxsize=ROOTS_KEPT)(self._root_of)

    def extend(self, leaf_hashes: Sequence[bytes]) -> None:
        """Append leaves, each given as its 32-byte hash."""
        self._levels[0] += b"".join(leaf_hashes)
        self.size += len(leaf_hashes)
        for level in _STORED[1:]:
            stored = self._levels[level]
            for number in range(len(stored) // _HASH, self.size >> level):
                stored += self._rebuilt(level, number)
        if self._forgets and self.size - self._start >= 2 * self._kept:
            end = (self.size - self._kept) // TILE * TILE
            del self._levels[0][: (end - self._start) * _HASH]
            self._start = end

    def root(self, size: int) -> bytes:
        """Return the RFC 6962 root over the first ``size`` leaves.

        Raises:
            FormatError: there are not so many.
        """
        if not 0 <= size <= self.size:
            raise FormatError("the tree has not so many leaves")
        return self._root(size)

    def subtree(self, level: int, number: int) -> bytes:
        """Return the root of the complete subtree of ``2**level`` leaves with this number."""
        if level == 0:
            return self._leaf(number)
        if level in self._levels:
            return bytes(self._levels[level][number * _HASH : (number + 1) * _HASH])
        return self._above(level, number) if level > _STORED[-1] else self._joined(level, number)

    def _leaf(self, number: int) -> bytes:
        if number < self._start:
            return self._older(number // TILE)[number % TILE]
        at = (number - self._start) * _HASH
        return bytes(self._levels[0][at : at + _HASH])

    def _joined(self, level: int, number: int) -> bytes:
        return node_hash(self.subtree(level - 1, 2 * number), self.subtree(level - 1, 2 * number + 1))

    def _root_of(self, size: int) -> bytes:
        return root_by(size, self.subtree)

    def _rebuilt(self, level: int, number: int) -> bytes:
        """Return a stored level's hash from the sixteen of the stored level below."""
        below, width = self._levels[level - _STEP], 1 << _STEP
        start = (number * width - (self._start if level == _STEP else 0)) * _HASH
        hashes = [bytes(below[at : at + _HASH]) for at in range(start, start + width * _HASH, _HASH)]
        while len(hashes) > 1:
            hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
        return hashes[0]


def _nothing(number: int) -> Sequence[bytes]:
    raise FormatError(f"the leaves of tile {number} are not kept")
