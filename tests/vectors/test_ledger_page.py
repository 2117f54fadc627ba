"""The pages about the ledger and its witnesses say what the code does."""

from __future__ import annotations

import re

from protocol.digest import tagged
from protocol.ledger.leaf import DocumentType, parse_document_leaf, parse_leaf
from protocol.ledger.note import PUBLIC_KEY_BYTES, SignatureType
from protocol.ledger.pack import iter_pack
from protocol.ledger.tiles import parse_entries
from protocol.ledger.witness import WitnessStatus
from tests.pages import example_bytes
from tests.vectors import examples
from tests.vectors.make_spec import SPEC
from tests.vectors.world import packed

LEDGER, WITNESS = SPEC / "ledger.md", SPEC / "witness.md"


def test_the_leaves_of_the_page_are_those_of_its_objects() -> None:
    """Read from the page alone: the receipt of the statement's page, and a manifest."""
    leaf = parse_leaf(example_bytes(LEDGER, "ledger-leaf"))
    assert leaf.digest == tagged("leaf", packed(examples.signed(examples.received(), "node")))
    document = parse_document_leaf(example_bytes(LEDGER, "ledger-document-leaf"))
    assert (document.type, document.state) == (DocumentType.MANIFEST, "XAA")


def test_the_files_of_the_page_are_read() -> None:
    """Two entries, and a pack with a gap."""
    entries = parse_entries(example_bytes(LEDGER, "ledger-entries"), 2)
    assert entries[0] == example_bytes(LEDGER, "ledger-leaf")
    assert list(iter_pack(example_bytes(LEDGER, "ledger-pack"), 4)) == [(0, b"zero"), (2, b"two")]


def test_the_page_lists_the_signature_types() -> None:
    """With the length of the key."""
    rows = re.findall(r"^\| `(\d\d)` \| [A-Z][A-Za-z0-9-]+, (\d+) bytes \|", LEDGER.read_text("utf-8"), re.M)
    assert {int(kind, 16): int(size) for kind, size in rows} == {
        kind.value: PUBLIC_KEY_BYTES[kind] for kind in SignatureType
    }


def test_the_page_lists_the_statuses_of_a_witness() -> None:
    """All of them, by number and name, in order."""
    rows = re.findall(r"^\| (\d{3}) \| ([A-Z]+) \|", WITNESS.read_text("utf-8"), re.M)
    assert [(int(number), name) for number, name in rows] == [(one.value, one.name) for one in WitnessStatus]
