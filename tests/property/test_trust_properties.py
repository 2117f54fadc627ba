"""Whatever is changed in a signed document, it is refused and the directory stays as it was."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keys.trust import TrustedDirectory
from protocol.errors import AlmenaraError
from tests.community import NOW_MS, Community, community

# The first root, the directory, and the manifest and prekey list of one state.
KINDS = range(4)


def directory_before(built: Community, index: int) -> TrustedDirectory:
    trusted = TrustedDirectory(built.id, built.verifier)
    for document in built.documents[:index]:
        trusted.update(document, NOW_MS)
    return trusted


def assert_refused(index: int, data: bytes) -> None:
    """Check that the data is refused in place of a document, which is then still accepted."""
    built = community()
    trusted = directory_before(built, index)
    before = trusted.documents
    with pytest.raises(AlmenaraError):
        trusted.update(data, NOW_MS)
    assert trusted.documents is before
    assert trusted.update(built.documents[index], NOW_MS).changed


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(index=st.sampled_from(KINDS), place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_changed_byte_anywhere_is_refused(index: int, place: float, flip: int) -> None:
    """No byte of a signed document is without meaning."""
    data = bytearray(community().documents[index])
    data[int(place * len(data))] ^= flip
    assert_refused(index, bytes(data))


@settings(max_examples=60, deadline=None)
@given(index=st.sampled_from(KINDS), start=st.floats(0, 1), length=st.integers(1, 64))
def test_a_missing_or_doubled_piece_anywhere_is_refused(index: int, start: float, length: int) -> None:
    """Nothing can be cut out of a signed document, nor repeated in it."""
    data = community().documents[index]
    at = min(int(start * len(data)), len(data) - 1)
    piece = data[at : at + length]
    assert_refused(index, data[:at] + data[at + length :])
    assert_refused(index, data[:at] + piece + data[at:])


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200))
def test_garbage_is_refused_with_a_documented_error(data: bytes) -> None:
    """Any bytes at all end in one of the project's own errors."""
    assert_refused(1, data)


@settings(max_examples=40, deadline=None)
@given(order=st.permutations(range(8)))
def test_documents_in_any_order_end_in_the_same_directory_or_wait(order: list[int]) -> None:
    """A document that comes too early is refused now and accepted later, with the same result."""
    built = community()
    trusted = TrustedDirectory(built.id, built.verifier)
    waiting = [built.documents[index] for index in order]
    for _ in range(len(waiting)):
        refused = []
        for data in waiting:
            before = trusted.documents
            try:
                trusted.update(data, NOW_MS)
            except AlmenaraError:
                refused.append(data)
                assert trusted.documents is before
        waiting = refused
    assert not waiting
    assert trusted.documents == built.directory().documents
