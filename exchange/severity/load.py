"""Read a severity schema from the TOML file that a state fills in, and the bundled ones.

The bundled files say where they were transcribed from. None of them was published here by its
state, and carrying one does not make its state a member of anything.
"""

from __future__ import annotations

import datetime
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from importlib import resources

import msgspec

from protocol.errors import FormatError
from protocol.fields import Line, Slug, StateCode
from protocol.severity import (
    Confidence,
    Country,
    Language,
    Level,
    MappingOrigin,
    Point,
    Rank,
    Schema,
    SchemaVersion,
    Status,
    Text,
    check_schema,
)

BUNDLED = (
    "ppd-41",
    "us-nciss",
    "es-rd43-2021-impact",
    "cz-82-2018",
    "eu-nis-impact",
    "xaa-national",
    "xbb-national",
    "xcc-national",
)

_DAY_MS = 24 * 3600 * 1000
_EPOCH = datetime.date(1970, 1, 1)
_FIELD = re.compile(r"`\$[^`]*?([a-z_]+)(?:\[\.\.\.\]|\[\d+\])*`|field `([a-z_]+)`")
_LEVEL = re.compile(r"`\$\.level\[(\d+)\]")

ALLOWED: Mapping[str, str] = {
    "id": "a lower-case name such as xaa-national: letters a-z, digits, '-' and '.', at most 64",
    "version": "a whole number from 1 to 65535",
    "issuer": "the issuer's code in the directory, such as XAA",
    "country": "an ISO 3166 alpha-3 code such as XAA",
    "region": "one line of text",
    "language": "a language tag such as es or pt-BR",
    "title": "a table of language = one line of text",
    "status": "published, transcribed, fictitious or example",
    "published_by_state": "true or false",
    "mapping": "none, proposed or issued",
    "source": "one line, such as the address of the original",
    "provenance": "text of 1 to 4000 characters",
    "notes": "a table of language = text",
    "valid_from": "a date such as 2030-01-01",
    "valid_until": "a date such as 2030-01-01",
    "level": "one [[level]] table for each level, 1 to 64",
    "code": "a lower-case name such as grave or c1: letters a-z, digits, '-' and '.', at most 64",
    "rank": "a whole number from 0 to 1000, higher is graver",
    "names": "a table of language = one line of text",
    "definition": "a table of language = text",
    "nominal": "a whole number from 0 to 5",
    "range": "two whole numbers from 0 to 5, such as [3, 4]",
    "confidence": "low, medium-low, medium, medium-high or high",
    "reason": "one line of text",
}
"""What each field of the file may hold, for messages and for ``severity check``."""


class _LevelTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: Slug
    rank: Rank
    names: dict[Language, Line]
    definition: dict[Language, Text] = {}
    nominal: Point | None = None
    range: tuple[Point, Point] | None = None
    confidence: Confidence | None = None
    reason: Line | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Slug
    version: SchemaVersion
    issuer: StateCode
    language: Language
    title: dict[Language, Line]
    status: Status
    published_by_state: bool
    mapping: MappingOrigin
    source: Line
    provenance: Text
    level: list[_LevelTable]
    country: Country | None = None
    region: Line | None = None
    notes: dict[Language, Text] = {}
    valid_from: datetime.date | None = None
    valid_until: datetime.date | None = None


def bundled_schemas() -> tuple[Schema, ...]:
    """Return the schemas that come with the program, the reference scale first."""
    return tuple(schema_from_toml(_resource(name), f"{name}.toml") for name in BUNDLED)


def template_text() -> str:
    """Return the documented TOML file that a state fills in to publish its own schema."""
    return _resource("template")


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8")


def schema_from_toml(text: str, what: str) -> Schema:
    """Return the checked schema that a TOML file describes.

    Args:
        text: The file's text. Letters with accents may be composed or not.
        what: The file's name, for messages.

    Raises:
        FormatError: it is no TOML, a field is missing, unknown or out of bounds (the message
            names it, the hint says what is allowed), or the schema as a whole breaks a rule.
    """
    try:
        table = tomllib.loads(unicodedata.normalize("NFC", text))
    except tomllib.TOMLDecodeError as error:
        raise FormatError(
            f"{what} is not TOML: {error}", hint="Correct the line that is named above."
        ) from error
    try:
        file = msgspec.convert(table, _File, strict=True)
    except msgspec.ValidationError as error:
        raise _explained(what, str(error)) from error
    try:
        return check_schema(_schema(file))
    except FormatError as error:
        raise FormatError(
            f"{what}: {error}", hint="Correct the file; the template explains each rule."
        ) from error


def _explained(what: str, problem: str) -> FormatError:
    """Turn the parser's words into a field's name, its level and what it may hold."""
    level = _LEVEL.search(problem)
    where = "" if level is None else f"level {int(level[1]) + 1}, "
    named = [name for found in _FIELD.findall(problem) for name in found if name in ALLOWED]
    if "unknown field" in problem or not named:
        hint = f"The fields are: {', '.join(ALLOWED)}."
        return FormatError(f"{what}: {where}{problem}", hint=hint)
    field = named[0]
    return FormatError(f"{what}: {where}field {field}: {problem}", hint=f"{field} must be {ALLOWED[field]}.")


def _schema(file: _File) -> Schema:
    # The file may list levels in any order; the wire has one: ascending rank.
    levels = sorted(file.level, key=lambda level: level.rank)
    return Schema(
        v=1,
        id=file.id,
        version=file.version,
        issuer=file.issuer,
        country=file.country,
        region=file.region,
        language=file.language,
        title=_words(file.title, file.language),
        status=file.status,
        published_by_state=file.published_by_state,
        source=file.source,
        provenance=file.provenance.strip(),
        notes=_words(file.notes, file.language),
        mapping=file.mapping,
        valid_from=_millis(file.valid_from),
        valid_until=_millis(file.valid_until),
        levels=tuple(_level(level, file.language) for level in levels),
    )


def _level(table: _LevelTable, language: str) -> Level:
    low, high = (None, None) if table.range is None else table.range
    return Level(
        code=table.code,
        rank=table.rank,
        names=_words(table.names, language),
        definition=_words(table.definition, language),
        nominal=table.nominal,
        low=low,
        high=high,
        confidence=table.confidence,
        reason=table.reason,
    )


def _words(table: Mapping[str, str], original: str) -> tuple[tuple[str, str], ...]:
    """Return the texts, the original first, then by language, so that one file has one encoding."""
    order = sorted(table, key=lambda language: (language != original, language))
    return tuple((language, table[language].strip()) for language in order)


def _millis(day: datetime.date | None) -> int | None:
    return None if day is None else (day - _EPOCH).days * _DAY_MS
