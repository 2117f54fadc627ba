"""What a run of the tests is told apart by, and what it prints at its end."""

from __future__ import annotations

from itertools import chain

import pytest

from tests.faults.found import table, told

FAULTS = ("tests/faults/", "tests/lying/")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the fault tests by where they lie, before anything is chosen by its mark."""
    for item in items:
        if item.nodeid.startswith(FAULTS):
            item.add_marker("fault")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the fault campaigns of this run found."""
    reports = chain.from_iterable(terminalreporter.stats.values())
    if lines := list(table(told(reports))):
        terminalreporter.section("faults")
        for line in lines:
            terminalreporter.write_line(line)
