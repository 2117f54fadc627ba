"""The examples and generated tables of the pages about the ledger and its witnesses."""

from __future__ import annotations

from collections.abc import Callable

from protocol.documents import StateManifest, parse_document, parse_signed_document
from protocol.ledger.cosignature import ed25519_message, mldsa44_message
from protocol.ledger.leaf import DocumentType, document_leaf
from protocol.ledger.pack import encode_pack
from protocol.ledger.policy import format_policy
from protocol.ledger.proof import format_proof
from protocol.ledger.tiles import tiles_of
from protocol.ledger.witness import format_add_checkpoint, format_size
from protocol.text import format_utc
from tests.vectors import ledgers
from tests.vectors.dump import hexadecimal
from tests.vectors.world import COMMUNITY, NOW_MS

LONGEST = 100
WITNESS_SECONDS = ledgers.LEAF_SECONDS + ledgers.SIZE + 1


def shortened(text: str) -> str:
    """Return text with long words cut in the middle, as a page shows keys and signatures."""
    lines = text.rstrip("\n").split("\n")
    return "\n".join(" ".join(_cut(word) for word in line.split(" ")) for line in lines)


def checkpoint() -> str:
    """Return the example's checkpoint, as a member sees it."""
    return shortened(ledgers.cosigned(ledgers.SIZE).data.decode())


def statement_leaf() -> str:
    """Return the leaf of the statement page's receipt, part by part."""
    leaf = ledgers.leaves()[0]
    return _parts(
        (b"\1", "version 1"),
        (leaf.encode()[1:2], f"kind {leaf.type.value}, {leaf.type.name}"),
        (leaf.encode()[2:10], f"recorded {format_utc(leaf.at_ms)}"),
        (leaf.digest, 'H("leaf", signed statement)'),
        check=leaf.encode(),
    )


def manifest_leaf() -> str:
    """Return the leaf of a manifest of the community, part by part."""
    for data in (bytes.fromhex(one) for one in COMMUNITY["documents"]):
        document = parse_document(parse_signed_document(data).body)
        if isinstance(document, StateManifest):
            leaf, code = document_leaf(document, NOW_MS, data), document.state
            return _parts(
                (leaf[:1], "version 1"),
                (leaf[1:2], "type 3, manifest"),
                (leaf[2:10], f"recorded {format_utc(NOW_MS)}"),
                (leaf[10:11], f"{len(code)} bytes follow"),
                (leaf[11:-40], f'state "{code}"'),
                (leaf[-40:-32], f"version {document.version} of the document"),
                (leaf[-32:], 'H("leaf", signed document)'),
                check=leaf,
            )
    raise AssertionError("the frozen community has no manifest")


def document_types() -> str:
    """Return the types of the directory log's leaves."""
    return ", ".join(f"{one.value} {one.name.lower()}" for one in DocumentType)


def verifier_keys() -> str:
    """Return the example's verifier keys: the log's, and a witness's."""
    return shortened("\n".join(str(key) for key in (*ledgers.log_keys(), *ledgers.witness_keys("XAA"))))


def cosigned_text() -> str:
    """Return what the Ed25519 cosignature of XAA covers."""
    return ed25519_message(ledgers.checkpoint(ledgers.SIZE), WITNESS_SECONDS).decode().rstrip("\n")


def cosigned_structure() -> str:
    """Return what the ML-DSA-44 cosignature of XAA covers, part by part."""
    name, found = ledgers.witness_name("XAA"), ledgers.checkpoint(ledgers.SIZE)
    return _parts(
        (b"subtree/v1\n\0", "label"),
        (bytes([len(name)]), f"{len(name)} bytes follow"),
        (name.encode(), "name of the witness"),
        (WITNESS_SECONDS.to_bytes(8, "big"), f"time {WITNESS_SECONDS}, {format_utc(WITNESS_SECONDS * 1000)}"),
        (bytes([len(found.origin)]), f"{len(found.origin)} bytes follow"),
        (found.origin.encode(), "origin"),
        (bytes(8), "start 0"),
        (found.size.to_bytes(8, "big"), f"end {found.size}"),
        (found.root, "root"),
        check=mldsa44_message(name, found, WITNESS_SECONDS),
    )


def proof() -> str:
    """Return the proof of the receipt's leaf."""
    return shortened(format_proof(ledgers.proof(0)))


def tiles() -> str:
    """Return the files of the example's tree."""
    rows = [f"{tile.path:<24}{tile.width * 32:>6} bytes" for tile in tiles_of(ledgers.SIZE)]
    sizes = {path: len(data) for path, data in ledgers.entries().items() if ".p/200" not in path}
    return "\n".join([*rows, *(f"{path:<24}{size:>6} bytes" for path, size in sizes.items())])


def entries() -> str:
    """Return the beginning of a file of entries."""
    return hexadecimal(ledgers.entries()["tile/entries/000"][:88])


def pack() -> str:
    """Return a pack of two records, part by part."""
    records = [(0, b"zero"), (2, b"two")]
    parts = [
        part
        for index, data in records
        for part in (
            (index.to_bytes(8, "big"), f"index {index}"),
            (len(data).to_bytes(4, "big"), f"{len(data)} bytes follow"),
            (data, "the object"),
        )
    ]
    return _parts(*parts, check=encode_pack(records))


def request() -> str:
    """Return what XAA is asked."""
    return shortened(format_add_checkpoint(ledgers.request()).decode())


def answer() -> str:
    """Return what XAA answers."""
    return shortened("".join(one.line for one in ledgers.witness_lines("XAA", ledgers.SIZE)))


def policy() -> str:
    """Return the example's policy."""
    return shortened(format_policy(ledgers.policy()))


def _cut(word: str) -> str:
    return word if len(word) <= LONGEST else f"{word[:56]}...{word[-12:]}"


def _parts(*parts: tuple[bytes, str], check: bytes) -> str:
    assert b"".join(data for data, _ in parts) == check
    rows = []
    for data, words in parts:
        first, *more = [data[at : at + 24].hex() for at in range(0, len(data), 24)]
        rows += [f"{first:<48}   {words}", *more]
    return "\n".join(rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "ledger-checkpoint": checkpoint,
    "ledger-leaf": statement_leaf,
    "ledger-document-leaf": manifest_leaf,
    "ledger-document-types": document_types,
    "ledger-vkeys": verifier_keys,
    "ledger-cosigned-text": cosigned_text,
    "ledger-cosigned-structure": cosigned_structure,
    "ledger-proof": proof,
    "ledger-tiles": tiles,
    "ledger-entries": entries,
    "ledger-pack": pack,
    "ledger-policy": policy,
    "witness-request": request,
    "witness-answer": answer,
    "witness-conflict": lambda: format_size(256).decode().rstrip("\n"),
}
