"""The text form of a severity."""

from __future__ import annotations

import pytest

from protocol.errors import FormatError
from protocol.reference import Reference, format_reference, parse_reference


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("xaa-national@1:grave", Reference("xaa-national", 1, "grave")),
        ("xaa-national:grave", Reference("xaa-national", None, "grave")),
        ("xaa-national@65535", Reference("xaa-national", 65535, None)),
        ("cz.82-2018", Reference("cz.82-2018", None, None)),
    ],
)
def test_a_reference_is_read_and_written_in_one_spelling(text: str, expected: Reference) -> None:
    """Schema, optional version, optional level."""
    assert expected == parse_reference(text)
    assert text == format_reference(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@1:grave",
        "xaa@",
        "xaa@0:grave",
        "xaa@01:grave",
        "xaa@+1:grave",
        "xaa@65536:grave",
        "xaa@100000:grave",
        "xaa@1:",
        "xaa@1:grave:x",
        "xaa:grave@1",
        "XAA@1:grave",
        "xaa@1:Grave",
        " xaa@1:grave",
        "xaa@1:grave\n",
        "xaa @1:grave",
        "xaa@\u0661:grave",
        "-xaa@1:grave",
        "x" * 65,
    ],
)
def test_any_other_spelling_is_refused_with_an_example(text: str) -> None:
    """One severity has one spelling, and the refusal shows it."""
    with pytest.raises(FormatError) as caught:
        parse_reference(text)
    assert "xaa-national@1:grave" in caught.value.hint
