"""Write the severity vectors: ``python -m tests.vectors.severity.generate``.

Works on plain lists and msgpack alone, so that a vector does not pass because the code that
wrote it and the code that reads it share a mistake.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgpack

FOLDER = Path(__file__).parent

Vector = dict[str, Any]

# Positions in the arrays of a schema and of a level.
STATUS, BY_STATE, NOTES, MAPPING, VALID_FROM, VALID_UNTIL, LEVELS = 8, 9, 12, 13, 14, 15, 16
CODE, RANK, NAMES, DEFINITION, NOMINAL, LOW, HIGH, CONFIDENCE = 0, 1, 2, 3, 4, 5, 6, 7


def level(code: str, rank: int, low: int | None, nominal: int | None, high: int | None) -> list[Any]:
    return [code, rank, [["es", code.title()]], [], nominal, low, high, None, None]


def schema(name: str, *levels: list[Any], mapping: str = "issued") -> list[Any]:
    head = [1, name, 1, "XZZ", "XZZ", None, "es", [["es", "Escala"]], "example", False]
    return [*head, "almenara vectors", "Example.", [], mapping, None, None, list(levels)]


BASE = schema("xzz-base", level("leve", 1, 0, 1, 2), level("medio", 2, 1, 2, 3), level("grave", 3, 3, 4, 5))
COARSE = schema("xzz-coarse", level("low", 1, 0, 0, 1), level("top", 2, 4, 4, 4))
BARE = schema("xzz-bare", level("leve", 1, None, None, None), mapping="none")


def packed(value: Any) -> str:
    return bytes(msgpack.packb(value)).hex()


def changed(*path_and_value: Any) -> list[Any]:
    """Return the base schema with one place changed: positions first, the new value last."""
    *path, last, value = path_and_value
    whole = copy.deepcopy(BASE)
    place = whole
    for step in path:
        place = place[step]
    place[last] = value
    return whole


def refused_schema(what: str, layer: str, value: Any, step: int | None = None) -> Vector:
    vector = {"what": what, "kind": "schema", "layer": layer, "bytes": packed(value)}
    return vector if step is None else {**vector, "step": step}


def schemas() -> dict[str, Vector]:
    long_form = "dd00000011" + packed(BASE)[len("dc0011") :]
    many = [level(f"l{rank}", rank, None, None, None) for rank in range(65)]
    return {
        "schema-valid": {
            "what": "three mapped levels whose ranges overlap",
            "kind": "schema",
            "layer": None,
            "bytes": packed(BASE),
        },
        "schema-valid-unmapped": {
            "what": "a scale that nobody has mapped",
            "kind": "schema",
            "layer": None,
            "bytes": packed(BARE),
        },
        "schema-long-form": {
            "what": "the outer array has a longer header than it needs",
            "kind": "schema",
            "layer": "profile",
            "bytes": long_form,
        },
        "schema-trailing-byte": {
            "what": "one byte follows the schema",
            "kind": "schema",
            "layer": "profile",
            "bytes": packed(BASE) + "c0",
        },
        "schema-truncated": {
            "what": "the last byte is missing",
            "kind": "schema",
            "layer": "profile",
            "bytes": packed(BASE)[:-2],
        },
        "schema-title-not-nfc": refused_schema(
            "an accent is written as a combining character", "profile", changed(7, 0, 1, "Grado\u0301")
        ),
        "schema-sixteen-fields": refused_schema("the levels are missing", "shape", BASE[:-1]),
        "schema-eighteen-fields": refused_schema("a field is added at the end", "shape", [*BASE, None]),
        "schema-format-2": refused_schema("a later version of the format", "shape", changed(0, 2)),
        "schema-version-0": refused_schema("versions begin at 1", "shape", changed(2, 0)),
        "schema-no-levels": refused_schema("no level at all", "shape", changed(LEVELS, [])),
        "schema-65-levels": refused_schema(
            "one level too many", "shape", schema("xzz", *many, mapping="none")
        ),
        "schema-rank-1001": refused_schema("a rank out of bounds", "shape", changed(LEVELS, 2, RANK, 1001)),
        "schema-point-6": refused_schema("no such point", "shape", changed(LEVELS, 2, HIGH, 6)),
        "schema-code-capital": refused_schema(
            "a code in capitals", "shape", changed(LEVELS, 0, CODE, "Leve")
        ),
        "schema-published-by-nobody": refused_schema(
            "status published, but not by the state", "rules", changed(STATUS, "published"), 2
        ),
        "schema-example-by-state": refused_schema(
            "an example that claims to be published by the state", "rules", changed(BY_STATE, True), 2
        ),
        "schema-validity-empty": refused_schema(
            "it ends when it begins",
            "rules",
            [*BASE[:VALID_FROM], 1893456000000, 1893456000000, BASE[LEVELS]],
            3,
        ),
        "schema-language-twice": refused_schema(
            "two notes in one language", "rules", changed(NOTES, [["es", "a"], ["es", "b"]]), 4
        ),
        "schema-name-not-original": refused_schema(
            "a level has no name in the original language",
            "rules",
            changed(LEVELS, 0, NAMES, [["en", "Minor"]]),
            4,
        ),
        "schema-code-twice": refused_schema(
            "two levels have one code", "rules", changed(LEVELS, 1, CODE, "leve"), 5
        ),
        "schema-rank-twice": refused_schema(
            "two levels have one rank", "rules", changed(LEVELS, 1, RANK, 1), 5
        ),
        "schema-ranks-descend": refused_schema(
            "levels are not in ascending rank", "rules", changed(LEVELS, 0, RANK, 9), 5
        ),
        "schema-mapping-partial": refused_schema(
            "a nominal point without a range", "rules", changed(LEVELS, 0, LOW, None), 6
        ),
        "schema-nominal-outside": refused_schema(
            "the range does not hold the nominal point", "rules", changed(LEVELS, 2, LOW, 5), 6
        ),
        "schema-confidence-in-nothing": refused_schema(
            "a confidence where there is no mapping",
            "rules",
            changed(LEVELS, 0, [*level("leve", 1, None, None, None)[:CONFIDENCE], "high", None]),
            6,
        ),
        "schema-mapping-denied": refused_schema(
            "levels are mapped, but the mapping is none", "rules", changed(MAPPING, "none"), 7
        ),
        "schema-nominal-falls": refused_schema(
            "a graver level has a lower nominal point",
            "rules",
            changed(LEVELS, 1, level("medio", 2, 0, 0, 3)),
            8,
        ),
        "schema-range-falls": refused_schema(
            "a graver level has a range that begins lower",
            "rules",
            [*BASE[:LEVELS], [level("leve", 1, 1, 1, 2), level("medio", 2, 0, 2, 3)]],
            8,
        ),
    }


def tag(what: str, layer: str | None, value: list[Any], against: list[Any] | None = None) -> Vector:
    vector: Vector = {"what": what, "kind": "tag", "layer": layer, "bytes": packed(value)}
    if layer is None:
        vector["value"] = value
    return vector if against is None else {**vector, "schema": packed(against)}


def tags() -> dict[str, Vector]:
    return {
        "tag-valid": tag("a mapped level", None, ["xzz-base", 1, "grave", 4], BASE),
        "tag-valid-unmapped": tag(
            "an unmapped level has no point", None, ["xzz-bare", 1, "leve", None], BARE
        ),
        "tag-point-6": tag("no such point", "shape", ["xzz-base", 1, "grave", 6]),
        "tag-three-fields": tag("the point is missing", "shape", ["xzz-base", 1, "grave"]),
        "tag-version-text": tag("the version is text", "shape", ["xzz-base", "1", "grave", 4]),
        "tag-point-raised": tag("a point above the schema's", "schema", ["xzz-base", 1, "leve", 5], BASE),
        "tag-point-invented": tag(
            "a point for an unmapped level", "schema", ["xzz-bare", 1, "leve", 5], BARE
        ),
        "tag-level-unknown": tag("a level the schema lacks", "schema", ["xzz-base", 1, "muy-grave", 5], BASE),
        "tag-other-version": tag(
            "another version of the schema", "schema", ["xzz-base", 2, "grave", 4], BASE
        ),
    }


def reference(what: str, text: str, value: list[Any] | None) -> Vector:
    if value is None:
        return {"what": what, "kind": "reference", "layer": "text", "text": text}
    return {"what": what, "kind": "reference", "layer": None, "text": text, "value": value}


def references() -> dict[str, Vector]:
    return {
        "reference-full": reference("all three parts", "xaa-national@1:grave", ["xaa-national", 1, "grave"]),
        "reference-no-version": reference(
            "the newest version", "xaa-national:grave", ["xaa-national", None, "grave"]
        ),
        "reference-schema-only": reference("a schema", "ppd-41", ["ppd-41", None, None]),
        "reference-leading-zero": reference("a version with a leading zero", "xaa-national@01:grave", None),
        "reference-capital": reference("a capital letter", "xaa-national@1:Grave", None),
        "reference-space": reference("a space", "xaa-national@1: grave", None),
        "reference-swapped": reference("level before version", "xaa-national:grave@1", None),
        "reference-version-65536": reference("a version out of bounds", "xaa-national@65536:grave", None),
    }


def translation(
    what: str, asked: list[Any] | int | None, target: list[Any], result: list[Any] | str
) -> Vector:
    """``asked`` is [schema, level] or a bare point; ``result`` is [shown, candidates, flag] or a reason."""
    vector: Vector = {"what": what, "kind": "translation", "layer": None}
    if isinstance(asked, list):
        vector |= {"source": packed(asked[0]), "level": asked[1]}
    else:
        vector |= {"point": asked}
    return vector | {"target": packed(target), "result": result}


def translations() -> dict[str, Vector]:
    point_two = schema("xzz-two", level("dos", 1, 2, 2, 2))
    tied = schema("xzz-tied", level("low", 1, 1, 1, 2), level("high", 2, 2, 3, 3))
    wide = schema("xzz-wide", level("low", 1, 0, 1, 5))
    twins = schema("xzz-twins", level("zero", 1, 2, 2, 2), level("one", 2, 2, 2, 2))
    return {
        "translation-same": translation(
            "the same schema", [BASE, "medio"], BASE, ["medio", ["medio"], "same"]
        ),
        "translation-equal": translation(
            "a level with the same nominal point",
            [point_two, "dos"],
            BASE,
            ["medio", ["leve", "medio"], "equal"],
        ),
        "translation-tie-raised": translation(
            "two levels equally near: the graver",
            [point_two, "dos"],
            tied,
            ["high", ["low", "high"], "raised"],
        ),
        "translation-twins": translation(
            "two levels of one nominal point: the graver", 2, twins, ["one", ["zero", "one"], "equal"]
        ),
        "translation-lowered": translation(
            "the only level that holds the point is usually milder",
            [BASE, "grave"],
            wide,
            ["low", ["low"], "lowered"],
        ),
        "translation-nearest-higher": translation(
            "no level holds the point: the next above, and the milder one stays a candidate",
            [BASE, "medio"],
            COARSE,
            ["top", ["low", "top"], "nearest-higher"],
        ),
        "translation-nearest-lower": translation(
            "the target ends below the point", 5, COARSE, ["top", ["top"], "nearest-lower"]
        ),
        "translation-source-unmapped": translation(
            "the source is not mapped", [BARE, "leve"], BASE, "source-unmapped"
        ),
        "translation-target-unmapped": translation(
            "the target is not mapped", [BASE, "leve"], BARE, "target-unmapped"
        ),
        "translation-no-point": translation("the tag has no point", None, BASE, "source-unmapped"),
    }


def vectors() -> dict[str, Vector]:
    """Return every vector by the name of its file."""
    return schemas() | tags() | references() | translations()


def text_of(vector: Vector) -> str:
    return json.dumps(vector, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, vector in vectors().items():
        (FOLDER / f"{name}.json").write_text(text_of(vector), encoding="utf-8")
