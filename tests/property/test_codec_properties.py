"""The codec, for any bytes and any value: one encoding, one kind of error, and bounded cost."""

from __future__ import annotations

import tracemalloc
import unicodedata
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol import codec
from protocol.documents import SignedDocument, parse_document
from protocol.envelope import MAX_SUBMISSION_BYTES, Delivery, Submission, parse_delivery, parse_submission
from protocol.errors import FormatError
from protocol.fields import MAX_UINT, Wire
from protocol.notice import Attachment, Body, DirectoryHead, Header, Manifest, parse_body, parse_manifest
from protocol.statement import SealedDetail, SeenCheckpoint, SignedStatement, Statement, parse_statement
from tests.vectors import examples
from tests.vectors.world import body, header, packed

relaxed = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])

TYPES: list[type[Wire]] = [
    *(DirectoryHead, Attachment, Header, Manifest, Body, Submission, Delivery),
    *(SealedDetail, SeenCheckpoint, Statement, SignedStatement, SignedDocument),
]
PARSERS: list[Any] = [
    *(parse_manifest, parse_body, parse_submission, parse_delivery, parse_statement, parse_document)
]
GOOD = [
    packed(header("XBB", "XCC")),
    packed(body()),
    packed(examples.delivery()),
    packed(examples.submission()),
    packed(examples.received()),
    packed(examples.signed(examples.accepted(), "officer")),
    examples.envelope().manifest,
]

HASHES = st.binary(min_size=32, max_size=32)
LINES = (
    st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=200)
    .map(lambda text: unicodedata.normalize("NFC", text))
    .filter(lambda text: 1 <= len(text) <= 200)
)
HEADS = st.builds(DirectoryHead, version=st.integers(0, MAX_UINT), hash=HASHES)
VALUES = st.one_of(
    HEADS,
    st.builds(SeenCheckpoint, origin=LINES, size=st.integers(0, MAX_UINT), root=HASHES),
    st.builds(Attachment, name=LINES, media_type=st.just("text/plain"), content=st.binary(max_size=300)),
    st.builds(SealedDetail, prekey_id=HASHES, sealed=st.binary(max_size=300)),
    st.builds(
        lambda subject, text, refers_to: body(subject=subject, text=text, refers_to=refers_to),
        LINES,
        LINES,
        st.none() | HASHES,
    ),
    st.builds(
        lambda head, at: header("XBB", directory=head, respond_by_ms=at), HEADS, st.none() | st.just(7)
    ),
)
PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def decoded(data: bytes, kind: type[Wire]) -> Wire | None:
    """Return what the bytes are, or None if they are refused in the one permitted way."""
    try:
        return codec.decode(data, kind, limit=MAX_SUBMISSION_BYTES, what="thing")
    except FormatError:
        return None


def assert_one_answer(data: bytes) -> None:
    """Check that every reader returns or refuses, and that what is read is written the same."""
    for kind in TYPES:
        value = decoded(data, kind)
        assert value is None or codec.encode(value) == data
    for parse in PARSERS:
        try:
            parse(data)
        except FormatError:
            continue


@relaxed
@given(VALUES)
def test_what_is_written_is_read_again(value: Wire) -> None:
    """decode after encode is the identity."""
    data = codec.encode(value)
    assert decoded(data, type(value)) == value
    assert codec.encode(value) == data


@relaxed
@given(st.binary(max_size=400))
def test_any_bytes_are_a_value_or_a_format_error(data: bytes) -> None:
    """No other exception ever leaves a reader."""
    assert_one_answer(data)


@relaxed
@given(PLAIN)
def test_any_messagepack_is_a_value_or_a_format_error(plain: Any) -> None:
    """Well-formed objects of other protocols too."""
    try:
        data = msgpack.packb(plain, use_bin_type=True)
    except (UnicodeEncodeError, OverflowError):
        return
    assert_one_answer(data)


@relaxed
@given(st.sampled_from(GOOD), st.data())
def test_almost_good_bytes_are_a_value_or_a_format_error(good: bytes, data: st.DataObject) -> None:
    """Bytes changed, cut out, doubled or put in, anywhere."""
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 40)))
    put_in = data.draw(st.binary(max_size=6) | st.just(good[start:end] * 2))
    assert_one_answer(good[:start] + put_in + good[end:])


@relaxed
@given(st.sampled_from(GOOD), st.data())
def test_one_object_has_no_second_spelling(good: bytes, data: st.DataObject) -> None:
    """Whatever one byte is changed to, what is read is not the same object."""
    changed = bytearray(good)
    changed[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
    for kind in TYPES:
        value = decoded(good, kind)
        assert value is None or decoded(bytes(changed), kind) != value


def bomb(start: bytes, size: int, fill: bytes = b"\xc0") -> bytes:
    return start.ljust(size, fill)


SIZE = MAX_SUBMISSION_BYTES
ARRAY = b"\xdd" + (SIZE - 5).to_bytes(4, "big")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bomb(b"", SIZE, b"\x91"), id="nested-two-million-deep"),
        pytest.param(bomb(b"", 1000, b"\x91"), id="nested-a-thousand-deep"),
        pytest.param(bomb(b"", 400, b"\x91"), id="nested-four-hundred-deep"),
        pytest.param(bomb(b"\xdd" * 5, SIZE), id="four-thousand-million-members"),
        pytest.param(bomb(ARRAY, SIZE), id="two-million-nils"),
        pytest.param(bomb(ARRAY, SIZE, b"\x90"), id="two-million-empty-arrays"),
        pytest.param(bomb(ARRAY * 300, SIZE), id="arrays-that-promise-arrays"),
        pytest.param(bomb(b"\xc6\xff\xff\xff\xff", SIZE), id="four-gigabytes-of-bytes"),
        pytest.param(bomb(b"\xdb\xff\xff\xff\xff", SIZE, b"a"), id="four-gigabytes-of-text"),
        pytest.param(bomb(b"\xdf\xff\xff\xff\xff", SIZE), id="four-thousand-million-pairs"),
        pytest.param(bomb(b"\xc9\xff\xff\xff\xff\x05", SIZE), id="four-gigabytes-of-extension"),
    ],
)
def test_a_bomb_is_refused_within_memory_that_its_size_explains(data: bytes) -> None:
    """A length that promises more than is there, and nesting without end, cost next to nothing."""
    tracemalloc.start()
    try:
        for kind in (Submission, SignedStatement, Header):
            assert decoded(data, kind) is None
        assert tracemalloc.get_traced_memory()[1] < 24 * SIZE
    finally:
        tracemalloc.stop()
