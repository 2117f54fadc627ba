"""The ledger's formats, for any change of any byte: refused, or something else than it was."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import tree
from protocol.errors import FormatError
from protocol.ledger.checkpoint import Checkpoint, parse_checkpoint, sign_with
from protocol.ledger.frontier import Frontier
from protocol.ledger.leaf import (
    DocumentLeaf,
    DocumentType,
    Leaf,
    parse_document_leaf,
    parse_leaf,
)
from protocol.ledger.note import (
    NoteSignature,
    SignatureType,
    VerifierKey,
    parse_note,
    parse_signature_lines,
    parse_vkey,
)
from protocol.ledger.pack import encode_pack, iter_pack
from protocol.ledger.policy import format_policy, parse_policy
from protocol.ledger.proof import TlogProof, format_proof, parse_proof
from protocol.ledger.tiles import (
    Tile,
    TileHashes,
    encode_entries,
    join_hashes,
    new_tiles,
    number_path,
    parse_entries,
    parse_number_path,
    parse_tile_path,
    tile_root,
)
from protocol.ledger.witness import AddCheckpoint, format_add_checkpoint, parse_add_checkpoint
from protocol.statement import StatementKind

calm = settings(deadline=None, max_examples=200)


def hashed(number: int) -> bytes:
    return tree.leaf_hash(number.to_bytes(8, "big"))


LEAVES = [hashed(number) for number in range(1200)]
KEY = VerifierKey("w.example", SignatureType.COSIGNATURE_ED25519, hashed(0))
SIGNED = sign_with(
    Checkpoint("hub.example/ack", 1234, hashed(1)),
    [
        NoteSignature("hub.example/ack", b"\0\1\2\3", hashlib.shake_256(b"log").digest(64)),
        NoteSignature("w.example", b"\4\5\6\7", hashlib.shake_256(b"witness").digest(72)),
    ],
)
PATH = tuple(hashed(number) for number in range(11))
POLICY = (
    f"log {VerifierKey('hub.example/ack', SignatureType.ED25519, hashed(2))}\n"
    f"witness A {KEY}\ngroup G all A\nquorum G\n"
)


def text(read: Callable[[str], Any]) -> Callable[[bytes], Any]:
    """Return a reader of bytes from a reader of text; what is no UTF-8 never reaches that one."""

    def reading(data: bytes) -> Any:
        try:
            return read(data.decode())
        except UnicodeDecodeError as error:
            raise FormatError("no UTF-8") from error

    return reading


FORMATS: dict[str, tuple[bytes, Callable[[bytes], Any], Callable[[Any], bytes]]] = {
    "note": (SIGNED.data, parse_note, lambda note: note.encode()),
    "checkpoint": (SIGNED.data, parse_checkpoint, lambda signed: signed.data),
    "vkey": (str(KEY).encode(), text(parse_vkey), lambda key: str(key).encode()),
    "proof": (
        format_proof(TlogProof(77, PATH, SIGNED.data, b"extra")).encode(),
        text(parse_proof),
        lambda proof: format_proof(proof).encode(),
    ),
    "request": (
        format_add_checkpoint(AddCheckpoint(1000, PATH, SIGNED.data)),
        parse_add_checkpoint,
        format_add_checkpoint,
    ),
    "tile path": (b"tile/1/x001/234.p/17", text(parse_tile_path), lambda tile: tile.path.encode()),
    "leaf": (Leaf(StatementKind.RECEIVED, 2**40, hashed(3)).encode(), parse_leaf, Leaf.encode),
    "document leaf": (
        DocumentLeaf(DocumentType.MANIFEST, 2**40, "XAA", 7, hashed(4)).encode(),
        parse_document_leaf,
        DocumentLeaf.encode,
    ),
    "entries": (encode_entries([b"one", b"two", b""]), lambda data: parse_entries(data, 3), encode_entries),
    "pack": (
        encode_pack([(1, b"one"), (9, b"nine")]),
        lambda data: list(iter_pack(data, 100)),
        encode_pack,
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_one_spelling(name: str) -> None:
    """What is read is written again byte for byte."""
    good, read, write = FORMATS[name]
    assert write(read(good)) == good


@pytest.mark.parametrize("name", FORMATS)
def test_a_changed_byte_is_refused_or_says_something_else(name: str) -> None:
    """Every byte, with bits that turn letters into letters and into what is no text at all."""
    good, read, write = FORMATS[name]
    meant = read(good)
    for place in range(len(good)):
        for flip in (0x01, 0x02, 0x10, 0x20, 0x80):
            changed = bytearray(good)
            changed[place] ^= flip
            try:
                found = read(bytes(changed))
            except FormatError:
                continue
            assert found != meant
            assert write(found) == bytes(changed)


@pytest.mark.parametrize("name", FORMATS)
@calm
@given(data=st.data())
def test_a_cut_grown_or_spliced_text_is_refused_or_says_something_else(
    name: str, data: st.DataObject
) -> None:
    """Bytes taken out, put in or doubled anywhere never pass for what was written."""
    good, read, write = FORMATS[name]
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, len(good)))
    put = data.draw(
        st.one_of(st.just(good[start:end] * 2), st.binary(max_size=4), st.sampled_from([b"\n", b" ", b"="]))
    )
    changed = good[:start] + put + good[end:]
    try:
        found = read(changed)
    except FormatError:
        return
    assert (found == read(good)) == (changed == good)
    assert write(found) == changed


@pytest.mark.parametrize("name", FORMATS)
@calm
@given(data=st.binary(max_size=300))
def test_any_bytes_at_all_end_in_a_value_or_a_format_error(name: str, data: bytes) -> None:
    """Nothing else is ever raised at a reader of strangers' files."""
    _, read, write = FORMATS[name]
    try:
        found = read(data)
    except FormatError:
        return
    assert write(found) == data


