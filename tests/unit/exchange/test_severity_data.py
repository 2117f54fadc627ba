"""The bundled schemas: that they load, what they claim, and that they endorse nothing."""

from __future__ import annotations

import pytest

from exchange.severity.load import (
    ALLOWED,
    BUNDLED,
    bundled_schemas,
    schema_from_toml,
    template_text,
)
from protocol import codec
from protocol.errors import FormatError
from protocol.severity import Schema, in_language, level_of, parse_schema

SCHEMAS = {one.id: one for one in bundled_schemas()}
NOT_ENDORSED = "Transcribed by the project from public sources; not published or endorsed by the state."
FICTITIOUS = ["xaa-national", "xbb-national", "xcc-national"]
TRANSCRIBED = [name for name in BUNDLED if name not in FICTITIOUS]

# Reference point, low, high: the table of proposals, gravest first.
PROPOSED = {
    "ppd-41": [(5, 5, 5), (4, 4, 4), (3, 3, 3), (2, 2, 2), (1, 1, 1), (0, 0, 0)],
    "us-nciss": [(5, 5, 5), (4, 4, 4), (3, 3, 3), (2, 2, 2), (1, 1, 1), (0, 0, 0), (0, 0, 0)],
    "es-rd43-2021-impact": [(5, 3, 5), (4, 2, 4), (3, 2, 3), (2, 1, 2), (1, 0, 1), (0, 0, 0)],
    "eu-nis-impact": [(5, 4, 5), (4, 3, 4), (2, 1, 2), (0, 0, 1)],
    "cz-82-2018": [(4, 3, 5), (3, 2, 3), (1, 1, 2)],
}


def test_every_bundled_file_is_the_schema_of_its_name() -> None:
    """A file's name is the schema's id."""
    assert list(SCHEMAS) == list(BUNDLED)


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_schema_survives_the_wire(name: str) -> None:
    """It can be published as it is."""
    assert parse_schema(codec.encode(SCHEMAS[name])) == SCHEMAS[name]


@pytest.mark.parametrize("name", BUNDLED)
def test_no_bundled_schema_looks_published_by_its_state(name: str) -> None:
    """Carrying a scale makes its state a member of nothing."""
    assert SCHEMAS[name].published_by_state is False
    assert SCHEMAS[name].status != "published"


@pytest.mark.parametrize("name", TRANSCRIBED)
def test_a_transcribed_schema_says_where_from_and_that_nobody_endorsed_it(name: str) -> None:
    """The sentence stands in the provenance, where every reader of the schema finds it."""
    schema = SCHEMAS[name]
    assert schema.status == "transcribed"
    assert NOT_ENDORSED in schema.provenance
    assert schema.source.startswith("http")
    assert schema.mapping == "proposed"
    assert all(level.definition and level.confidence for level in schema.levels)


@pytest.mark.parametrize("name", TRANSCRIBED)
def test_the_mapping_is_the_proposed_one(name: str) -> None:
    """Nominal point and range of each level, gravest first."""
    levels = reversed(SCHEMAS[name].levels)
    assert PROPOSED[name] == [(level.nominal, level.low, level.high) for level in levels]


@pytest.mark.parametrize("name", FICTITIOUS)
def test_a_demonstration_schema_says_that_it_is_invented(name: str) -> None:
    """No words are put in a government's mouth."""
    schema = SCHEMAS[name]
    assert schema.status == "fictitious"
    assert schema.issuer == name[:3].upper()
    assert "Invented" in schema.provenance


def test_the_demonstration_schemas_differ_in_direction_and_language() -> None:
    """XAA ascends in Spanish words, XBB descends in English numbers, XCC has French colours."""
    assert [SCHEMAS[name].language for name in FICTITIOUS] == ["es", "en", "fr"]
    assert [level.code for level in SCHEMAS["xaa-national"].levels] == [
        "leve",
        "moderado",
        "grave",
        "critico",
    ]
    assert [level.code for level in SCHEMAS["xbb-national"].levels] == ["c5", "c4", "c3", "c2", "c1"]


