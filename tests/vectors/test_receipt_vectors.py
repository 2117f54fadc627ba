"""The receipt's vectors: the good one is true, and each other is refused by precisely its code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keys.receipt import verify_receipt
from keys.signer import Verifier
from protocol.errors import AlmenaraError
from protocol.ledger import receipt as format_
from protocol.tree import MAX_PATH
from tests.vectors import make_receipt
from tests.vectors.make import HERE
from tests.vectors.make_spec import SPEC

FOLDER = HERE / "receipt"
PINNED = bytes.fromhex((FOLDER / "pinned.txt").read_text().strip())
GOOD = (FOLDER / "good.txt").read_text("utf-8")
REFUSED: list[dict[str, Any]] = json.loads((FOLDER / "refused.json").read_text("utf-8"))


def test_the_good_one_is_true() -> None:
    """From the pinned hash and the file alone."""
    found = verify_receipt(GOOD.encode(), PINNED, Verifier())
    said = [(one.kind.name, one.party, one.officer, one.index) for one in found.statements]
    assert said == [
        ("RELAYED", "HUB", None, 1),
        ("RECEIVED", "XBB", None, 2),
        ("ACCEPTED", "XBB", "officer of XBB", 3),
    ]


@pytest.mark.parametrize("vector", REFUSED, ids=lambda vector: str(vector["why"]))
def test_others_are_refused_by_their_code(vector: dict[str, Any]) -> None:
    """Not by another check that happens to come first."""
    with pytest.raises(AlmenaraError) as caught:
        verify_receipt(make_receipt.changed(GOOD, vector).encode(), PINNED, Verifier())
    assert caught.value.code == vector["code"]


def test_the_files_are_what_the_generator_writes() -> None:
    """A vector is changed by changing the generator, in view of a reviewer."""
    assert {path.name: path.read_text("utf-8") for path in FOLDER.iterdir()} == make_receipt.files()


def test_the_page_names_the_limits() -> None:
    """A second implementation has the same caps."""
    text = (SPEC / "receipt.md").read_text("utf-8")
    for limit in (format_.MAX_SECTIONS, format_.MAX_COMMENTS, format_.MAX_COMMENT_CHARS, MAX_PATH):
        assert str(limit) in text
    assert f"{format_.MAX_RECEIPT_BYTES // 2**20} MiB" in text