@calm
@given(place=st.integers(0, len(POLICY) - 1), put=st.characters())
def test_a_changed_policy_is_refused_or_means_what_its_own_spelling_means(place: int, put: str) -> None:
    """A policy has many spellings; what one means is what its canonical one means."""
    changed = POLICY[:place] + put + POLICY[place + 1 :]
    try:
        found = parse_policy(changed)
    except FormatError:
        return
    assert parse_policy(format_policy(found)) == found


def test_a_changed_byte_of_a_policy_is_refused_or_means_something_else() -> None:
    """No name, key or threshold is read past."""
    meant = parse_policy(POLICY)
    for place in range(len(POLICY)):
        for flip in (0x01, 0x02, 0x10, 0x20):
            changed = POLICY[:place] + chr(ord(POLICY[place]) ^ flip) + POLICY[place + 1 :]
            try:
                assert parse_policy(changed) != meant
            except FormatError:
                continue


@pytest.mark.parametrize(
    "read", [parse_vkey, parse_policy, parse_proof, parse_tile_path, parse_signature_lines]
)
@calm
@given(start=st.integers(0, 60), put=st.text(st.characters(), max_size=20))
def test_any_text_at_all_ends_in_a_value_or_a_format_error(
    read: Callable[[str], Any], start: int, put: str
) -> None:
    """Text out of JSON may hold what no UTF-8 can: halves of characters."""
    good = {parse_vkey: str(KEY), parse_policy: POLICY, parse_tile_path: "tile/1/x001/234.p/17"}
    for one in (put, good.get(read, SIGNED.note.signatures[0].line)[:start] + put):
        with contextlib.suppress(FormatError):
            read(one)


@calm
@given(number=st.integers(0, 2**55 - 1), level=st.integers(0, 63), width=st.integers(1, 256))
def test_every_tile_survives_its_path(number: int, level: int, width: int) -> None:
    """Whatever its number."""
    assert parse_number_path(number_path(number)) == number
    assert parse_tile_path(Tile(level, number, width).path) == Tile(level, number, width)


@calm
@given(size=st.integers(0, 1200), cut=st.integers(0, 1200))
def test_the_frontiers_root_is_the_trees(size: int, cut: int) -> None:
    """However the leaves came."""
    first = Frontier().extend(LEAVES[: min(size, cut)])
    assert first.extend(LEAVES[min(size, cut) : size]).root == tree.root_of(LEAVES[:size])


def tiles_of_leaves() -> dict[Tile, bytes]:
    """Return all tiles that a log writes which signs every size from 0 to 1200."""
    tiles: dict[Tile, bytes] = {}
    for size in range(1, len(LEAVES) + 1):
        for tile in new_tiles(size - 1, size):
            first = tile.number * 256
            below = LEAVES if tile.level == 0 else None
            hashes = (
                below[first : first + tile.width]
                if below
                else [tile_root(tiles[Tile(tile.level - 1, first + at)]) for at in range(tile.width)]
            )
            tiles[tile] = join_hashes(hashes)
    return tiles


TILES = tiles_of_leaves()


@calm
@given(data=st.data(), size=st.integers(1, 1200))
def test_what_tiles_prove_is_what_leaves_prove(data: st.DataObject, size: int) -> None:
    """Root, inclusion and consistency, at every size that was ever signed."""
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    subtree = TileHashes(TILES.__getitem__, size).subtree
    leaves = LEAVES[:size]
    assert tree.root_by(size, subtree) == tree.root_of(leaves)
    assert tree.inclusion_path_by(index, size, subtree) == tree.inclusion_path(index, leaves)
    assert tree.consistency_proof_by(old, size, subtree) == tree.consistency_proof(old, leaves)


@calm
@given(data=st.data(), new=st.integers(2, 300))
def test_a_consistency_proof_proves_one_thing(data: st.DataObject, new: int) -> None:
    """Not with a hash changed, dropped, added or moved, nor for other sizes or roots."""
    old = data.draw(st.integers(1, new - 1))
    roots = [tree.root_of(LEAVES[:old]), tree.root_of(LEAVES[:new])]
    proof = list(tree.consistency_proof(old, LEAVES[:new]))
    tree.verify_consistency(old, roots[0], new, roots[1], proof)
    place = data.draw(st.integers(0, len(proof) - 1))
    byte, flip = data.draw(st.integers(0, 31)), data.draw(st.integers(1, 255))
    wrong = bytearray(proof[place])
    wrong[byte] ^= flip
    other = bytearray(roots[0])
    other[byte] ^= flip
    changed = [*proof[:place], bytes(wrong), *proof[place + 1 :]]
    for sizes, ends, steps in (
        ((old, new), roots, changed),
        ((old, new), roots, proof[:place] + proof[place + 1 :]),
        ((old, new), roots, [*proof[:place], bytes(32), *proof[place:]]),
        ((old, new), [bytes(other), roots[1]], proof),
        ((old, new), [roots[0], bytes(other)], proof),
        ((old, new), roots[::-1], proof),
        ((new, old), roots, proof),
    ):
        with pytest.raises(FormatError):
            tree.verify_consistency(sizes[0], ends[0], sizes[1], ends[1], steps)
