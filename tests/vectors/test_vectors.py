"""Run every vector of the wire formats: accepted, or refused by precisely the layer it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.vectors.judge import opened, verdict
from tests.vectors.kept import KEPT
from tests.vectors.make import FORMATS, HERE, vectors

FILES = sorted(path for folder in FORMATS for path in (HERE / folder).glob("*.json"))


def loaded(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


@pytest.mark.parametrize("path", [pytest.param(path, id=f"{path.parent.name}-{path.stem}") for path in FILES])
def test_a_vector_is_refused_by_the_layer_it_names(path: Path) -> None:
    """Not earlier, not later, and with its error code."""
    vector = loaded(path)
    assert verdict(path.parent.name, vector) == (vector["layer"], vector["code"])


@pytest.mark.parametrize("name", ["good", "good-seventh"])
def test_a_good_delivery_opens_to_what_the_vector_says(name: str) -> None:
    """Body and pair position, sealed by code that shares nothing with the one that opens."""
    vector = loaded(HERE / "opening" / f"{name}.json")
    notice = opened(vector)
    assert notice.position.sequence == vector["sequence"]
    assert notice.body.subject.encode() in bytes.fromhex(vector["body"])


def test_the_files_are_what_the_generator_writes() -> None:
    """A vector is changed by changing the generator, in view of a reviewer."""
    written = {f"{path.parent.name}/{path.name}": path.read_text() for path in FILES}
    assert written == vectors(KEPT)


def test_every_layer_has_a_vector() -> None:
    """A check that nothing offends against may be missing without anybody noticing."""
    layers = {loaded(path)["layer"] for path in FILES}
    assert layers == {
        *("none", "size", "encoding", "shape", "layout"),
        *("suite", "directory", "signer", "proof", "signature", "clock", "addressee", "parts", "expiry"),
        *("wrap", "position", "payload", "padding", "body", "sender"),
    }
