"""Strict text: what is read is exactly what would be written."""

from __future__ import annotations

import pytest

from protocol.errors import FormatError
from protocol.fields import MAX_MILLIS
from protocol.text import format_base64, format_utc, parse_base64, parse_hex, parse_utc


def test_hexadecimal_is_lower_case_and_of_the_size_asked_for() -> None:
    """One spelling."""
    assert parse_hex("00ff", what="id") == b"\x00\xff"
    assert parse_hex("00ff", what="id", size=2) == b"\x00\xff"
    assert parse_hex("", what="id") == b""


@pytest.mark.parametrize("text", ["00FF", "0", "0g", "00 ff", " 00", "00\n", "0x00", "\u0660\u0660"])
def test_any_other_hexadecimal_is_refused(text: str) -> None:
    """Python's own reader takes spaces and capitals."""
    with pytest.raises(FormatError):
        parse_hex(text, what="id")


def test_hexadecimal_of_another_size_is_refused() -> None:
    """A short id is no id."""
    with pytest.raises(FormatError, match="2 bytes"):
        parse_hex("00", what="id", size=2)


def test_base64_comes_back() -> None:
    """With padding, on one line."""
    for data in (b"", b"a", b"ab", b"abc", bytes(range(256))):
        assert parse_base64(format_base64(data), what="key") == data


@pytest.mark.parametrize("text", ["AB==", "AA=", "AA", "A A=", "AA==\n", "-_==", "AAA=AA==", "AAé="])
def test_any_other_base64_is_refused(text: str) -> None:
    """Stray bits, missing padding, other alphabets, white space."""
    with pytest.raises(FormatError):
        parse_base64(text, what="key")


@pytest.mark.parametrize(
    ("millis", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (999, "1970-01-01T00:00:00.999Z"),
        (1_772_334_000_001, "2026-03-01T03:00:00.001Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_time_is_written_and_read_to_the_millisecond(millis: int, text: str) -> None:
    """No float of seconds is in between."""
    assert format_utc(millis) == text
    assert parse_utc(text, what="time") == millis


def test_every_time_that_the_wire_carries_can_be_written() -> None:
    """The bound of times is the last that has a form: a message about a wrong one must not fail."""
    assert format_utc(MAX_MILLIS) == "9999-12-31T23:59:59.999Z"


def test_every_millisecond_of_a_second_comes_back() -> None:
    """A float would lose one in some 160."""
    second = 1_772_334_000_000
    assert [parse_utc(format_utc(second + milli), what="time") - second for milli in range(1000)] == [
        *range(1000)
    ]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-03-01T00:00:00-03:00", "2026-03-01T03:00:00.000Z"),
        ("2026-03-01T03:00:00+00:00", "2026-03-01T03:00:00.000Z"),
        ("2026-03-01", "2026-03-01T00:00:00.000Z"),
    ],
)
def test_a_time_with_its_zone_or_a_bare_date_is_understood(text: str, same: str) -> None:
    """As people write them."""
    assert format_utc(parse_utc(text, what="time")) == same


@pytest.mark.parametrize(
    "text", ["2026-03-01T03:00:00", "2026-03-01 03:00", "", "soon", "2026-02-30", "1772334000"]
)
def test_a_time_without_zone_or_sense_is_refused(text: str) -> None:
    """Nobody guesses which clock was meant."""
    with pytest.raises(FormatError):
        parse_utc(text, what="time")
