"""What paper is made of: headings, paragraphs, tables, and only signs that the fonts at hand have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

Block = dict[str, Any]
Cell = str | dict[str, str]

_UNPRINTABLE = re.compile(
    r"[^\n\x20-\x7e\xa0-\u017f\u0391-\u03c9\u0400-\u045f\u2013\u2014\u2018\u2019\u201c\u201d\u2026\u2192\u2212\u2264\u2265]"
)


def fit(value: Any) -> Any:
    r"""Return a value in which every string has only signs that the fonts at hand have.

    Any other sign is written as an escape such as ``\u{6f22}``: paper for everybody may not lack one.
    """
    match value:
        case str():
            return _UNPRINTABLE.sub(lambda sign: _escape(sign[0]), value.replace("\u202f", "\xa0"))
        case dict():
            return {key: fit(one) for key, one in value.items()}
        case list() | tuple():
            return [fit(one) for one in value]
        case _:
            return value


def _escape(sign: str) -> str:
    return f"\\u{{{ord(sign):x}}}"


def heading(text: str, level: int = 2) -> Block:
    """Return a heading, of a section (2) or inside one (3)."""
    return {"type": "h", "level": level - 1, "text": text}


def paragraph(text: str) -> Block:
    """Return a paragraph in the language of the page."""
    return {"type": "p", "text": text, "lang": None}


def table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[Cell]], numbers: int = 0, small: bool = False
) -> Block:
    """Return a table.

    Args:
        caption: What it shows.
        heads: One for each column.
        rows: Cells; one that leads to a leaf, or is the leaf's own row, is a mapping.
        numbers: How many of the last columns are numbers.
        small: It has so many columns that it needs small print.
    """
    every = [[cell if isinstance(cell, dict) else {"t": cell} for cell in row] for row in rows]
    made: Block = {"type": "table", "caption": caption, "heads": list(heads), "rows": every}
    return made | {"numbers": numbers, "small": small}
