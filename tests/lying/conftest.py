"""The community that every liar gets a copy of."""

from __future__ import annotations

import pytest

from tests.acceptance.ceremony import Founded
from tests.acceptance.world import settle


@pytest.fixture(scope="session")
def honest_community(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    """Return a community that was set up and runs nowhere."""
    return settle(tmp_path_factory.mktemp("honest"))
