"""Severity schemas and tags: what is refused, and what a tag says."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from protocol import codec
from protocol.errors import FormatError, NotCanonical, TooLarge, UnknownSeverity
from protocol.severity import (
    MAX_SCHEMA_BYTES,
    Level,
    SeverityTag,
    check_schema,
    check_tag,
    format_tag,
    in_language,
    level_of,
    parse_schema,
    tag_for,
)
from tests.pages import example_bytes
from tests.severities import SPEC_EXAMPLE, level, schema

PAGE = Path(__file__).parents[3] / "protocol" / "spec" / "severity.md"


def test_the_bytes_in_the_specification_are_those_of_the_code() -> None:
    """Somebody may write a second implementation from the page alone."""
    assert codec.encode(SPEC_EXAMPLE).hex() == example_bytes(PAGE, "schema").hex()
    tag = SeverityTag("xaa-national", 1, "grave", 4)
    assert codec.encode(tag).hex() == example_bytes(PAGE, "tag").hex()


def test_a_schema_is_read_back_as_it_was_written() -> None:
    """Parsing the bytes of a valid schema gives the same schema."""
    assert parse_schema(codec.encode(SPEC_EXAMPLE)) == SPEC_EXAMPLE


@pytest.mark.parametrize(
    ("levels", "rule"),
    [
        ([level("a", 1), level("a", 2)], "a level code appears twice"),
        ([level("a", 1), level("b", 1)], "levels a and b have the same rank"),
        ([level("a", 2), level("b", 1)], "level b is listed after a but ranks lower"),
        ([level("a", 1, (2, 1, 3))], "the range of level a does not contain its nominal point"),
        ([level("a", 1, (0, 4, 3))], "the range of level a does not contain its nominal point"),
        ([level("a", 1, (1, 2, 3)), level("b", 2, (1, 1, 3))], "level b outranks a but maps lower"),
        ([level("a", 1, (1, 2, 3)), level("b", 2, (0, 2, 3))], "level b outranks a but maps lower"),
        ([level("a", 1, (1, 2, 3)), level("b", 2, (1, 2, 2))], "level b outranks a but maps lower"),
        ([level("a", 1, (2, 2, 2)), level("b", 2), level("c", 3, (1, 1, 2))], "level c outranks a but maps"),
        ([level("a", 1, confidence="high")], "level a gives a confidence or reason for no mapping"),
        ([level("a", 1, reason="why")], "level a gives a confidence or reason for no mapping"),
        ([level("a", 1, names=(("en", "A"),))], "a name does not begin with its original in 'fr'"),
        ([level("a", 1, names=(("fr", "A"), ("fr", "B")))], "a language appears twice"),
        ([level("a", 1, definition=(("fr", "A"), ("fr", "B")))], "a language appears twice"),
    ],
)
def test_a_schema_that_breaks_a_rule_is_refused_by_name(levels: list[Level], rule: str) -> None:
    """The message names the schema and the level that is wrong."""
    with pytest.raises(FormatError, match=rule) as caught:
        check_schema(schema(*levels))
    assert "xzz-example@1" in str(caught.value)


@pytest.mark.parametrize("missing", ["nominal", "low", "high"])
def test_a_partial_mapping_is_refused(missing: str) -> None:
    """A level has a nominal point and a range, or neither."""
    partial = msgspec.structs.replace(level("a", 1, (1, 2, 3)), **{missing: None})
    with pytest.raises(FormatError, match="only part of a mapping"):
        check_schema(schema(partial))


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("published_by_state", True, "published_by_state"),
        ("status", "published", "published_by_state"),
        ("mapping", "none", "mapping must be none exactly when"),
        ("valid_until", 5, "valid_until is not later"),
        ("title", (("en", "Scale"),), "original"),
        ("notes", (("en", "a"), ("en", "b")), "twice"),
        ("version", 0, "version|wrong shape"),
        ("language", "FR", "wrong shape"),
        ("country", "XA", "wrong shape"),
        ("levels", (), "wrong shape"),
        ("status", "official", "wrong shape"),
    ],
)
def test_a_schema_with_a_wrong_field_is_refused(field: str, value: object, rule: str) -> None:
    """Bounds and rules hold for schemas made here as for schemas received."""
    changed = msgspec.structs.replace(SPEC_EXAMPLE, valid_from=5)
    with pytest.raises(FormatError, match=rule):
        check_schema(msgspec.structs.replace(changed, **{field: value}))


def test_a_mapping_without_a_mapped_level_is_refused() -> None:
    """Nobody may claim a mapping that is not there."""
    with pytest.raises(FormatError, match="mapping must be none"):
        check_schema(msgspec.structs.replace(schema(level("a", 1)), mapping="issued"))


def test_a_schema_of_65_levels_is_refused() -> None:
    """The number of levels is bounded."""
    assert check_schema(schema(*(level(f"l{rank}", rank) for rank in range(64))))
    with pytest.raises(FormatError, match="wrong shape"):
        check_schema(schema(*(level(f"l{rank}", rank) for rank in range(65))))


def test_a_schema_too_large_for_a_publication_is_refused() -> None:
    """Refused by size before parsing, and refused when made here."""
    long = tuple((language, "x" * 4000) for language in ("fr", "en", "es", "pt"))
    with pytest.raises(FormatError, match="more than 65536 bytes"):
        check_schema(schema(*(level(f"l{rank}", rank, definition=long) for rank in range(5))))
    with pytest.raises(TooLarge):
        parse_schema(bytes(MAX_SCHEMA_BYTES + 1))


def test_trailing_bytes_and_long_forms_are_refused() -> None:
    """A schema has one encoding."""
    data = codec.encode(SPEC_EXAMPLE)
    with pytest.raises(FormatError):
        parse_schema(data + b"\xc0")
    with pytest.raises(NotCanonical):
        parse_schema(data.replace(b"\xdc\x00\x11", b"\xdd\x00\x00\x00\x11", 1))


def test_a_tag_quotes_the_level_and_its_reference_point() -> None:
    """The point is the level's nominal one, or none where the level is not mapped."""
    assert tag_for(SPEC_EXAMPLE, "1") == SeverityTag("xzz-example", 2, "1", 4)
    assert tag_for(SPEC_EXAMPLE, "2") == SeverityTag("xzz-example", 2, "2", None)
    assert format_tag(tag_for(SPEC_EXAMPLE, "1")) == "xzz-example@2:1"


