"""Severity schemas: a state's own published scale, and the tag that quotes it in a notice.

Scales share no shape: some ascend, some descend, some are words. So the only order is a level's
explicit ``rank``; codes are never sorted or compared. A mapping to the reference scale (0..5) is
optional, and nothing is ever guessed where it is missing. See ``spec/severity.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Annotated, Literal

from msgspec import Meta

from protocol import codec
from protocol.errors import FormatError, UnknownSeverity
from protocol.fields import Line, Millis, Slug, StateCode, Wire
from protocol.reference import MAX_SCHEMA_VERSION, Reference, format_reference

TOPIC = "severity"
"""The topic of the publications whose content is a schema."""

MAX_SCHEMA_BYTES = 64 * 1024
"""What one publication carries."""

MAX_LEVELS = 64
MAX_LANGUAGES = 16
HIGHEST_POINT = 5

Language = Annotated[str, Meta(max_length=35, pattern=r"\A[a-z]{2,3}(-[A-Za-z0-9]{1,8})*\Z")]
"""A BCP 47 tag with a lower-case primary language, such as ``pt`` or ``pt-BR``."""

Country = Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z")]
Text = Annotated[str, Meta(min_length=1, max_length=4000)]
Point = Annotated[int, Meta(ge=0, le=HIGHEST_POINT)]
"""A point of the reference scale: 0 inconsequential, 5 emergency."""

Rank = Annotated[int, Meta(ge=0, le=1000)]
SchemaVersion = Annotated[int, Meta(ge=1, le=MAX_SCHEMA_VERSION)]
Status = Literal["published", "transcribed", "fictitious", "example"]
MappingOrigin = Literal["none", "proposed", "issued"]
Confidence = Literal["low", "medium-low", "medium", "medium-high", "high"]

Names = Annotated[tuple[tuple[Language, Line], ...], Meta(min_length=1, max_length=MAX_LANGUAGES)]
Texts = Annotated[tuple[tuple[Language, Text], ...], Meta(max_length=MAX_LANGUAGES)]


class Level(Wire, frozen=True):
    """One level of a schema; the mapping is all three of ``nominal``, ``low``, ``high``, or none.

    ``definition`` is empty where no definition was published. ``reason`` says in one line why the
    mapping is what it is.
    """

    code: Slug
    rank: Rank
    names: Names
    definition: Texts
    nominal: Point | None
    low: Point | None
    high: Point | None
    confidence: Confidence | None
    reason: Line | None

    @property
    def mapped(self) -> bool:
        """Whether this level has a place on the reference scale."""
        return self.nominal is not None


class Schema(Wire, frozen=True):
    """One version of a published scale. Levels stand in ascending rank: the last is the gravest.

    ``language`` is that of the original; it comes first in every list of names and texts.
    ``mapping`` says whose the mapping is: the issuer's own, a proposal of this project, or none.
    """

    v: Literal[1]
    id: Slug
    version: SchemaVersion
    issuer: StateCode
    country: Country | None
    region: Line | None
    language: Language
    title: Names
    status: Status
    published_by_state: bool
    source: Line
    provenance: Text
    notes: Texts
    mapping: MappingOrigin
    valid_from: Millis | None
    valid_until: Millis | None
    levels: Annotated[tuple[Level, ...], Meta(min_length=1, max_length=MAX_LEVELS)]


class SeverityTag(Wire, frozen=True):
    """What a notice says about its severity, in the sender's words and on the reference scale."""

    schema: Slug
    version: SchemaVersion
    level: Slug
    point: Point | None


def parse_schema(data: bytes) -> Schema:
    """Return the schema in these bytes.

    Raises:
        FormatError: it is not one schema of this version, or :func:`check_schema` refuses it.
    """
    schema = codec.decode(data, Schema, limit=MAX_SCHEMA_BYTES, what="severity schema")
    return check_schema(schema)


def check_schema(schema: Schema) -> Schema:
    """Return the schema itself, or say which rule it breaks.

    Raises:
        FormatError: a bound, or a rule of ``spec/severity.md`` section "What a reader checks".
    """
    if len(codec.encode(schema)) > MAX_SCHEMA_BYTES:
        raise FormatError(f"schema {schema.id} takes more than {MAX_SCHEMA_BYTES} bytes")
    if schema.published_by_state != (schema.status == "published"):
        raise _broken(schema, "published_by_state must be true exactly when the status is published")
    if not _in_order(schema.valid_from, schema.valid_until):
        raise _broken(schema, "valid_until is not later than valid_from")
    _check_languages(schema)
    _check_order(schema)
    for level in schema.levels:
        _check_level(schema, level)
    _check_mapping(schema)
    return schema


