"""RFC 6962 Merkle trees: hashing, roots and inclusion paths.

A tree over ``n`` leaves splits at the largest power of two below ``n`` (RFC 6962, section
2.1). It carries batch signatures and the ledger. What a large log needs (paths, proofs, roots) is
computed from a reader of complete subtrees, so that nobody has to hold all leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TypeAlias

from protocol.errors import FormatError

MAX_PATH = 63
"""No path or proof is longer: a tree has fewer than 2^63 leaves."""

SubtreeReader: TypeAlias = Callable[[int, int], bytes]
"""Given level and number, returns the root over leaves ``number << level`` to below the next."""


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


def consistency_proof(old: int, leaf_hashes: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the proof that the tree over these leaves extends the one over the first ``old``.

    Raises:
        FormatError: ``old`` is 0, for which there is no proof, or above the number of leaves.
    """

    def subtree(level: int, number: int) -> bytes:
        return root_of(leaf_hashes[number << level : (number + 1) << level])

    return consistency_proof_by(old, len(leaf_hashes), subtree)


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Return only if the proof leads from the smaller tree to the larger (RFC 9162, section 2.1.4.2).

    Args:
        old: The size of the smaller tree, at least 1: with an empty one all trees agree, and
            whoever accepts that says so where it is accepted.
        old_root: Its root.
        new: The size of the larger tree; equal sizes ask for equal roots and an empty proof.
        new_root: Its root.
        proof: The consistency proof.

    Raises:
        FormatError: it does not, or has not exactly the length that the sizes ask for.
    """
    if not 1 <= old <= new:
        raise FormatError("there is no consistency proof between these sizes")
    if old == new:
        if proof or old_root != new_root:
            raise FormatError("two trees of one size differ, or come with a proof that is not empty")
        return
    if _roots_implied(old, old_root, new, proof) != (old_root, new_root):
        raise FormatError("the consistency proof does not lead from one root to the other")


def _roots_implied(old: int, old_root: bytes, new: int, proof: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return the roots of the smaller and the larger tree that a proof implies, for 0 < old < new."""
    # If the smaller tree is complete, its root is the first step and is left out of the proof.
    steps = list(proof) if old & (old - 1) else [old_root, *proof]
    if not steps:
        raise FormatError("the consistency proof is too short")
    node, last = old - 1, new - 1
    while node & 1:
        node >>= 1
        last >>= 1
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise FormatError("the consistency proof is too long")
        if node & 1 or node == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            second = node_hash(second, step)
        node >>= 1
        last >>= 1
    if last != 0:
        raise FormatError("the consistency proof is too short")
    return first, second


def peaks_by(size: int, subtree: SubtreeReader, *, start: int = 0) -> tuple[bytes, ...]:
    """Return the roots of the complete subtrees that a tree of this size consists of, largest first.

    Args:
        size: How many leaves.
        subtree: Reads complete subtrees.
        start: The first leaf; 0, or where the right half of a larger tree begins.
    """
    peaks, at = [], start
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            peaks.append(subtree(level, at >> level))
            at += 1 << level
    return tuple(peaks)


def fold_peaks(peaks: Sequence[bytes]) -> bytes:
    """Return the root over the complete subtrees with these roots, largest first."""
    if not peaks:
        return root_of(())
    current = peaks[-1]
    for peak in reversed(peaks[:-1]):
        current = node_hash(peak, current)
    return current


def root_by(size: int, subtree: SubtreeReader) -> bytes:
    """Return the root of a tree of this size, from a reader of its complete subtrees."""
    return fold_peaks(peaks_by(size, subtree))


def inclusion_path_by(index: int, size: int, subtree: SubtreeReader) -> tuple[bytes, ...]:
    """Return the audit path of one leaf, as :func:`inclusion_path` does."""
    if not 0 <= index < size:
        raise FormatError("the leaf index is outside the tree")
    path, start, count = [], 0, size
    while count > 1:
        split = _split(count)
        if index < start + split:
            path.append(_root_between(start + split, count - split, subtree))
            count = split
        else:
            path.append(_root_between(start, split, subtree))
            start, count = start + split, count - split
    return tuple(reversed(path))


def consistency_proof_by(old: int, new: int, subtree: SubtreeReader) -> tuple[bytes, ...]:
    """Return the proof that a tree of ``new`` leaves extends its first ``old`` (RFC 9162, 2.1.4.1).

    Raises:
        FormatError: ``old`` is 0, for which there is no proof, or above ``new``.
    """
    if not 1 <= old <= new:
        raise FormatError("there is no consistency proof between these sizes")
    proof, start, count = [], 0, new
    while old != start + count:
        split = _split(count)
        if old <= start + split:
            proof.append(_root_between(start + split, count - split, subtree))
            count = split
        else:
            proof.append(_root_between(start, split, subtree))
            start, count = start + split, count - split
    if start:
        # Otherwise what is left is the smaller tree itself, whose root the verifier has.
        proof.append(_root_between(start, count, subtree))
    return tuple(reversed(proof))


def _root_between(start: int, count: int, subtree: SubtreeReader) -> bytes:
    return fold_peaks(peaks_by(count, subtree, start=start))


def _split(size: int) -> int:
    """Return the largest power of two smaller than ``size`` (at least 2)."""
    return 1 << ((size - 1).bit_length() - 1)
