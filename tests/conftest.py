"""What a run of the tests is told apart by, and what it prints at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import chain
from pathlib import Path

import pytest

from tests.clocks import FixedClock
from tests.community import community
from tests.faults.found import table, told
from tests.stores import ENGINES, Servers, Store, Stores

FAULTS = ("tests/faults/", "tests/lying/")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the fault tests by where they lie, before anything is chosen by its mark."""
    for item in items:
        if item.nodeid.startswith(FAULTS):
            item.add_marker("fault")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the fault campaigns of this run found, and the figures that tests have measured."""
    reports = list(chain.from_iterable(terminalreporter.stats.values()))
    for title, lines in (("faults", list(table(told(reports)))), ("figures", list(figures(reports)))):
        if lines:
            terminalreporter.section(title)
            for line in lines:
                terminalreporter.write_line(line)


def figures(reports: Iterable[object]) -> Iterator[str]:
    """Yield what tests recorded as a ``figure``; what they print is lost where several run at once."""
    for report in reports:
        if isinstance(report, pytest.TestReport) and report.when == "call":
            yield from (str(value) for name, value in report.user_properties if name == "figure")


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Start database servers when they are asked for, and stop them after the last test."""
    servers = Servers()
    yield servers
    servers.stop()


@pytest.fixture(params=ENGINES)
async def stores(request: pytest.FixtureRequest, tmp_path: Path, servers: Servers) -> AsyncIterator[Stores]:
    """Give what opens an empty store, on each engine in turn."""
    opener = Stores(request.param, tmp_path, servers, FixedClock(community().now_ms))
    yield opener
    await opener.close()


@pytest.fixture
async def store(stores: Stores) -> Store:
    """Open an empty store, on each engine in turn."""
    return await stores.open()