def _in_order(start: int | None, end: int | None) -> bool:
    return start is None or end is None or start < end


def _broken(schema: Schema, rule: str) -> FormatError:
    return FormatError(f"severity schema {schema.id}@{schema.version}: {rule}")


def _check_languages(schema: Schema) -> None:
    lists: Iterable[Sequence[tuple[str, str]]] = [
        schema.title,
        schema.notes,
        *(words for level in schema.levels for words in (level.names, level.definition)),
    ]
    for words in lists:
        languages = [language for language, _ in words]
        if len(set(languages)) != len(languages):
            raise _broken(schema, "a language appears twice in one list of texts")
    for names in (schema.title, *(level.names for level in schema.levels)):
        if names[0][0] != schema.language:
            raise _broken(schema, f"a name does not begin with its original in {schema.language!r}")


def _check_order(schema: Schema) -> None:
    codes = [level.code for level in schema.levels]
    if len(set(codes)) != len(codes):
        raise _broken(schema, "a level code appears twice")
    for lower, upper in pairwise(schema.levels):
        if lower.rank == upper.rank:
            raise _broken(schema, f"levels {lower.code} and {upper.code} have the same rank")
        if lower.rank > upper.rank:
            raise _broken(schema, f"level {upper.code} is listed after {lower.code} but ranks lower")


def _check_level(schema: Schema, level: Level) -> None:
    given = sum(value is not None for value in (level.nominal, level.low, level.high))
    if given not in (0, 3):
        raise _broken(schema, f"level {level.code} has only part of a mapping")
    if level.nominal is None or level.low is None or level.high is None:
        if level.confidence is not None or level.reason is not None:
            raise _broken(schema, f"level {level.code} gives a confidence or reason for no mapping")
    elif not level.low <= level.nominal <= level.high:
        raise _broken(schema, f"the range of level {level.code} does not contain its nominal point")


def _check_mapping(schema: Schema) -> None:
    mapped = [level for level in schema.levels if level.mapped]
    if bool(mapped) != (schema.mapping != "none"):
        raise _broken(schema, "mapping must be none exactly when no level is mapped")
    for lower, upper in pairwise(mapped):
        # Monotone in all three, so that a graver level never translates to a milder one.
        for below, above in zip(_points(lower), _points(upper), strict=True):
            if below > above:
                raise _broken(schema, f"level {upper.code} outranks {lower.code} but maps lower")


def _points(level: Level) -> tuple[int, ...]:
    return tuple(point for point in (level.nominal, level.low, level.high) if point is not None)


def level_of(schema: Schema, code: str) -> Level:
    """Return the level with this code.

    Raises:
        UnknownSeverity: the schema has no such level; the message lists those it has.
    """
    for level in schema.levels:
        if level.code == code:
            return level
    codes = ", ".join(level.code for level in schema.levels)
    raise UnknownSeverity(f"schema {schema.id}@{schema.version} has no level {code!r}; it has: {codes}")


def tag_for(schema: Schema, level_code: str) -> SeverityTag:
    """Return the tag that quotes one level of a schema.

    Raises:
        UnknownSeverity: the schema has no such level.
    """
    level = level_of(schema, level_code)
    return SeverityTag(schema.id, schema.version, level.code, level.nominal)


def check_tag(tag: SeverityTag, schema: Schema) -> Level:
    """Return the level that a received tag names, or refuse a tag that contradicts its schema.

    Raises:
        UnknownSeverity: the schema is another one, or has no such level.
        FormatError: the tag's reference point is not the schema's.
    """
    if (tag.schema, tag.version) != (schema.id, schema.version):
        raise UnknownSeverity(f"tag {format_tag(tag)} does not quote schema {schema.id}@{schema.version}")
    level = level_of(schema, tag.level)
    if tag.point != level.nominal:
        raise FormatError(f"tag {format_tag(tag)} says point {tag.point}; its schema says {level.nominal}")
    return level


def format_tag(tag: SeverityTag) -> str:
    """Return the text form of a tag, such as ``xaa-national@1:grave``; the point is not in it."""
    return format_reference(Reference(tag.schema, tag.version, tag.level))


def in_language(words: Sequence[tuple[str, str]], *languages: str) -> str:
    """Return the text in the first of ``languages`` that there is, else in the original, else ``""``."""
    by_language = dict(words)
    for language in languages:
        if language in by_language:
            return by_language[language]
    return words[0][1] if words else ""
