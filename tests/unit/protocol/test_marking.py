"""TLP 2.0 labels: read leniently from people, strictly from the wire, written in one way."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from protocol import codec
from protocol.errors import FormatError
from protocol.fields import Wire
from protocol.marking import EXERCISE_MARK, Tlp, parse_tlp
from tests.pages import example_bytes

PAGE = Path(__file__).parents[3] / "protocol" / "spec" / "marking.md"


class Marked(Wire, frozen=True):
    """A wire structure with nothing but a label."""

    tlp: Tlp


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("amber", Tlp.AMBER),
        ("TLP:AMBER", Tlp.AMBER),
        ("tlp:amber+strict", Tlp.AMBER_STRICT),
        ("TLP:AMBER+STRICT", Tlp.AMBER_STRICT),
        ("Red", Tlp.RED),
        ("clear", Tlp.CLEAR),
        ("white", Tlp.CLEAR),
        ("TLP:WHITE", Tlp.CLEAR),
    ],
)
def test_a_person_may_write_a_label_with_or_without_its_prefix(text: str, expected: Tlp) -> None:
    """The old name of CLEAR is understood too."""
    assert expected is parse_tlp(text)


@pytest.mark.parametrize("text", ["", "tlp", "TLP: AMBER", "amber-strict", "amber+", "pink", "tlp:tlp:red"])
def test_anything_else_is_refused_with_the_list_of_labels(text: str) -> None:
    """A mistyped label must never become a freer one."""
    with pytest.raises(FormatError, match=r"red, amber\+strict, amber, green, clear"):
        parse_tlp(text)


def test_white_is_never_written() -> None:
    """TLP 2.0 knows CLEAR."""
    assert parse_tlp("white").label == "TLP:CLEAR"
    assert all("white" not in tlp.value for tlp in Tlp)


def test_labels_are_ordered_by_strictness_and_not_by_spelling() -> None:
    """RED over AMBER+STRICT over AMBER over GREEN over CLEAR."""
    order = [Tlp.RED, Tlp.AMBER_STRICT, Tlp.AMBER, Tlp.GREEN, Tlp.CLEAR]
    assert sorted(Tlp, key=lambda tlp: -tlp.strictness) == order


@pytest.mark.parametrize("tlp", list(Tlp))
def test_the_specification_has_each_label_with_its_colour_and_definition(tlp: Tlp) -> None:
    """The page and the code say the same."""
    row = f"| `{tlp.value}` | `{tlp.label}` | {tlp.strictness} | `{tlp.colour}` | {tlp.definition} |"
    assert row in PAGE.read_text("utf-8")


def test_the_wire_value_is_the_one_in_the_specification() -> None:
    """Lower-case text."""
    assert codec.encode(Marked(Tlp.AMBER_STRICT)) == b"\x91" + example_bytes(PAGE, "tlp")


@pytest.mark.parametrize("value", ["white", "RED", "TLP:RED", ""])
def test_the_wire_knows_no_other_spelling(value: str) -> None:
    """What people may write, programs may not."""
    data = msgspec.msgpack.encode([value])
    with pytest.raises(FormatError):
        codec.decode(data, Marked, limit=100, what="marked thing")


def test_the_exercise_mark_is_there_in_the_four_languages_of_the_oas() -> None:
    """It is shown over everything, in the reader's language."""
    assert set(EXERCISE_MARK) == {"en", "es", "pt", "fr"}
    for language, text in EXERCISE_MARK.items():
        assert f"| {language} | {text} |" in PAGE.read_text("utf-8")
