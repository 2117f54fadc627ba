"""What a fault campaign found, in the words of Jepsen, and the table that is printed at the end of a run.

============  =========================================================================================
ok            acknowledged, and there once, wherever it must be
lost          acknowledged, and missing somewhere: must be 0
duplicated    there more than once where people or auditors look: must be 0
recovered     its outcome was unknown to whoever asked; it is there
unknown       its outcome was unknown, nobody asked again, and it is not there: allowed
false         said to be refused and there, or another answer for the same thing: must be 0
============  =========================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass, fields

import pytest

PROPERTY = "faults"
"""Under this name a test's finding travels in its report, from another process too."""


@dataclass(frozen=True)
class Found:
    """One row of the table.

    Attributes:
        faults: How many faults were injected.
        fault: What they were, such as ``power cuts``.
        wrong: Outcomes that were told falsely.
    """

    fault: str
    faults: int
    ok: int = 0
    lost: int = 0
    duplicated: int = 0
    recovered: int = 0
    unknown: int = 0
    wrong: int = 0

    def require_truth(self) -> None:
        """Fail unless nothing was lost, nothing doubled and no outcome was false."""
        assert (self.lost, self.duplicated, self.wrong) == (0, 0, 0), self

    def __add__(self, other: Found) -> Found:
        counts = (mine + theirs for mine, theirs in zip(astuple(self)[1:], astuple(other)[1:], strict=True))
        return Found(self.fault, *counts)


Tell = Callable[[Found], None]
"""How a test tells what it found; a row appears in the table whether the test passes or not."""

HEAD = ("", *("false" if field.name == "wrong" else field.name for field in fields(Found)[1:]))


def table(rows: Iterable[Found]) -> Iterator[str]:
    """Yield the lines of the table, rows of one fault added up, with the total below."""
    added: dict[str, Found] = {}
    for row in rows:
        added[row.fault] = added[row.fault] + row if row.fault in added else row
    if not added:
        return
    total = Found("all", 0)
    for row in added.values():
        total += row
    shown = [HEAD, *(line_of(row) for row in (*added.values(), total))]
    widths = [max(len(line[column]) for line in shown) for column in range(len(HEAD))]
    for line in shown:
        name, *figures = line
        padded = (figure.rjust(width) for figure, width in zip(figures, widths[1:], strict=True))
        yield "  ".join((name.ljust(widths[0]), *padded))


def line_of(row: Found) -> tuple[str, ...]:
    """Return a row's cells."""
    fault, *counts = astuple(row)
    return (fault, *(f"{count:,}" for count in counts))


def told(reports: Iterable[object]) -> Iterator[Found]:
    """Yield what the tests of a run have told."""
    for report in reports:
        if isinstance(report, pytest.TestReport) and report.when == "call":
            yield from (Found(*row) for name, row in report.user_properties if name == PROPERTY)  # type: ignore[misc]
