"""The public Go code of the checksum database opens our checkpoints and checks our proofs and tiles.

The Go program is in ``go/``; it needs the package golang.org/x/mod, in Debian
``golang-golang-x-mod-dev``. It is built without any network.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from keys.note_keys import verify_signature
from protocol.ledger.checkpoint import parse_checkpoint
from protocol.ledger.note import parse_vkey
from protocol.ledger.proof import format_proof
from protocol.ledger.tiles import TILE_WIDTH, Tile, new_tiles, parse_tile_path
from protocol.ledger.witness import format_add_checkpoint
from tests.acceptance.golang import build
from tests.vectors import ledgers

SOURCE = Path(__file__).resolve().parent / "go"
PACKAGE = Path("src/golang.org/x/mod/sumdb/note")
DEBIAN = Path("/usr/share/gocode")
LEAF = 77

Go = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def go(tmp_path_factory: pytest.TempPathFactory) -> Go:
    """Build the reader, and return a function that runs it."""
    gopath = Path(os.environ.get("GOPATH", DEBIAN))
    if not (gopath / PACKAGE).is_dir():
        pytest.skip("golang.org/x/mod is not installed (Debian: golang-golang-x-mod-dev)")
    built = build(SOURCE, tmp_path_factory.mktemp("go"), {"GO111MODULE": "off", "GOPATH": str(gopath)})

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([built, *arguments], capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log as files: what it serves, and what it hands out."""
    files = {
        "log.vkey": f"{ledgers.log_keys()[0]}".encode(),
        "witnesses.vkeys": " ".join(str(ledgers.witness_keys(s)[0]) for s in ledgers.STATE_CODES).encode(),
        "mldsa44.vkeys": " ".join(
            str(keys[1]) for keys in (ledgers.log_keys(), *map(ledgers.witness_keys, ledgers.STATE_CODES))
        ).encode(),
        "old-checkpoint.txt": ledgers.signed(ledgers.OLD).data,
        "checkpoint.txt": ledgers.cosigned(ledgers.SIZE).data,
        "request.txt": format_add_checkpoint(ledgers.request()),
        "leaf.tlog-proof": format_proof(ledgers.proof(LEAF)).encode(),
        "leaf.bin": ledgers.leaves()[LEAF].encode(),
        **{tile.path: data for tile, data in ledgers.tiles().items()},
        **ledgers.entries(),
    }
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def test_go_accepts_our_log(go: Go, log: Path) -> None:
    """Checkpoint, Ed25519 cosignatures, inclusion, consistency, every tile and every entry."""
    result = go("check", str(log))
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "cosigned by 3 witnesses",
        "leaf 77 is in the tree of 300",
        "the tree of 300 begins with that of 200",
        "300 entries are under the root",
    ]


def test_go_verifies_our_mldsa44_signatures(go: Go, log: Path) -> None:
    """The log's own and three witnesses', with a library that is not the one they were made with."""
    result = go("mldsa", str(log))
    assert result.returncode == 0, result.stderr
    assert result.stdout == "4 ML-DSA-44 signatures verify\n"
    data = (log / "checkpoint.txt").read_bytes()
    (log / "checkpoint.txt").write_bytes(data.replace(b"\n300\n", b"\n301\n"))
    assert go("mldsa", str(log)).returncode == 1


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("checkpoint.txt", 30),  # a digit of the size
        ("checkpoint.txt", 120),  # the log's Ed25519 signature
        ("old-checkpoint.txt", 40),
        ("leaf.tlog-proof", 40),
        ("leaf.bin", 20),
        ("request.txt", 20),
        ("tile/0/000", 77 * 32),
        ("tile/0/001.p/44", 0),
        ("tile/1/000.p/1", 31),
        ("tile/entries/000", 77 * 44 + 10),
    ],
)
def test_go_refuses_our_log_with_one_byte_changed(go: Go, log: Path, name: str, place: int) -> None:
    """Its yes means something: it is no reader that says yes to everything."""
    data = bytearray((log / name).read_bytes())
    data[place] ^= 0x03
    (log / name).write_bytes(data)
    assert go("check", str(log)).returncode == 1


@pytest.mark.parametrize(
    ("old", "new"), [(0, 1), (0, 256), (1, 255), (200, 300), (255, 257), (60_000, 70_000), (0, 70_000)]
)
def test_go_writes_the_tiles_that_we_write(go: Go, old: int, new: int) -> None:
    """Go also writes the partial tiles of the sizes between, which no checkpoint names."""
    theirs = {parse_tile_path(path) for path in go("tiles", str(old), str(new)).stdout.split()}
    ours = set(new_tiles(old, new))
    assert ours <= theirs
    assert {tile for tile in theirs if tile.width == TILE_WIDTH} <= ours
    widest: dict[tuple[int, int], int] = {}
    for tile in theirs:
        place = (tile.level, tile.number)
        widest[place] = max(tile.width, widest.get(place, 0))
    grown = {Tile(level, number, width) for (level, number), width in widest.items()}
    assert ours == {tile for tile in grown if (old >> 8 * tile.level) != (new >> 8 * tile.level)}


def test_we_accept_what_go_signs(go: Go) -> None:
    """A checkpoint and a verifier key made by the other side."""
    vkey, _, data = go("sign", "hub.example/ack").stdout.partition("\n")
    signed = parse_checkpoint(data.encode())
    assert (signed.checkpoint.origin, signed.checkpoint.size) == ("hub.example/ack", 1)
    key = parse_vkey(vkey)
    assert str(key) == vkey
    assert verify_signature(key, signed.checkpoint, signed.note.signatures[0]) == 0
