"""Translation by ranges, on cases worked by hand; the laws are in tests/property."""

from __future__ import annotations

import pytest

from exchange.severity.load import bundled_schemas
from protocol.errors import UnknownSeverity
from protocol.translation import Fit, NoTranslation, Translation, Why, translate, translate_point
from tests.severities import level, schema

BUNDLED = {one.id: one for one in bundled_schemas()}


@pytest.mark.parametrize(
    ("code", "shown", "candidates", "flag"),
    [
        ("critico", "c1", ["c1"], Fit.EQUAL),
        ("grave", "c2", ["c3", "c2"], Fit.EQUAL),
        ("moderado", "c3", ["c4", "c3"], Fit.RAISED),
        ("leve", "c4", ["c5", "c4"], Fit.EQUAL),
    ],
)
def test_the_worked_example_of_the_specification_holds(
    code: str, shown: str, candidates: list[str], flag: Fit
) -> None:
    """The table under "Translation" in ``spec/severity.md``."""
    result = translate(BUNDLED["xaa-national"], code, BUNDLED["xbb-national"])
    assert isinstance(result, Translation)
    assert (shown, candidates, flag) == (
        result.nominal.code,
        [candidate.code for candidate in result.candidates],
        result.flag,
    )


def test_a_lower_level_is_flagged() -> None:
    """A reader must know that the sender may mean something graver."""
    source, target = schema(level("a", 1, (4, 4, 4))), schema(level("b", 1, (2, 3, 4)), id="other")
    result = translate(source, "a", target)
    assert isinstance(result, Translation)
    assert result.flag is Fit.LOWERED
    assert result.flag.understates


def test_where_no_range_holds_the_point_the_next_level_above_is_shown() -> None:
    """Prefer not to understate; the milder level stays among the candidates."""
    source = schema(level("a", 1, (1, 2, 2)))
    target = schema(
        level("mild", 1, (0, 0, 1)), level("high", 2, (4, 4, 4)), level("top", 3, (5, 5, 5)), id="o"
    )
    result = translate(source, "a", target)
    assert isinstance(result, Translation)
    assert (result.nominal.code, result.flag) == ("high", Fit.NEAREST_HIGHER)
    assert [candidate.code for candidate in result.candidates] == ["mild", "high"]


def test_where_nothing_lies_above_the_gravest_level_is_shown_with_a_flag() -> None:
    """A scale that ends early understates, and says so."""
    result = translate_point(5, schema(level("a", 1, (0, 0, 1)), level("b", 2, (1, 2, 3))))
    assert isinstance(result, Translation)
    assert (result.nominal.code, result.flag) == ("b", Fit.NEAREST_LOWER)
    assert result.flag.understates


def test_levels_of_one_nominal_point_go_to_the_graver() -> None:
    """NCISS has two baselines at point 0."""
    result = translate(BUNDLED["ppd-41"], "baseline", BUNDLED["us-nciss"])
    assert isinstance(result, Translation)
    assert result.nominal.code == "baseline-minor"


def test_without_a_mapping_there_is_no_translation() -> None:
    """Never a guess, not even between scales of the same words."""
    bare, mapped = schema(level("grave", 1)), schema(level("grave", 1, (3, 4, 5)), id="other")
    assert translate(bare, "grave", mapped) == NoTranslation(Why.SOURCE_UNMAPPED)
    assert translate(mapped, "grave", bare) == NoTranslation(Why.TARGET_UNMAPPED)
    assert translate_point(None, mapped) == NoTranslation(Why.SOURCE_UNMAPPED)
    assert translate_point(3, bare) == NoTranslation(Why.TARGET_UNMAPPED)


def test_another_version_of_a_schema_is_another_schema() -> None:
    """Words drift between versions, so they go through the reference scale."""
    old, new = schema(level("a", 1, (3, 3, 3))), schema(level("a", 1, (4, 4, 4)), version=2)
    result = translate(old, "a", new)
    assert isinstance(result, Translation)
    assert result.flag is Fit.NEAREST_HIGHER


def test_an_unknown_level_is_an_error_and_not_a_missing_translation() -> None:
    """The two must not be confused."""
    with pytest.raises(UnknownSeverity):
        translate(BUNDLED["ppd-41"], "grave", BUNDLED["xbb-national"])
