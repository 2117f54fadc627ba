"""The laws of translation, over any valid schemas."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from protocol import codec
from protocol.severity import Level, Schema, parse_schema, tag_for
from protocol.translation import Fit, NoTranslation, Translation, translate, translate_point
from tests.severities import POINTS, schemas

SOURCES = schemas(id="source")
TARGETS = schemas(id="target")


def mapped(schema: Schema) -> list[Level]:
    return [level for level in schema.levels if level.mapped]


def to(source: Schema, level: Level, target: Schema) -> Translation:
    result = translate(source, level.code, target)
    assert isinstance(result, Translation)
    return result


@given(SOURCES)
def test_any_valid_schema_survives_the_wire(schema: Schema) -> None:
    """Parsing what was encoded gives the same schema."""
    assert parse_schema(codec.encode(schema)) == schema


@given(SOURCES, TARGETS)
def test_a_graver_level_never_translates_to_a_milder_one(source: Schema, target: Schema) -> None:
    """Order is kept from any scale to any other."""
    ranks = [to(source, level, target).nominal.rank for level in mapped(source)]
    assert all(lower <= upper for lower, upper in pairwise(ranks))


@given(TARGETS)
def test_a_higher_point_never_translates_to_a_milder_level(target: Schema) -> None:
    """Order is kept from the reference scale too."""
    results = [translate_point(point, target) for point in range(6)]
    ranks = [result.nominal.rank for result in results if isinstance(result, Translation)]
    assert len(ranks) == 6
    assert ranks == sorted(ranks)


@given(st.one_of(SOURCES, schemas(mapped=False)))
def test_a_schema_translates_to_itself_unchanged(schema: Schema) -> None:
    """Same id and version, same level, mapped or not."""
    for level in schema.levels:
        assert translate(schema, level.code, schema) == Translation(level, (level,), Fit.SAME)


@given(SOURCES)
def test_by_way_of_the_reference_scale_and_back_no_level_is_lowered(source: Schema) -> None:
    """The point in the tag alone never understates to the sender itself."""
    for level in mapped(source):
        back = translate_point(tag_for(source, level.code).point, source)
        assert isinstance(back, Translation)
        assert back.nominal.rank >= level.rank
        assert level in back.candidates


@given(SOURCES, TARGETS)
def test_to_another_scale_and_back_no_level_is_lowered_without_a_flag(source: Schema, target: Schema) -> None:
    """Whoever reads a lowered level was warned on the way."""
    for level in mapped(source):
        there = to(source, level, target)
        back = to(target, there.nominal, source)
        warned = there.flag.understates or back.flag.understates
        assert warned or back.nominal.rank >= level.rank


@given(SOURCES, TARGETS)
def test_a_lower_nominal_point_always_carries_a_flag(source: Schema, target: Schema) -> None:
    """The flag says exactly how the two points compare."""
    for level in mapped(source):
        result = to(source, level, target)
        assert result.nominal.nominal is not None
        assert level.nominal is not None
        assert result.flag.understates == (result.nominal.nominal < level.nominal)
        assert (result.flag is Fit.EQUAL) == (result.nominal.nominal == level.nominal)


@given(SOURCES, TARGETS)
def test_the_shown_level_is_a_candidate_and_candidates_ascend(source: Schema, target: Schema) -> None:
    """Every candidate is mapped, and none is missing whose range meets the sender's."""
    for level in mapped(source):
        result = to(source, level, target)
        ranks = [candidate.rank for candidate in result.candidates]
        assert result.nominal in result.candidates
        assert all(lower < upper for lower, upper in pairwise(ranks))
        for other in mapped(target):
            if not (_span(other).isdisjoint(_span(level))):
                assert other in result.candidates


@given(schemas(id="source", mapped=False), TARGETS, POINTS)
def test_without_a_mapping_on_either_side_there_is_no_translation(
    bare: Schema, target: Schema, point: int
) -> None:
    """Never a guess."""
    for level in bare.levels:
        assert isinstance(translate(bare, level.code, target), NoTranslation)
    for level in target.levels:
        assert isinstance(translate(target, level.code, bare), NoTranslation)
    assert isinstance(translate_point(point, bare), NoTranslation)


def _span(level: Level) -> set[int]:
    assert level.low is not None
    assert level.high is not None
    return set(range(level.low, level.high + 1))
