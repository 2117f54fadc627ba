"""RFC 6962 Merkle trees: hashing, roots and inclusion paths.

A tree over ``n`` leaves splits at the largest power of two below ``n`` (RFC 6962, section
2.1). Here it carries batch signatures; the ledger stands on the same functions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from protocol.errors import FormatError


def leaf_hash(data: bytes) -> bytes:
    """Return ``SHA-256(0x00 || data)``."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return ``SHA-256(0x01 || left || right)``."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root over already hashed leaves; of none, the hash of nothing."""
    if not leaf_hashes:
        return hashlib.sha256(b"").digest()
    if len(leaf_hashes) == 1:
        return leaf_hashes[0]
    split = _split(len(leaf_hashes))
    return node_hash(root_of(leaf_hashes[:split]), root_of(leaf_hashes[split:]))


def inclusion_path(index: int, leaf_hashes: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the audit path of one leaf, lowest sibling first (RFC 6962, section 2.1.1)."""
    if not 0 <= index < len(leaf_hashes):
        raise FormatError("the leaf index is outside the tree")
    if len(leaf_hashes) == 1:
        return ()
    split = _split(len(leaf_hashes))
    if index < split:
        return (*inclusion_path(index, leaf_hashes[:split]), root_of(leaf_hashes[split:]))
    return (*inclusion_path(index - split, leaf_hashes[split:]), root_of(leaf_hashes[:split]))


def root_and_paths(leaf_hashes: Sequence[bytes]) -> tuple[bytes, list[tuple[bytes, ...]]]:
    """Return the root over at least one leaf, and every leaf's audit path, hashing each node once."""
    if not leaf_hashes:
        raise FormatError("an empty tree has no audit paths")
    if len(leaf_hashes) == 1:
        return leaf_hashes[0], [()]
    split = _split(len(leaf_hashes))
    left, left_paths = root_and_paths(leaf_hashes[:split])
    right, right_paths = root_and_paths(leaf_hashes[split:])
    paths = [(*path, right) for path in left_paths] + [(*path, left) for path in right_paths]
    return node_hash(left, right), paths


def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Return the root that a leaf hash and its path imply (RFC 9162, section 2.1.3.2).

    Raises:
        FormatError: the index is outside the tree, or the path has not exactly the length
            that this index and size ask for.
    """
    if not 0 <= index < size:
        raise FormatError("the leaf index is outside the tree")
    node, last, current = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise FormatError("the inclusion path is too long")
        if node & 1 or node == last:
            current = node_hash(sibling, current)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            current = node_hash(current, sibling)
        node >>= 1
        last >>= 1
    if last != 0:
        raise FormatError("the inclusion path is too short")
    return current


def _split(size: int) -> int:
    """Return the largest power of two smaller than ``size`` (at least 2)."""
    return 1 << ((size - 1).bit_length() - 1)
