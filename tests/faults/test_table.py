"""The table of faults keeps its word: every fault has a row, and every test that a row names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_threats import names_in

TEXT = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+) \| (.*) \| (.*) \|$", TEXT, re.MULTILINE)
PROMISES = re.findall(r"^\| (\d+)\. (.*) \| (.*) \|$", TEXT, re.MULTILINE)
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))

LOSS_DUPLICATION_AND_ORDER = ["1", "2", "3", "6", "7", "8", "10"]
"""The promises of the README that concern them."""


def test_all_82_faults_have_a_row_with_a_test_or_a_reason() -> None:
    """A fault that nobody injects, and nobody says why, is one that nobody thought of."""
    assert [int(number) for number, _, _ in ROWS] == list(range(1, 83))
    assert [number for number, _, tests in ROWS if "::test_" not in tests and " " not in tests] == []


def test_every_promise_about_loss_duplication_and_order_names_a_fault() -> None:
    """A promise that no fault was tried against is a hope."""
    assert [number for number, _, _ in PROMISES] == LOSS_DUPLICATION_AND_ORDER
    assert all("::test_" in tests for _, _, tests in PROMISES)


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_every_test_that_it_names_exists(path: str, name: str) -> None:
    """A renamed test leaves no row behind."""
    assert name in names_in(path)
