"""The documents' vectors and the specification's examples are what the code makes and reads."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from protocol import codec
from protocol.documents import (
    MAX_DOCUMENT_BYTES,
    CertificateBytes,
    CertificateList,
    document_hash,
    parse_document,
)
from protocol.errors import FormatError
from tests.vectors import make_documents

PAGE = Path(__file__).resolve().parents[2] / "protocol" / "spec" / "documents.md"
FILES = sorted(make_documents.FOLDER.glob("*.json"))
EXAMPLES = sorted(make_documents.examples())


def test_the_files_are_exactly_what_the_generator_makes() -> None:
    """Anybody can make the vectors again, byte for byte."""
    made = {name: (layer, body.hex()) for name, layer, body in make_documents.scenarios()}
    kept = {path.stem: json.loads(path.read_text("utf-8")) for path in FILES}
    assert {name: (content["layer"], content["body"]) for name, content in kept.items()} == made


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_document_vector_is_accepted_or_refused_as_it_says(path: Path) -> None:
    """Another implementation can be held to the same files."""
    content = json.loads(path.read_text("utf-8"))
    body = bytes.fromhex(content["body"])
    assert document_hash(body).hex() == content["hash"]
    if content["layer"] == "none":
        assert codec.encode(parse_document(body)) == body
    else:
        with pytest.raises(FormatError):
            parse_document(body)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_specification_shows_the_bytes_and_hash_of_its_example(name: str) -> None:
    """The page cannot say one thing and the code another."""
    page = PAGE.read_text("utf-8")
    assert make_documents.block(name) in page
    assert document_hash(codec.encode(make_documents.examples()[name])).hex() in page


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_specification_names_every_field_in_order(name: str) -> None:
    """A reader can write a parser from the tables alone."""
    section = PAGE.read_text("utf-8").split(f"```example {name}\n", 1)[1].split("\n## ", 1)[0]
    rows = [row.split("|") for row in section.splitlines() if row.startswith("| ") and row[2].isdigit()]
    fields = make_documents.examples()[name].__struct_fields__
    assert [row[2].strip(" `") for row in rows][: len(fields)] == list(fields)


def test_the_bounds_on_the_page_are_those_of_the_code() -> None:
    """Limits that are written by hand are compared."""
    page = PAGE.read_text("utf-8")
    each, several = (msgspec.inspect.type_info(kind) for kind in (CertificateBytes, CertificateList))
    assert isinstance(each, msgspec.inspect.BytesType)
    assert isinstance(several, msgspec.inspect.VarTupleType)
    assert f"{each.min_length} to {each.max_length} bytes: a TLS certificate" in page
    assert page.count(f"{several.min_length}..{several.max_length} certificates") == 2
    assert f"The whole signed form is at most {MAX_DOCUMENT_BYTES} bytes." in page
