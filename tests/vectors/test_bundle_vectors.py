"""The kept bundle is true, each way of spoiling it is found, and the page shows its list."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from exchange.audit.verdict import Grade, Outcome
from exchange.audit.verify.bundle import verify_bundle
from protocol.ledger.bundle import LIST_NAME
from tests.bundles import Memory
from tests.vectors.make_bundle import GOOD, REFUSED
from tests.vectors.make_spec import SPEC

KEPT = json.loads(GOOD.read_text())
ROOT = bytes.fromhex(KEPT["root_hash"])
FILES = {name: bytes.fromhex(data) for name, data in KEPT["files"].items()}
CASES: list[dict[str, Any]] = json.loads(REFUSED.read_text())


def test_the_kept_bundle_is_true() -> None:
    """A verdict lasts: this bundle was made once, and verifies for ever."""
    verdict = verify_bundle(Memory(FILES), ROOT)
    assert verdict.verdict is Outcome.OK, verdict.findings


def spoiled(case: dict[str, Any]) -> dict[str, bytes]:
    files = dict(FILES)
    for name in case.get("remove", ()):
        del files[name]
    if "flip" in case:
        name, at = case["flip"]
        data = bytearray(files[name])
        data[at] ^= 1
        files[name] = bytes(data)
    if "cut" in case:
        name, at = case["cut"]
        files[name] = files[name][:at]
    return files


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["comment"]))
def test_what_is_wrong_is_found_where_it_is(case: dict[str, Any]) -> None:
    """Each case names its code, and the leaf or file that must be named."""
    verdict = verify_bundle(Memory(spoiled(case)), ROOT)
    found = [one for one in verdict.findings if one.severity is Grade.FAILED and one.code == case["code"]]
    assert found, verdict.findings
    assert case.get("leaf") in {None, *(one.leaf for one in found)}
    assert case.get("where") in {None, *(one.where for one in found)}


def test_the_page_shows_the_list_of_the_kept_bundle() -> None:
    """Example first, and the example is real."""
    page = (SPEC / "bundle.md").read_text("utf-8")
    block = re.search(r"^```text bundle-list\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert block is not None
    assert block[1].encode() == FILES[LIST_NAME]
