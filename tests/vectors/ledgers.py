"""A small log and its witnesses, from fixed seeds: for the pages, the vectors, and the programs of others.

Three hundred leaves: the receipt of the statement's page, then leaves of objects that are only
bytes. Four states are witnesses; three have cosigned, which is a quorum.
"""

from __future__ import annotations

from functools import lru_cache

from keys.note_keys import NoteSecret
from keys.quorum import STATES, quorum_size
from protocol import tree
from protocol.ledger.checkpoint import Checkpoint, SignedCheckpoint, sign_with
from protocol.ledger.frontier import Frontier
from protocol.ledger.leaf import Leaf, statement_leaf
from protocol.ledger.note import NoteSignature, SignatureType, VerifierKey, parse_signature_lines
from protocol.ledger.origins import Log, origin
from protocol.ledger.policy import Policy, PolicyGroup, PolicyLog, PolicyWitness
from protocol.ledger.proof import TlogProof
from protocol.ledger.tiles import (
    TILE_WIDTH,
    Tile,
    TileHashes,
    encode_entries,
    entries_path,
    join_hashes,
    new_tiles,
    tile_root,
)
from protocol.ledger.witness import AddCheckpoint
from protocol.statement import StatementKind
from tests.vectors import examples
from tests.vectors.kept import KEPT
from tests.vectors.world import NOW_MS, fixed, packed

OLD, SIZE = 200, 300
LOG_NAME = "hub.example/almenara"
ORIGIN = origin(LOG_NAME, Log.ACK)
STATE_CODES = ("XAA", "XBB", "XCC", "XDD")
COSIGNED_BY = ("XAA", "XBB", "XDD")
LEAF_SECONDS = NOW_MS // 1000 + 3


@lru_cache
def secret(party: str) -> NoteSecret:
    """Return the keys of the log (``HUB``) or of a witness."""
    return NoteSecret.from_seed(fixed(f"note seed of {party}", 64))


def witness_name(state: str) -> str:
    return f"almenara/{state.lower()}.example/witness"


def log_keys() -> tuple[VerifierKey, VerifierKey]:
    log = secret("HUB")
    return (
        VerifierKey(ORIGIN, SignatureType.ED25519, log.ed25519),
        VerifierKey(ORIGIN, SignatureType.MLDSA44, log.mldsa44),
    )


def witness_keys(state: str) -> tuple[VerifierKey, VerifierKey]:
    held, name = secret(state), witness_name(state)
    return (
        VerifierKey(name, SignatureType.COSIGNATURE_ED25519, held.ed25519),
        VerifierKey(name, SignatureType.MLDSA44, held.mldsa44),
    )


def policy() -> Policy:
    """Return the policy of this log: both keys of a state, and three of four states."""
    witnesses = [
        (state, PolicyWitness(f"{state}/ed25519", plain), PolicyWitness(f"{state}/mldsa44", quantum_safe))
        for state in STATE_CODES
        for plain, quantum_safe in [witness_keys(state)]
    ]
    groups = [PolicyGroup(state, 2, (plain.name, other.name)) for state, plain, other in witnesses]
    return Policy(
        logs=tuple(PolicyLog(key) for key in log_keys()),
        witnesses=tuple(one for _, plain, other in witnesses for one in (plain, other)),
        groups=(*groups, PolicyGroup(STATES, quorum_size(len(STATE_CODES)), STATE_CODES)),
        quorum=STATES,
    )


def object_of(index: int) -> bytes:
    """Return the signed object behind a leaf; only the first is a real statement."""
    if index == 0:
        return packed(examples.signed(examples.received(), "node"))
    return fixed(f"object of leaf {index}", 40)


@lru_cache
def leaves() -> tuple[Leaf, ...]:
    """Return the log's leaves."""
    kinds = list(StatementKind)
    return tuple(
        statement_leaf(kinds[index % len(kinds)], NOW_MS + 2000 + index, object_of(index))
        for index in range(SIZE)
    )


@lru_cache
def leaf_hashes() -> tuple[bytes, ...]:
    return tuple(tree.leaf_hash(leaf.encode()) for leaf in leaves())


def checkpoint(size: int) -> Checkpoint:
    return Checkpoint(ORIGIN, size, Frontier().extend(leaf_hashes()[:size]).root)


def log_lines(size: int) -> tuple[NoteSignature, ...]:
    """Return the log's two signatures over its first leaves."""
    found, at = checkpoint(size), LEAF_SECONDS + size
    made_from = ("log", secret("HUB").mldsa44, found.text, str(at))
    return _lines(KEPT.note_lines(made_from, lambda: _joined(secret("HUB").sign_log(found, at))))


def witness_lines(state: str, size: int) -> tuple[NoteSignature, ...]:
    """Return a witness's two cosignatures."""
    found, name = checkpoint(size), witness_name(state)
    at = LEAF_SECONDS + size + 1 + STATE_CODES.index(state)
    made_from = ("witness", secret(state).mldsa44, name, found.text, str(at))
    return _lines(KEPT.note_lines(made_from, lambda: _joined(secret(state).cosign(found, name, at))))


@lru_cache
def signed(size: int) -> SignedCheckpoint:
    """Return a checkpoint as the log publishes it before any witness has seen it."""
    return sign_with(checkpoint(size), log_lines(size))


@lru_cache
def cosigned(size: int) -> SignedCheckpoint:
    """Return a checkpoint with a quorum's cosignatures."""
    return signed(size).with_signatures(line for state in COSIGNED_BY for line in witness_lines(state, size))


@lru_cache
def tiles() -> dict[Tile, bytes]:
    """Return every tile that the log wrote for its two checkpoints."""
    made: dict[Tile, bytes] = {}
    for old, new in ((0, OLD), (OLD, SIZE)):
        for tile in new_tiles(old, new):
            first = tile.number * TILE_WIDTH
            hashes = leaf_hashes()[first : first + tile.width]
            if tile.level:
                below = [Tile(tile.level - 1, first + at) for at in range(tile.width)]
                hashes = tuple(tile_root(made[one]) for one in below)
            made[tile] = join_hashes(hashes)
    return made


def entries() -> dict[str, bytes]:
    """Return every file of entries of the log's last size, by path."""
    made = {}
    for tile in (tile for tile in tiles() if tile.level == 0):
        first = tile.number * TILE_WIDTH
        among = [leaf.encode() for leaf in leaves()[first : first + tile.width]]
        made[entries_path(tile.number, tile.width)] = encode_entries(among)
    return made


def reader(size: int = SIZE) -> TileHashes:
    return TileHashes(tiles().__getitem__, size)


def proof(index: int) -> TlogProof:
    """Return a leaf's proof under the cosigned checkpoint."""
    path = tree.inclusion_path_by(index, SIZE, reader().subtree)
    return TlogProof(index, path, cosigned(SIZE).data)


def request() -> AddCheckpoint:
    """Return what a witness is asked that has cosigned the smaller size."""
    steps = tree.consistency_proof_by(OLD, SIZE, reader().subtree)
    return AddCheckpoint(OLD, steps, signed(SIZE).data)


def _joined(lines: tuple[NoteSignature, ...]) -> bytes:
    return "".join(one.line for one in lines).encode()


def _lines(data: bytes) -> tuple[NoteSignature, ...]:
    return parse_signature_lines(data.decode())
