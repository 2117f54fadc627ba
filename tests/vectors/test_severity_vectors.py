"""Run the severity vectors: each is accepted as it says, or refused by the layer it names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from protocol import codec
from protocol.errors import AlmenaraError, FormatError
from protocol.reference import parse_reference
from protocol.severity import MAX_SCHEMA_BYTES, Schema, SeverityTag, check_schema, check_tag, parse_schema
from protocol.translation import NoTranslation, translate, translate_point
from tests.vectors.severity.generate import FOLDER, text_of, vectors

VECTORS = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))}

# What tells one rule's refusal from another's, by step of the specification.
STEP_WORDS = {
    2: "published_by_state",
    3: "valid_until",
    4: "language appears twice|original",
    5: "appears twice|same rank|ranks lower",
    6: "only part|nominal point|for no mapping",
    7: "mapping must be none",
    8: "maps lower",
}


def of(kind: str, *, refused: bool) -> list[str]:
    return [name for name, one in VECTORS.items() if one["kind"] == kind and bool(one["layer"]) == refused]


def decode(data: bytes, layer: str) -> Schema:
    """Decode a schema, or check that exactly the named layer refuses it."""
    if layer == "rules":
        return codec.decode(data, Schema, limit=MAX_SCHEMA_BYTES, what="schema")
    with pytest.raises(FormatError) as caught:
        codec.decode(data, Schema, limit=MAX_SCHEMA_BYTES, what="schema")
    assert ("wrong shape" in str(caught.value)) == (layer == "shape")
    raise caught.value


def test_the_files_are_what_the_generator_writes() -> None:
    """A vector is changed by changing the generator, in view of a reviewer."""
    written = {path.stem: path.read_text("utf-8") for path in FOLDER.glob("*.json")}
    assert written == {name: text_of(vector) for name, vector in vectors().items()}


@pytest.mark.parametrize("name", of("schema", refused=False))
def test_a_valid_schema_is_accepted(name: str) -> None:
    """And encodes to the bytes of the vector."""
    data = bytes.fromhex(VECTORS[name]["bytes"])
    assert codec.encode(parse_schema(data)) == data


@pytest.mark.parametrize("name", of("schema", refused=True))
def test_an_invalid_schema_is_refused_by_its_layer(name: str) -> None:
    """By the profile, the shape or a rule, as the vector says."""
    vector = VECTORS[name]
    data = bytes.fromhex(vector["bytes"])
    with pytest.raises(FormatError, match=STEP_WORDS.get(vector.get("step"))):
        check_schema(decode(data, vector["layer"]))
    with pytest.raises(FormatError):
        parse_schema(data)


@pytest.mark.parametrize("name", of("tag", refused=False))
def test_a_valid_tag_is_accepted(name: str) -> None:
    """By itself and against its schema."""
    vector = VECTORS[name]
    tag = codec.decode(bytes.fromhex(vector["bytes"]), SeverityTag, limit=200, what="tag")
    assert tag == SeverityTag(*vector["value"])
    assert check_tag(tag, parse_schema(bytes.fromhex(vector["schema"]))).code == tag.level


@pytest.mark.parametrize("name", of("tag", refused=True))
def test_an_invalid_tag_is_refused_by_its_layer(name: str) -> None:
    """By its shape, or only against its schema."""
    vector = VECTORS[name]
    data = bytes.fromhex(vector["bytes"])
    if vector["layer"] == "shape":
        with pytest.raises(FormatError):
            codec.decode(data, SeverityTag, limit=200, what="tag")
        return
    tag = codec.decode(data, SeverityTag, limit=200, what="tag")
    with pytest.raises(AlmenaraError):
        check_tag(tag, parse_schema(bytes.fromhex(vector["schema"])))


@pytest.mark.parametrize("name", of("reference", refused=False))
def test_a_valid_reference_is_read(name: str) -> None:
    """Into the parts that the vector lists."""
    assert list(parse_reference(VECTORS[name]["text"])) == VECTORS[name]["value"]


@pytest.mark.parametrize("name", of("reference", refused=True))
def test_an_invalid_reference_is_refused(name: str) -> None:
    """One severity has one spelling."""
    with pytest.raises(FormatError):
        parse_reference(VECTORS[name]["text"])


@pytest.mark.parametrize("name", of("translation", refused=False))
def test_a_translation_gives_the_result_of_the_vector(name: str) -> None:
    """The shown level, the candidates and the flag; or the reason why there is none."""
    assert answer(VECTORS[name]) == VECTORS[name]["result"]


def answer(vector: dict[str, Any]) -> list[Any] | str:
    target = parse_schema(bytes.fromhex(vector["target"]))
    if "level" in vector:
        result = translate(parse_schema(bytes.fromhex(vector["source"])), vector["level"], target)
    else:
        result = translate_point(vector["point"], target)
    if isinstance(result, NoTranslation):
        return result.why.value
    return [result.nominal.code, [candidate.code for candidate in result.candidates], result.flag.value]
