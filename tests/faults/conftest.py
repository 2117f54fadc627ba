"""Fixtures of the fault tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple

import pytest

from exchange.stores import connection
from tests.acceptance.conftest import _heeding_ctrl_c, settled, world
from tests.faults.found import PROPERTY, Found, Tell
from tests.faults.lossy_vfs import LossyVFS

__all__ = ["_heeding_ctrl_c", "settled", "world"]


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Return how this test tells what it found."""

    def tell(found: Found) -> None:
        request.node.user_properties.append((PROPERTY, astuple(found)))

    return tell


@pytest.fixture
def vfs(monkeypatch: pytest.MonkeyPatch) -> Iterator[LossyVFS]:
    """Register the lossy file system for one test, and fold the WAL often, so that faults hit that too."""
    monkeypatch.setattr(connection, "AUTOCHECKPOINT_PAGES", 24)
    lossy = LossyVFS()
    yield lossy
    lossy.unregister()
