"""Severity schemas for tests: small ones made by hand, and a strategy for any valid one."""

from __future__ import annotations

from hypothesis import strategies as st

from protocol.severity import Confidence, Level, Schema, check_schema

Mapping = tuple[int, int, int] | None
"""Low, nominal and high point of a level, or no mapping."""


def level(
    code: str,
    rank: int,
    mapping: Mapping = None,
    *,
    names: tuple[tuple[str, str], ...] = (("fr", "Nom"),),
    definition: tuple[tuple[str, str], ...] = (),
    confidence: Confidence | None = None,
    reason: str | None = None,
) -> Level:
    low, nominal, high = mapping or (None, None, None)
    return Level(code, rank, names, definition, nominal, low, high, confidence, reason)


def schema(*levels: Level, id: str = "xzz-example", version: int = 1) -> Schema:
    """Return a schema that nothing has checked."""
    return Schema(
        v=1,
        id=id,
        version=version,
        issuer="XZZ",
        country="XZZ",
        region=None,
        language="fr",
        title=(("fr", "Échelle"),),
        status="example",
        published_by_state=False,
        source="spec/severity.md",
        provenance="Example.",
        notes=(),
        mapping="issued" if any(one.mapped for one in levels) else "none",
        valid_from=None,
        valid_until=None,
        levels=levels,
    )


SPEC_EXAMPLE = schema(
    level("2", 10, names=(("fr", "Mineur"),)),
    level(
        "1",
        20,
        (3, 4, 5),
        names=(("fr", "Grave"), ("en", "Grave")),
        definition=(("fr", "Un service essentiel."),),
        confidence="high",
        reason="by definition",
    ),
    version=2,
)
"""The schema whose bytes stand in ``protocol/spec/severity.md``."""

POINTS = st.integers(min_value=0, max_value=5)


@st.composite
def schemas(draw: st.DrawFn, *, id: str = "xzz-any", mapped: bool = True) -> Schema:
    """Return any valid schema of 1..8 levels, mapped at one level at least, or at none."""
    count = draw(st.integers(min_value=1, max_value=8))
    ranks = sorted(draw(st.sets(st.integers(min_value=0, max_value=1000), min_size=count, max_size=count)))
    codes = draw(st.permutations([f"c{number}" for number in range(count)]))
    mappings = draw(_mappings(count)) if mapped else [None] * count
    levels = [level(code, rank, mapping) for code, rank, mapping in zip(codes, ranks, mappings, strict=True)]
    return check_schema(schema(*levels, id=id))


@st.composite
def _mappings(draw: st.DrawFn, count: int) -> list[Mapping]:
    """Return mappings that ascend in all three points, some of them left out."""
    columns = [sorted(draw(st.lists(POINTS, min_size=count, max_size=count))) for _ in range(3)]
    # Sorting each triple of three ascending columns keeps the columns ascending.
    triples = [(low, nominal, high) for low, nominal, high in map(sorted, zip(*columns, strict=True))]
    kept = draw(st.sets(st.integers(min_value=0, max_value=count - 1), min_size=1))
    return [triple if place in kept else None for place, triple in enumerate(triples)]
