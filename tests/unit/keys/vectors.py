"""Finds test vectors: the project's own, and those of others where they are at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
OWN = REPOSITORY / "tests" / "vectors" / "keys"
OUTSIDE = REPOSITORY.parent / "shared" / "vectors"


def own_scenarios(kind: str) -> list[Any]:
    """Return the project's scenarios of one kind as pytest parameters, named by their files."""
    found = [pytest.param(json.loads(path.read_text()), id=path.stem) for path in OWN.glob(f"{kind}-*.json")]
    assert found, f"no vectors of kind {kind}"
    return sorted(found, key=lambda each: str(each.id))


def outside_vectors(name: str) -> Any:
    """Return the content of a file of vectors made by others, or skip saying it is absent."""
    path = OUTSIDE / name
    if not path.exists():
        pytest.skip(f"the outside vectors {name} are not beside this repository")
    return json.loads(path.read_text())
