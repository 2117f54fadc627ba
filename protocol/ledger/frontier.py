"""A growing tree remembered by its peaks: the roots of its complete subtrees, largest first.

All that a sequencer needs between two checkpoints: at most 63 hashes, whatever the log's size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from protocol.errors import FormatError
from protocol.tree import SubtreeReader, fold_peaks, peaks_by


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree.

    Args:
        size: How many leaves there are.
        peaks: One 32-byte root per set bit of ``size``, that of the largest subtree first.

    Raises:
        FormatError: the number or length of the peaks does not fit the size.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.peaks) != self.size.bit_count() or any(len(p) != 32 for p in self.peaks):
            raise FormatError("the peaks do not fit the tree's size")

    @classmethod
    def read(cls, size: int, subtree: SubtreeReader) -> Frontier:
        """Return the frontier of a stored tree, from a reader of its complete subtrees."""
        return cls(size, peaks_by(size, subtree))

    @property
    def root(self) -> bytes:
        """The RFC 6962 root over all leaves; of none, the hash of nothing."""
        return fold_peaks(self.peaks)

    def append(self, leaf_hash: bytes) -> Frontier:
        """Return the frontier after one more leaf."""
        return self.extend((leaf_hash,))

    def extend(self, leaf_hashes: Iterable[bytes]) -> Frontier:
        """Return the frontier after more leaves, each given as its 32-byte hash."""
        peaks, size = list(self.peaks), self.size
        # tree.node_hash, written out: this loop is the ledger's hottest.
        sha256: Callable[[bytes], hashlib._Hash] = hashlib.sha256
        for current in leaf_hashes:
            carry = size
            # As in a binary counter: two subtrees of one size become the next larger one.
            while carry & 1:
                current = sha256(b"\x01" + peaks.pop() + current).digest()
                carry >>= 1
            peaks.append(current)
            size += 1
        return Frontier(size, tuple(peaks))
