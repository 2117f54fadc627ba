"""What every part of the paper needs: the page, its language, and how times and leaves are written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from exchange.audit.report.blocks import Block, Cell, fit, paragraph
from exchange.audit.report.charts import Chart
from exchange.audit.report.model import (
    Page,
)
from exchange.audit.report.reading import (
    Capped,
)
from exchange.audit.report.rules import Rules
from exchange.audit.report.scene import fixed_svg
from exchange.audit.report.terms import Terms
from exchange.audit.report.words import Words

FONT = "Libertinus Serif"
WIDTH = 660


class Sheet:
    """A part of the report on paper, in one language.

    Args:
        page: What is shown.
        words: The language.
    """

    def __init__(self, page: Page, words: Words) -> None:
        self.page = page
        self.words = words
        self.terms = Terms(words)
        self.rules = Rules(words)
        self._listed = frozenset(row.index for row in page.leaves.shown)

    def drawn(self, chart: Chart) -> Block:
        """Return a chart."""
        svg = fit(fixed_svg(chart.scene, WIDTH, FONT))
        return {"type": "chart", "title": chart.title, "alt": chart.description or chart.title, "svg": svg}

    def left_out(self, capped: Capped[Any]) -> Iterator[Block]:
        """Yield a sentence about what is not listed, if there is anything."""
        if capped.left_out:
            yield paragraph(
                self.words.say_n(
                    "%(n)s more is not listed here; it is in the bundle, and counted in every figure.",
                    "%(n)s more are not listed here; they are in the bundle, and counted in every figure.",
                    capped.left_out,
                )
            )

    def leaf(self, index: int | None) -> Cell:
        """Return the number of a leaf, leading to its row where there is one."""
        if index is None:
            return "–"
        return {"t": str(index), "to": f"ack-{index}"} if index in self._listed else str(index)

    def when(self, at_ms: int | None) -> str:
        """Return a time in UTC, or a dash."""
        return "–" if at_ms is None else self.words.time(at_ms)

    def length(self, millis: int | None) -> str:
        """Return a length of time, or a dash."""
        return "–" if millis is None else self.words.length(millis)
