"""RFC 6962 trees: against a naive tree, against others' vectors, and against bad paths."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from protocol import tree
from protocol.errors import FormatError

OUTSIDE = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "merkle"
SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33, 255, 256]


def leaves(size: int) -> list[bytes]:
    return [tree.leaf_hash(bytes([number & 0xFF, number >> 8])) for number in range(size)]


def naive_root(hashes: Sequence[bytes]) -> bytes:
    """Build layer by layer: pair what is there, carry the odd one up."""
    layer = list(hashes)
    while len(layer) > 1:
        pairs = [
            hashlib.sha256(b"\1" + layer[at] + layer[at + 1]).digest() for at in range(0, len(layer) - 1, 2)
        ]
        layer = pairs + ([layer[-1]] if len(layer) % 2 else [])
    return layer[0]


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    """RFC 6962, section 2.1."""
    assert tree.root_of([]) == hashlib.sha256(b"").digest()


def test_a_leaf_is_never_a_node() -> None:
    """The first byte keeps them apart."""
    left, right = leaves(2)
    assert tree.leaf_hash(left + right) != tree.node_hash(left, right)


@pytest.mark.parametrize("size", SIZES)
def test_the_root_is_that_of_a_naive_tree(size: int) -> None:
    """Splitting from the top and pairing from the bottom agree."""
    assert tree.root_of(leaves(size)) == naive_root(leaves(size))


@pytest.mark.parametrize("size", SIZES)
def test_every_path_leads_to_the_root_and_no_other_index_fits(size: int) -> None:
    """A path proves one leaf at one place."""
    hashes = leaves(size)
    root, paths = tree.root_and_paths(hashes)
    assert root == tree.root_of(hashes)
    for index, path in enumerate(paths):
        assert path == tree.inclusion_path(index, hashes)
        assert tree.root_from_path(hashes[index], index, size, path) == root
    if size > 1:
        assert implied(hashes[0], 1, size, paths[0]) != root


def implied(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    try:
        return tree.root_from_path(leaf, index, size, path)
    except FormatError:
        return None


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9])
def test_a_path_of_another_length_is_refused(size: int) -> None:
    """Neither one hash more nor one less."""
    hashes = leaves(size)
    for index in range(size):
        path = tree.inclusion_path(index, hashes)
        with pytest.raises(FormatError, match="too long"):
            tree.root_from_path(hashes[index], index, size, (*path, bytes(32)))
        if path:
            with pytest.raises(FormatError, match="too short"):
                tree.root_from_path(hashes[index], index, size, path[:-1])


@pytest.mark.parametrize(("index", "size"), [(-1, 1), (1, 1), (0, 0), (5, 5), (2**40, 3)])
def test_an_index_outside_the_tree_is_refused(index: int, size: int) -> None:
    """There is nothing to prove there."""
    with pytest.raises(FormatError, match="outside"):
        tree.root_from_path(bytes(32), index, size, ())
    with pytest.raises(FormatError, match="outside"):
        tree.inclusion_path(index, leaves(min(size, 5)))


def test_an_empty_tree_has_no_paths() -> None:
    """There is no batch of none."""
    with pytest.raises(FormatError):
        tree.root_and_paths([])


def naive_proof(old: int, hashes: Sequence[bytes], complete: bool = True) -> list[bytes]:
    """Follow the words of RFC 9162, section 2.1.4.1: SUBPROOF(m, D_n, b)."""
    if old == len(hashes):
        return [] if complete else [naive_root(hashes)]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    if old <= split:
        return [*naive_proof(old, hashes[:split], complete), naive_root(hashes[split:])]
    return [*naive_proof(old - split, hashes[split:], False), naive_root(hashes[:split])]


def consistent(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    try:
        tree.verify_consistency(old, old_root, new, new_root, proof)
    except FormatError:
        return False
    return True


@pytest.mark.parametrize("size", SIZES)
def test_every_smaller_tree_is_proved_to_be_the_larger_ones_beginning(size: int) -> None:
    """By the proof of the RFC, and by none that is longer, shorter or for another size."""
    hashes = leaves(size)
    root = tree.root_of(hashes)
    for old in range(1, size + 1):
        proof = tree.consistency_proof(old, hashes)
        old_root = tree.root_of(hashes[:old])
        assert list(proof) == naive_proof(old, hashes)
        assert consistent(old, old_root, size, root, proof)
        assert not consistent(old, old_root, size, root, (*proof, bytes(32)))
        assert not (proof and consistent(old, old_root, size, root, proof[:-1]))
        assert not consistent(old, bytes(32), size, root, proof)
        assert not consistent(old, old_root, size, bytes(32), proof)
        assert not (old < size and consistent(old + 1, old_root, size, root, proof))


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 5), (-1, 5), (6, 5)])
def test_there_is_no_consistency_proof_from_nothing_or_backwards(old: int, new: int) -> None:
    """That any tree continues the empty one must be said where it is accepted."""
    with pytest.raises(FormatError, match="no consistency proof"):
        tree.consistency_proof(old, leaves(new))
    with pytest.raises(FormatError, match="no consistency proof"):
        tree.verify_consistency(old, tree.root_of([]), new, tree.root_of(leaves(new)), ())


@pytest.mark.parametrize(("index", "size"), [(-1, 1), (1, 1), (0, 0)])
def test_a_reader_of_subtrees_is_not_asked_for_what_is_outside(index: int, size: int) -> None:
    """The same refusal as over leaves."""
    with pytest.raises(FormatError, match="outside"):
        tree.inclusion_path_by(index, size, lambda _level, _number: bytes(32))


def outside_cases(name: str) -> list[Any]:
    path = OUTSIDE / name
    if not path.exists():
        why = f"the outside vectors merkle/{name} are not beside this repository"
        return [pytest.param(None, marks=pytest.mark.skip(reason=why))]
    return [pytest.param(case, id=case["name"]) for case in json.loads(path.read_text())]


@pytest.mark.parametrize("case", outside_cases("inclusion.json"))
def test_inclusion_vectors_of_others_are_judged_as_they_say(case: dict[str, Any]) -> None:
    """Those of transparency-dev/merkle, good and bad."""
    path = [base64.standard_b64decode(sibling) for sibling in case["proof"] or ()]
    leaf, root = (base64.standard_b64decode(case[name] or "") for name in ("leafHash", "root"))
    found = implied(leaf, case["leafIdx"], case["treeSize"], path)
    # That a hash has 32 bytes is asked for where it is decoded: protocol.fields.Bytes32.
    assert (found == root and len(leaf) == 32) != case["wantErr"]


@pytest.mark.parametrize("case", outside_cases("consistency.json"))
def test_consistency_vectors_of_others_are_judged_as_they_say(case: dict[str, Any]) -> None:
    """Those of transparency-dev/merkle, good and bad."""
    proof = [base64.standard_b64decode(one) for one in case["proof"] or ()]
    old, new = (base64.standard_b64decode(case[name] or "") for name in ("root1", "root2"))
    found = consistent(case["size1"], old, case["size2"], new, proof)
    assert found != case["wantErr"]