def test_public_confidence_is_absent_from_level_4_of_ppd_41_as_in_the_original() -> None:
    """The definitions are copied and not made from a pattern."""
    levels = SCHEMAS["ppd-41"].levels
    named = {level.code for level in levels if "public confidence" in in_language(level.definition)}
    assert named == {"high", "medium", "low"}


def test_the_caveats_of_the_sources_are_carried() -> None:
    """What is unverified or possibly superseded says so."""
    assert "UNVERIFIED" in in_language(SCHEMAS["us-nciss"].notes)
    assert "POSSIBLY SUPERSEDED" in SCHEMAS["cz-82-2018"].provenance
    assert "24/48 horas" in in_language(SCHEMAS["es-rd43-2021-impact"].notes)


def test_the_template_is_a_valid_example_that_is_not_bundled() -> None:
    """A state replaces values; it does not have to guess a shape."""
    schema = schema_from_toml(template_text(), "template.toml")
    assert (schema.status, schema.issuer) == ("example", "XZZ")
    assert schema.id not in SCHEMAS


def test_the_template_explains_every_field() -> None:
    """Whatever may be written is shown."""
    assert [name for name in ALLOWED if name not in template_text()] == []


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("rank = 10", "rank = 5000", "level 1, field rank", "0 to 1000"),
        ("rank = 10", 'rank = "10"', "level 1, field rank", "whole number"),
        ("rank = 20", "", "level 2, field rank", "0 to 1000"),
        ("rank = 10", "rnk = 10", "level 1, .*`rnk`", "rank"),
        ('id = "xzz-national"', 'id = "XZZ"', "field id", "lower-case"),
        ('issuer = "XZZ"', "", "field issuer", "XAA"),
        ('issuer = "XZZ"', 'isuer = "XZZ"', "isuer", "issuer"),
        ("range = [0, 2]", "range = [0, 9]", "level 1, field range", "two whole numbers"),
        ("range = [0, 2]", "range = [0]", "level 1, field range", "two whole numbers"),
        ("range = [0, 2]", "range = [2, 3]", "the range of level bajo", "template"),
        ("range = [0, 2]", "", "only part of a mapping", "template"),
        ('status = "example"', 'status = "draft"', "field status", "transcribed"),
        ('confidence = "medium"', 'confidence = "sure"', "level 1, field confidence", "medium-low"),
        ('names = { es = "Bajo"', 'names = { ES = "Bajo"', "level 1, field names", "language"),
        ("rank = 10", "rank = 20", "bajo and alto have the same rank", "template"),
        ("version = 1", "version = ", "not TOML", "line"),
    ],
)
def test_a_wrong_file_is_refused_with_the_field_and_what_is_allowed(
    old: str, new: str, message: str, hint: str
) -> None:
    """The person who fills it in is a lawyer or a duty officer, not a programmer."""
    text = template_text()
    assert old in text
    with pytest.raises(FormatError, match=message) as caught:
        schema_from_toml(text.replace(old, new, 1), "ours.toml")
    assert str(caught.value).startswith("ours.toml")
    assert hint in caught.value.hint


def test_levels_may_stand_in_any_order_of_the_file() -> None:
    """XBB's file begins with its gravest level; the wire ends with it."""
    assert level_of(SCHEMAS["xbb-national"], "c1") == SCHEMAS["xbb-national"].levels[-1]


def test_dates_become_utc_milliseconds_and_accents_are_composed() -> None:
    """What an editor may vary does not reach the wire."""
    text = template_text().replace("# valid_from", "valid_from").replace('es = "Bajo"', 'es = "Aviso\u0301"')
    schema: Schema = schema_from_toml(text, "ours.toml")
    assert schema.valid_from == 1893456000000
    assert in_language(schema.levels[0].names) == "Avisó"
