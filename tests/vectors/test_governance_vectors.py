"""The vectors of the ceremony's files are what the code makes and reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from protocol import codec
from protocol.governance import (
    MAX_CUSTODIAN_KEY_BYTES,
    MAX_FOLLOWING,
    MAX_PROPOSAL_BYTES,
    MAX_SIGNATURE_FILE_BYTES,
)
from tests.vectors import make_governance

PAGE = Path(__file__).resolve().parents[2] / "protocol" / "spec" / "governance.md"
FILES = sorted(make_governance.FOLDER.glob("*.json"))


def test_the_files_are_exactly_what_the_generator_makes() -> None:
    """Anybody can make the vectors again, byte for byte."""
    made = {name: (format_, layer, data.hex()) for name, format_, layer, data in make_governance.scenarios()}
    kept = {path.stem: json.loads(path.read_text("utf-8")) for path in FILES}
    assert {name: (one["format"], one["layer"], one["data"]) for name, one in kept.items()} == made


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_vector_is_accepted_or_refused_as_it_says(path: Path) -> None:
    """Another implementation can be held to the same files."""
    content = json.loads(path.read_text("utf-8"))
    data = bytes.fromhex(content["data"])
    assert make_governance.accepted(content["format"], data) == (content["layer"] == "none")
    if content["layer"] == "none":
        assert codec.encode(make_governance.READERS[content["format"]](data)) == data


def test_the_bounds_on_the_page_are_those_of_the_code() -> None:
    """Limits that are written by hand are compared."""
    page = PAGE.read_text("utf-8")
    for limit in (MAX_PROPOSAL_BYTES, MAX_SIGNATURE_FILE_BYTES, MAX_CUSTODIAN_KEY_BYTES):
        assert f"at most {limit} bytes" in page
    assert f"0..{MAX_FOLLOWING} signed documents" in page
