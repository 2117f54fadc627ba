"""Tiles and entries: the specification's own examples, readers of subtrees, and what is refused."""

from __future__ import annotations

from collections import Counter

import pytest

from protocol import tree
from protocol.errors import FormatError, TooLarge
from protocol.ledger.frontier import Frontier
from protocol.ledger.tiles import (
    Tile,
    TileHashes,
    encode_entries,
    entries_path,
    join_hashes,
    new_tiles,
    number_path,
    parse_entries,
    parse_entries_path,
    parse_number_path,
    parse_tile_path,
    split_hashes,
    tile_root,
    tiles_of,
    width_at,
)

SIZES = [1, 2, 3, 255, 256, 257, 511, 512, 600, 65_535, 65_536, 65_537, 70_000]
LEAVES = [tree.leaf_hash(number.to_bytes(3, "big")) for number in range(70_000)]


def stored(size: int, since: int = 0, store: dict[Tile, bytes] | None = None) -> dict[Tile, bytes]:
    """Write the tiles by which a tree grows, each level from the one below, as a log does."""
    tiles = {} if store is None else store
    for tile in new_tiles(since, size):
        first = tile.number * 256
        if tile.level == 0:
            hashes = LEAVES[first : first + tile.width]
        else:
            hashes = [tile_root(tiles[Tile(tile.level - 1, first + at)]) for at in range(tile.width)]
        tiles[tile] = join_hashes(hashes)
    return tiles


@pytest.mark.parametrize(
    ("number", "path"),
    [(0, "000"), (7, "007"), (999, "999"), (1000, "x001/000"), (1234067, "x001/x234/067")],
)
def test_a_number_is_spelled_in_elements_of_three_digits(number: int, path: str) -> None:
    """C2SP tlog-tiles: 1234067 is x001/x234/067."""
    assert number_path(number) == path
    assert parse_number_path(path) == number


def test_a_tree_of_seventy_thousand_has_the_tiles_of_the_specification() -> None:
    """C2SP tlog-tiles: 273 and one of width 112, one and one of 17, one of 1."""
    counted = Counter((tile.level, tile.width) for tile in tiles_of(70_000))
    assert counted == {(0, 256): 273, (0, 112): 1, (1, 256): 1, (1, 17): 1, (2, 1): 1}
    assert [tile.path for tile in tiles_of(256)] == ["tile/0/000", "tile/1/000.p/1"]


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(1, 1, 17), "tile/1/001.p/17"),
        (Tile(63, 0, 1), "tile/63/000.p/1"),
    ],
)
def test_a_tile_has_one_path(tile: Tile, path: str) -> None:
    """C2SP tlog-tiles: level, number, and the width if it is partial."""
    assert tile.path == path
    assert parse_tile_path(path) == tile


def test_a_file_of_entries_has_the_path_of_its_tile() -> None:
    """C2SP tlog-tiles: with the word entries in the place of the level."""
    assert entries_path(1234067) == "tile/entries/x001/x234/067"
    assert parse_entries_path(entries_path(273, 112)) == (273, 112)


@pytest.mark.parametrize(
    "bad",
    [
        *("", "tile", "tile/0", "tile/0/", "tile//000", "/tile/0/000", "tiles/0/000", "tile/0/000/"),
        *("tile/00/000", "tile/-1/000", "tile/64/000", "tile/a/000", "tile/+1/000"),
        *("tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/x000", "tile/0/x000/000", "tile/0/001/000"),
        *(
            "tile/0/x001/x000",
            "tile/0/x1/000",
            "tile/0/x001//000",
            "tile/0/../000",
            "tile/0/\u0660\u0660\u0660",
        ),
        *(
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/",
            "tile/0/000.p",
            "tile/0/000.p/1/2",
        ),
        *("tile/0/000.p/1.p/1", "tile/0/000 ", "tile/0/000\n", "tile/0/000%00"),
        "tile/0/x999/x999/x999/x999/x999/x999/999",
    ],
)
def test_a_path_in_any_other_spelling_is_refused(bad: str) -> None:
    """One tile, one path; and none that leads out of the folder."""
    with pytest.raises(FormatError):
        parse_tile_path(bad)
    with pytest.raises(FormatError):
        parse_entries_path(bad.replace("tile/0/", "tile/entries/"))


def test_a_tile_outside_the_bounds_is_refused() -> None:
    """Where it is made, not only where it is read."""
    for bad in ((-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 2**55, 1), (0, 0, 0), (0, 0, 257)):
        with pytest.raises(FormatError):
            Tile(*bad)


