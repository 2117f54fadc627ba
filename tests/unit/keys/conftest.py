"""The community of the tests, and a directory of it that every test may change."""

from __future__ import annotations

import pytest

from keys.trust import TrustedDirectory
from tests.community import Community, community


@pytest.fixture
def built() -> Community:
    """The people and the documents."""
    return community()


@pytest.fixture
def trusted(built: Community) -> TrustedDirectory:
    """What a member trusts that has loaded all of the documents."""
    return built.directory()
