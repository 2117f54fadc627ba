"""Fixtures of the acceptance tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.ceremony import Founded, ceremony
from tests.acceptance.world import World, living, settle

__all__ = ["ceremony"]


@pytest.fixture(scope="session")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    """A community that is ready to run on a free port; not to be changed."""
    return settle(tmp_path_factory.mktemp("settled"))


@pytest.fixture
def world(settled: Founded) -> Iterator[World]:
    """A copy of the community, of which nothing runs yet."""
    with living(settled) as here:
        yield here
