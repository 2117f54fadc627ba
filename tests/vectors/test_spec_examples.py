"""The specification's pages say what the code does: bytes, tables and fields."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from keys.authenticity import verify_delivery, verify_submission
from keys.evidence import verify_statement
from keys.signature import SMALL_ORDER_ENCODINGS
from protocol import codec
from protocol.fields import Wire
from protocol.notice import Attachment, DirectoryHead, Manifest, parse_body, parse_manifest
from protocol.statement import Statement, StatementKind
from tests.openings import open_delivery, open_detail
from tests.pages import example_bytes
from tests.vectors import examples
from tests.vectors.make_spec import BLOCKS, FENCE, PAGES, SPEC, TABLE, made
from tests.vectors.world import NOW_MS, VERIFIER, directory, packed, prekey

FIELDS = re.compile(r"^<!-- fields: ([A-Za-z.]+) -->\n\|[^\n]*\n\|[^\n]*\n((?:\|[^\n]*\n)+)", re.MULTILINE)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_generator_makes(name: str) -> None:
    """A stale example teaches a second implementation the wrong bytes."""
    page = SPEC / f"{name}.md"
    assert page.read_text("utf-8") == made(page), "run python -m tests.vectors.make"


def test_every_generated_block_stands_on_a_page() -> None:
    """What is made for nobody is removed."""
    shown: list[str] = []
    for name in PAGES:
        text = (SPEC / f"{name}.md").read_text("utf-8")
        shown += [found[2] for found in FENCE.finditer(text)] + [found[1] for found in TABLE.finditer(text)]
    assert sorted(shown) == sorted(BLOCKS)


@pytest.mark.parametrize("page", sorted(SPEC.glob("*.md")), ids=lambda page: str(page.stem))
def test_a_table_of_fields_lists_the_fields_in_order(page: Path) -> None:
    """Order is meaning: the objects are arrays."""
    for found in FIELDS.finditer(page.read_text("utf-8")):
        module, _, name = found[1].rpartition(".")
        structure: type[Wire] = getattr(importlib.import_module(module), name)
        rows = re.findall(r"^\| (\d+) \| `([a-z_]+)` \|", found[2], re.MULTILINE)
        assert [(int(number), field) for number, field in rows] == list(
            enumerate(structure.__struct_fields__, 1)
        )


def test_the_page_prints_every_key_that_is_refused() -> None:
    """Nobody can look them up offline."""
    page = (SPEC / "signatures.md").read_text("utf-8")
    block = re.search(r"^ *```text small-order\n(.*?)^ *```$", page, re.MULTILINE | re.DOTALL)
    assert block is not None
    printed = [bytes.fromhex(line) for line in block[1].split()]
    assert {
        key[:31] + bytes([key[31] ^ high]) for key in printed for high in (0, 0x80)
    } == SMALL_ORDER_ENCODINGS


def test_every_page_is_in_the_index() -> None:
    """A reader starts at the index."""
    index = (SPEC / "README.md").read_text("utf-8")
    pages = {page.name for page in SPEC.glob("*.md")} - {"README.md"}
    assert set(re.findall(r"\]\(([a-z]+\.md)\)", index)) == pages


def test_the_examples_of_encoding_are_what_they_are_said_to_be() -> None:
    """Read from the page, they decode, and encode again to the same bytes."""
    kinds: dict[str, type[Wire]] = {"head": DirectoryHead, "file": Attachment}
    for name, kind in kinds.items():
        data = example_bytes(SPEC / "encoding.md", name)
        assert codec.encode(codec.decode(data, kind, limit=200, what=name)) == data


def test_the_manifest_on_the_page_parses_to_the_header_on_the_page() -> None:
    """One example, from the header to the envelope's id."""
    manifest, header = parse_manifest(example_bytes(SPEC / "notice.md", "manifest"))
    assert manifest.header == example_bytes(SPEC / "notice.md", "header") == codec.encode(header)
    assert codec.encode(codec.decode(packed(manifest), Manifest, limit=999, what="manifest")) == packed(
        manifest
    )


def test_the_envelope_of_the_pages_opens_to_the_body_on_the_page() -> None:
    """What the page derives step by step is what the node's own code accepts and opens."""
    sent = packed(examples.submission())
    verify_submission(directory(), VERIFIER, sent, "XAA", NOW_MS)
    got = verify_delivery(directory(), VERIFIER, packed(examples.delivery()), "XBB", NOW_MS)
    opened = open_delivery(got.delivery, got.manifest, got.header, prekey("XBB"))
    assert opened.body == parse_body(example_bytes(SPEC / "notice.md", "body"))


def test_the_statements_of_the_page_are_believed() -> None:
    """The receipt in full, the answer with its note."""
    data = example_bytes(SPEC / "statement.md", "received")
    assert codec.decode(data, Statement, limit=999, what="statement") == examples.received()
    for statement, role in ((examples.received(), "node"), (examples.accepted(), "officer")):
        signed = packed(examples.signed(statement, role))
        assert verify_statement(directory(), VERIFIER, signed, NOW_MS + 2000).kind in StatementKind


def test_the_note_of_the_page_opens() -> None:
    """Sealed by hand as the page says, opened by the code."""
    assert open_detail(examples.detail(), prekey("XAA"), examples.envelope().id, "XBB") == examples.NOTE
