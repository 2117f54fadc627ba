"""Fixtures of the acceptance tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.acceptance.ceremony import Founded, ceremony
from tests.acceptance.world import World, living, settle

__all__ = ["ceremony"]


@pytest.fixture(scope="session", autouse=True)
def _heeding_ctrl_c() -> Iterator[None]:
    """What is started here heeds Ctrl-C, though a shell that runs the gate in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    """A community that is ready to run on a free port; not to be changed."""
    return settle(tmp_path_factory.mktemp("settled"))


@pytest.fixture
def world(settled: Founded) -> Iterator[World]:
    """A copy of the community, of which nothing runs yet."""
    with living(settled) as here:
        yield here
