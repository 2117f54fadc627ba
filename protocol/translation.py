"""What a level of one scale would be called on another: advisory, by ranges, never a guess.

A translated level says "had this happened to you, you would call it about X". It is shown beside
the sender's own level, never instead of it. Where the answer is torn, it is the graver one, and
whatever is lower than the sender meant carries a flag. See ``spec/severity.md``, "Translation".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from protocol.severity import Level, Schema, level_of


class Fit(StrEnum):
    """How the chosen level stands to what the sender said."""

    SAME = "same"
    """The same level of the same version of the same schema."""
    EQUAL = "equal"
    """Its nominal point is the sender's."""
    RAISED = "raised"
    """Its range holds the sender's point, its own nominal point is higher."""
    LOWERED = "lowered"
    """Its range holds the sender's point, its own nominal point is lower."""
    NEAREST_HIGHER = "nearest-higher"
    """No range holds the sender's point; this is the next level above."""
    NEAREST_LOWER = "nearest-lower"
    """No range holds the sender's point and none lies above; this is the gravest there is."""

    @property
    def understates(self) -> bool:
        """Whether a reader must be warned that the sender may mean something graver."""
        return self in (Fit.LOWERED, Fit.NEAREST_LOWER)


class Why(StrEnum):
    """Why there is no translation."""

    SOURCE_UNMAPPED = "source-unmapped"
    TARGET_UNMAPPED = "target-unmapped"


@dataclass(frozen=True, slots=True)
class Translation:
    """The one level to show first, all levels that it may be (ascending), and how well it fits."""

    nominal: Level
    candidates: tuple[Level, ...]
    flag: Fit


@dataclass(frozen=True, slots=True)
class NoTranslation:
    """There is no translation, and none is guessed: show the sender's own level alone."""

    why: Why


@dataclass(frozen=True, slots=True)
class _Place:
    """A mapped level with its place on the reference scale."""

    level: Level
    nominal: int
    low: int
    high: int

    def holds(self, point: int) -> bool:
        return self.low <= point <= self.high

    def meets(self, other: _Place) -> bool:
        return self.low <= other.high and other.low <= self.high


def translate(source: Schema, level_code: str, target: Schema) -> Translation | NoTranslation:
    """Return what a level of ``source`` would be on ``target``.

    Both schemas must have passed :func:`protocol.severity.check_schema`.

    Raises:
        UnknownSeverity: ``source`` has no such level.
    """
    level = level_of(source, level_code)
    if (source.id, source.version) == (target.id, target.version):
        return Translation(level, (level,), Fit.SAME)
    place = _place(level)
    if place is None:
        return NoTranslation(Why.SOURCE_UNMAPPED)
    return _translate(place.nominal, place, target)


def translate_point(point: int | None, target: Schema) -> Translation | NoTranslation:
    """Return what a bare reference point 0..5 is on ``target``, when the sender's schema is not at hand."""
    if point is None:
        return NoTranslation(Why.SOURCE_UNMAPPED)
    return _translate(point, None, target)


def _translate(point: int, source: _Place | None, target: Schema) -> Translation | NoTranslation:
    places = [place for level in target.levels if (place := _place(level)) is not None]
    if not places:
        return NoTranslation(Why.TARGET_UNMAPPED)
    chosen, flag = _choose(point, places)
    candidates = tuple(
        place.level
        for place in places
        if place is chosen or (place.holds(point) if source is None else place.meets(source))
    )
    return Translation(chosen.level, candidates, flag)


def _choose(point: int, places: list[_Place]) -> tuple[_Place, Fit]:
    """Return the level to show first; ``places`` ascend by rank and are not empty."""
    holding = [place for place in places if place.holds(point)]
    if holding:
        # The gravest comes first, so that min() decides a tie for the graver level.
        chosen = min(reversed(holding), key=lambda place: abs(place.nominal - point))
        return chosen, _fit(chosen.nominal, point)
    above = [place for place in places if place.low > point]
    return (above[0], Fit.NEAREST_HIGHER) if above else (places[-1], Fit.NEAREST_LOWER)


def _fit(nominal: int, point: int) -> Fit:
    if nominal == point:
        return Fit.EQUAL
    return Fit.RAISED if nominal > point else Fit.LOWERED


def _place(level: Level) -> _Place | None:
    if level.nominal is None or level.low is None or level.high is None:
        return None
    return _Place(level, level.nominal, level.low, level.high)
