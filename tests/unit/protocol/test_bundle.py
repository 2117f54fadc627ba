"""The names and the list of a bundle: one spelling, and no name that is not a bundle's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import FormatError, TooLarge
from protocol.ledger.bundle import (
    Listing,
    Place,
    Sort,
    belongs,
    format_listing,
    limit_of,
    parse_listing,
    part,
    place_of,
    required_names,
)
from protocol.ledger.origins import Log

LISTING = Listing(
    community=bytes(32),
    coordinator="HUB",
    leaves=300,
    documents=2,
    member=None,
    bodies_from=0,
    made_ms=1_772_334_000_000,
    program="almenara 1.0",
    parts={"README.txt": part("README.txt", b"x")},
)

PLACES = {
    "README.txt": Place(Sort.README),
    "ack/checkpoint": Place(Sort.CHECKPOINT, Log.ACK),
    "dir/policy.txt": Place(Sort.POLICY, Log.DIRECTORY),
    "ack/tile/entries/x001/234.p/5": Place(Sort.ENTRIES, Log.ACK, 1234, 5),
    "dir/tile/entries/000": Place(Sort.ENTRIES, Log.DIRECTORY, 0, 256),
    "dir/documents/x001/000": Place(Sort.DOCUMENT, Log.DIRECTORY, 1000),
    "ack/milestones/77": Place(Sort.MILESTONE, Log.ACK, 77),
    "ack/statements/001": Place(Sort.STATEMENTS, Log.ACK, 1),
    "ack/headers/001": Place(Sort.HEADERS, Log.ACK, 1),
}


@pytest.mark.parametrize(("name", "place"), PLACES.items())
def test_a_name_says_what_a_file_is(name: str, place: Place) -> None:
    """Names follow from the logs' sizes."""
    assert place_of(name) == place
    assert limit_of(place) > 0


NO_NAMES = [
    *("", "README", "readme.txt", "ack", "ack/", "ack/checkpoint/", "/ack/checkpoint", "ack//checkpoint"),
    *("../ack/checkpoint", "ack/../ack/checkpoint", "ack/tile/0/000", "dir/milestones/1", "dir/headers/000"),
    *("ack/documents/000", "ack/statements/1", "ack/statements/x000/001", "ack/milestones/01", "bundle.txt"),
    *(
        "ack/milestones/1\n",
        "ack/statements/\u0660\u0660\u0661",
        "ack/statements/001.p/5",
        "ack/tile/entries/000.p/256",
    ),
]


@pytest.mark.parametrize("name", NO_NAMES)
def test_no_other_name_is_one(name: str) -> None:
    """A stranger's name never becomes a path."""
    with pytest.raises(FormatError):
        place_of(name)


def test_logs_of_a_size_have_exactly_these_files() -> None:
    """Every file of leaves and every document is there; nothing of a larger log is."""
    names = set(required_names(300, 2))
    assert "ack/tile/entries/001.p/44" in names
    assert {"dir/documents/000", "dir/documents/001"} < names
    assert all(belongs(place_of(name), 300, 2) for name in names)
    for other in ("ack/tile/entries/001.p/43", "dir/documents/002", "ack/milestones/301", "ack/headers/002"):
        assert not belongs(place_of(other), 300, 2)


def test_the_list_is_read_as_it_was_written() -> None:
    """One spelling, both ways."""
    assert parse_listing(format_listing(LISTING)) == LISTING


def test_a_file_over_the_limit_of_its_kind_is_refused_by_the_list() -> None:
    """Before anybody opens it."""
    data = format_listing(LISTING).replace(b" 1 README.txt", b" 99999999 README.txt")
    with pytest.raises(TooLarge):
        parse_listing(data)


@given(st.integers(0, 200), st.integers(0, 255))
def test_a_changed_list_is_another_list_or_none(at: int, byte: int) -> None:
    """No two spellings say the same."""
    data = bytearray(format_listing(LISTING))
    if data[at % len(data)] == byte:
        return
    data[at % len(data)] = byte
    try:
        parsed = parse_listing(bytes(data))
    except FormatError:
        return
    assert parsed != LISTING