def test_an_unknown_level_is_refused_with_the_list_of_levels() -> None:
    """The tired officer is told what there is."""
    with pytest.raises(UnknownSeverity, match="it has: 2, 1"):
        level_of(SPEC_EXAMPLE, "grave")


def test_a_tag_that_contradicts_its_schema_is_refused() -> None:
    """A point other than the schema's would jump the queue."""
    assert check_tag(tag_for(SPEC_EXAMPLE, "1"), SPEC_EXAMPLE).code == "1"
    with pytest.raises(FormatError, match="says point 5; its schema says 4"):
        check_tag(SeverityTag("xzz-example", 2, "1", 5), SPEC_EXAMPLE)
    with pytest.raises(FormatError, match="says point 0; its schema says None"):
        check_tag(SeverityTag("xzz-example", 2, "2", 0), SPEC_EXAMPLE)
    with pytest.raises(UnknownSeverity, match="does not quote"):
        check_tag(SeverityTag("xzz-example", 1, "1", 4), SPEC_EXAMPLE)


def test_text_is_shown_in_the_readers_language_or_in_the_original() -> None:
    """The first wanted language that there is; else the original; else nothing."""
    words = (("fr", "Grave"), ("en", "Severe"))
    assert in_language(words, "es", "en") == "Severe"
    assert in_language(words, "es") == "Grave"
    assert in_language(()) == ""
