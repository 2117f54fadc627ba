"""A whole tree of leaf hashes in little memory, for roots at any earlier size.

About 34 bytes a leaf: the hashes of single leaves, of sixteen and of 256; what lies between is
computed again when it is asked for, which is seldom.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from protocol.errors import FormatError
from protocol.tree import node_hash, root_by

_STEP = 4
_STORED = (0, 4, 8)
_HASH = 32
ROOTS_KEPT = 4096


class StoredTree:
    """The tree over everything that was appended."""

    def __init__(self) -> None:
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
        if level in self._levels:
            return bytes(self._levels[level][number * _HASH : (number + 1) * _HASH])
        return self._above(level, number) if level > _STORED[-1] else self._joined(level, number)

    def _joined(self, level: int, number: int) -> bytes:
        return node_hash(self.subtree(level - 1, 2 * number), self.subtree(level - 1, 2 * number + 1))

    def _root_of(self, size: int) -> bytes:
        return root_by(size, self.subtree)

    def _rebuilt(self, level: int, number: int) -> bytes:
        """Return a stored level's hash from the sixteen of the stored level below."""
        below, width = self._levels[level - _STEP], 1 << _STEP
        start = number * width * _HASH
        hashes = [bytes(below[at : at + _HASH]) for at in range(start, start + width * _HASH, _HASH)]
        while len(hashes) > 1:
            hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
        return hashes[0]
