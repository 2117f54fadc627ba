"""The ledger's vectors: made again, believed from the files alone, and refused where they must be."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from keys.note_keys import NoteSecret, verify_signature
from protocol import tree
from protocol.errors import FormatError
from protocol.ledger.checkpoint import SignedCheckpoint, parse_checkpoint
from protocol.ledger.leaf import leaf_digest, parse_document_leaf, parse_leaf
from protocol.ledger.note import parse_signature_lines, parse_vkey
from protocol.ledger.pack import iter_pack
from protocol.ledger.policy import parse_policy
from protocol.ledger.proof import parse_proof
from protocol.ledger.tiles import TileHashes, entries_path, parse_entries, parse_tile_path, tiles_of
from protocol.ledger.witness import parse_add_checkpoint, parse_size
from tests.vectors import make_ledger
from tests.vectors.make import HERE
from tests.vectors.world import COMMUNITY

FOLDER = HERE / "ledger"
POLICY = parse_policy((FOLDER / "policy.txt").read_text("utf-8"))

READERS: dict[str, Callable[[str], Any]] = {
    "checkpoint": lambda text: parse_checkpoint(text.encode()),
    "proof": parse_proof,
    "request": lambda text: parse_add_checkpoint(text.encode()),
    "size": lambda text: parse_size(text.encode()),
    "tile path": parse_tile_path,
    "vkey": parse_vkey,
    "policy": parse_policy,
}


def loaded(name: str) -> Any:
    return json.loads((FOLDER / name).read_text("utf-8"))


def under(name: str) -> SignedCheckpoint:
    """Return a checkpoint of the folder, signed with both keys of the log."""
    signed = parse_checkpoint((FOLDER / name).read_bytes())
    for log in POLICY.logs:
        assert log.key.name == signed.checkpoint.origin
        [line] = [one for one in signed.note.signatures if one.is_by(log.key)]
        verify_signature(log.key, signed.checkpoint, line)
    return signed


def cosigners(signed: SignedCheckpoint) -> set[str]:
    """Return the names, within the policy, of the witness keys that cosigned."""
    lines = signed.note.signatures
    by = [(one.name, one.key, line) for one in POLICY.witnesses for line in lines if line.is_by(one.key)]
    assert all(verify_signature(key, signed.checkpoint, line) for _, key, line in by)
    return {name for name, _, _ in by}


def test_the_files_are_what_the_generator_writes() -> None:
    """A vector is changed by changing the generator, in view of a reviewer."""
    assert {path.name: path.read_text("utf-8") for path in FOLDER.iterdir()} == make_ledger.files()


def test_the_keys_of_the_policy_follow_from_the_seeds() -> None:
    """Seed to public key, for both algorithms."""
    made = {
        (one["name"], public)
        for one in loaded("seeds.json")["witnesses"].values()
        for held in [NoteSecret.from_seed(bytes.fromhex(one["seed"]))]
        for public in (held.ed25519, held.mldsa44)
    }
    assert {(one.key.name, one.key.public) for one in POLICY.witnesses} == made


def test_the_cosigned_checkpoint_has_a_quorum_and_the_plain_one_has_not() -> None:
    """Three of four states, each with both keys; no state counts with one."""
    both = cosigners(under("checkpoint-300.txt"))
    assert len(both) == 6
    assert POLICY.is_met(both)
    assert not POLICY.is_met(both - {"XBB/mldsa44"})
    assert not POLICY.is_met(cosigners(under("checkpoint-200.txt")))


@pytest.mark.parametrize("index", make_ledger.PROVEN)
def test_a_proof_leads_from_the_leaf_to_the_cosigned_root(index: int) -> None:
    """The leaf from its object, the path from the file, the root from the checkpoint in it."""
    proof = parse_proof((FOLDER / f"leaf-{index}.tlog-proof").read_text("utf-8"))
    assert proof.checkpoint == (FOLDER / "checkpoint-300.txt").read_bytes()
    [row] = [one for one in loaded("leaves.json")["statements"] if one["index"] == index == proof.index]
    root = parse_checkpoint(proof.checkpoint).checkpoint.root
    assert tree.root_from_path(bytes.fromhex(row["leaf_hash"]), index, 300, proof.path) == root


def test_a_leaf_follows_from_its_object() -> None:
    """Of both logs."""
    rows = loaded("leaves.json")
    for row in rows["statements"]:
        leaf = parse_leaf(bytes.fromhex(row["leaf"]))
        assert (leaf.type, leaf.at_ms) == (row["kind"], row["at_ms"])
        assert leaf.digest == leaf_digest(bytes.fromhex(row["object"]))
    for row, document in zip(rows["documents"], COMMUNITY["documents"], strict=True):
        found = parse_document_leaf(bytes.fromhex(row["leaf"]))
        assert (found.at_ms, found.state, found.version) == (row["at_ms"], row["state"], row["version"])
        assert found.digest == leaf_digest(bytes.fromhex(document))
    for row in rows["statements"] + rows["documents"]:
        assert tree.leaf_hash(bytes.fromhex(row["leaf"])).hex() == row["leaf_hash"]


def test_the_request_is_consistent_with_the_older_checkpoint() -> None:
    """What a witness checks before it answers with its two lines."""
    request = parse_add_checkpoint((FOLDER / "request.txt").read_bytes())
    old, new = under("checkpoint-200.txt").checkpoint, parse_checkpoint(request.checkpoint).checkpoint
    assert request.old == old.size
    tree.verify_consistency(old.size, old.root, new.size, new.root, request.proof)
    lines = parse_signature_lines((FOLDER / "answer-of-XAA.txt").read_text("utf-8"))
    keys = {one.name: one.key for one in POLICY.witnesses}
    for line, name in zip(lines, ("XAA/ed25519", "XAA/mldsa44"), strict=True):
        verify_signature(keys[name], new, line)


@pytest.mark.parametrize("size", [200, 300])
def test_tiles_and_entries_are_under_the_root(size: int) -> None:
    """Every tile of the size is there, and every entry hashes to its place."""
    files = {path: bytes.fromhex(data) for path, data in loaded("tiles.json").items()}
    reader = TileHashes(lambda tile: files[tile.path], size)
    assert tree.root_by(size, reader.subtree) == under(f"checkpoint-{size}.txt").checkpoint.root
    for tile in (tile for tile in tiles_of(size) if tile.level == 0):
        entries = parse_entries(files[entries_path(tile.number, tile.width)], tile.width)
        hashes = [reader.subtree(0, tile.number * 256 + at) for at in range(tile.width)]
        assert [tree.leaf_hash(entry) for entry in entries] == hashes


def test_the_pack_gives_its_records() -> None:
    """With the gap that it has."""
    content = loaded("pack.json")
    records = [(one["index"], bytes.fromhex(one["object"])) for one in content["records"]]
    assert list(iter_pack(bytes.fromhex(content["pack"]), 100)) == records


@pytest.mark.parametrize("case", loaded("refused.json"), ids=lambda case: f"{case['reader']}, {case['why']}")
def test_a_text_that_must_be_refused_is(case: dict[str, str]) -> None:
    """For any reader, in any language."""
    with pytest.raises(FormatError):
        READERS[case["reader"]](case["text"])


def test_what_must_be_refused_is_one_change_away_from_what_is_read() -> None:
    """Otherwise the refusal could have another reason than the one it states."""
    readers = {case["reader"] for case in loaded("refused.json")}
    assert readers == set(READERS)
    texts = [case["text"] for case in loaded("refused.json")]
    assert len(set(texts)) == len(texts)