@pytest.mark.parametrize("size", SIZES)
def test_root_paths_and_proofs_from_tiles_are_those_of_the_leaves(size: int) -> None:
    """Nobody needs all leaves to prove one."""
    reader = TileHashes(stored(size).__getitem__, size)
    root = Frontier().extend(LEAVES[:size]).root
    assert tree.root_by(size, reader.subtree) == root == Frontier.read(size, reader.subtree).root
    for index in {0, size // 2, size - 1}:
        path = tree.inclusion_path_by(index, size, reader.subtree)
        assert tree.root_from_path(LEAVES[index], index, size, path) == root
    for old in {1, size // 2 + 1, size}:
        proof = tree.consistency_proof_by(old, size, reader.subtree)
        tree.verify_consistency(old, tree.root_of(LEAVES[:old]), size, root, proof)


def test_growing_writes_exactly_the_tiles_that_are_new() -> None:
    """No tile is written twice, and none of the larger tree is missing."""
    tiles: dict[Tile, bytes] = {}
    for old, new in zip([0, *SIZES], SIZES, strict=False):
        fresh = list(new_tiles(old, new))
        assert not set(fresh) & set(tiles)
        assert set(fresh) == set(tiles_of(new)) - set(tiles_of(old))
        stored(new, old, tiles)
        assert {tile: tiles[tile] for tile in tiles_of(new)} == stored(new)
    assert list(new_tiles(70_000, 70_000)) == []


def test_the_width_of_a_tile_follows_from_the_size() -> None:
    """C2SP tlog-tiles: floor(s / 256**l) mod 256 in the last one."""
    assert [width_at(0, number, 70_000) for number in (0, 272, 273, 274)] == [256, 256, 112, 0]
    assert [width_at(level, 0, 70_000) for level in (1, 2, 3)] == [256, 1, 0]
    assert width_at(1, 1, 70_000) == 17


def test_a_reader_reads_each_tile_once() -> None:
    """A thousand proofs cost as many reads as there are tiles."""
    tiles, reads = stored(600), Counter[Tile]()

    def read(tile: Tile) -> bytes:
        reads[tile] += 1
        return tiles[tile]

    reader = TileHashes(read, 600)
    for index in range(600):
        tree.inclusion_path_by(index, 600, reader.subtree)
    assert set(reads.values()) == {1}


def test_a_reader_holds_few_tiles_whatever_the_log() -> None:
    """Memory is bounded: what was read long ago is read again."""
    tiles, reads = stored(70_000), Counter[Tile]()

    def read(tile: Tile) -> bytes:
        reads[tile] += 1
        return tiles[tile]

    reader = TileHashes(read, 70_000)
    for number in (*range(273), 0):
        assert reader.subtree(8, number) == tile_root(tiles[Tile(0, number)])
        reader.subtree(0, number * 256)
    assert reads[Tile(0, 0)] == 2


def test_a_tile_of_another_length_is_refused() -> None:
    """Neither a truncated nor an overlong file is read."""
    for data in (bytes(31), bytes(33), bytes(64), b""):
        with pytest.raises(FormatError):
            split_hashes(data, 1)
        reader = TileHashes(lambda _, wrong=data: wrong, 1)  # type: ignore[misc]
        with pytest.raises(FormatError):
            reader.subtree(0, 0)


@pytest.mark.parametrize(("level", "number"), [(0, 3), (1, 1), (2, 0), (-1, 0), (0, -1), (64, 0)])
def test_a_subtree_that_the_tree_has_not_is_refused(level: int, number: int) -> None:
    """Only complete subtrees have a lasting hash."""
    with pytest.raises(FormatError):
        TileHashes(stored(3).__getitem__, 3).subtree(level, number)


def test_entries_survive_their_file() -> None:
    """C2SP tlog-tiles: each behind its length in two bytes."""
    assert encode_entries([b"one", b""]) == b"\x00\x03one\x00\x00"
    entries = [bytes([number]) * number for number in range(256)]
    assert parse_entries(encode_entries(entries), 256) == entries


@pytest.mark.parametrize(
    ("data", "width"),
    [
        (b"", 1),
        (b"\x00", 1),
        (b"\x00\x03on", 1),
        (b"\x00\x03one", 2),
        (b"\x00\x03one\x00", 1),
        (b"\x00\x03one\x00\x00", 1),
        (b"\x00\x03one\x00", 2),
    ],
)
def test_a_file_of_entries_holds_exactly_as_many_as_its_name_says(data: bytes, width: int) -> None:
    """Neither cut off nor longer."""
    with pytest.raises(FormatError):
        parse_entries(data, width)


def test_a_file_of_entries_is_never_written_empty_or_overlong() -> None:
    """1 to 256 entries of at most 65535 bytes."""
    for bad in ([], [b""] * 257, [bytes(65536)]):
        with pytest.raises((FormatError, TooLarge)):
            encode_entries(bad)
