"""The codec's short way and its long way: the same value, or the same refusal, for any bytes."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta

from protocol import codec, typed
from protocol.documents import Directory, PrekeyList, Publication, SignedDocument, StateManifest
from protocol.envelope import Delivery, Submission
from protocol.errors import AlmenaraError
from protocol.fields import MAX_UINT, Wire
from protocol.ledger.bundle import SignedManifest
from protocol.notice import Attachment, Body, DirectoryHead, Header, Manifest
from protocol.signed import Proof
from protocol.statement import SealedDetail, SeenCheckpoint, SignedStatement, Statement
from tests.community import community
from tests.sessions import EXAMPLES
from tests.vectors import examples
from tests.vectors.world import body, header, packed

LIMIT = 1 << 22
TYPES: list[type[Wire]] = [
    *(Attachment, Body, Delivery, Directory, DirectoryHead, Header, Manifest, PrekeyList, Proof, Publication),
    *(
        SealedDetail,
        SeenCheckpoint,
        SignedDocument,
        SignedManifest,
        SignedStatement,
        StateManifest,
        Statement,
    ),
    Submission,
]
GOOD = [
    packed(header("XBB", "XCC")),
    packed(body()),
    packed(body(subject="Ataque na Pra\u00e7a", text="one\ntwo\tthree")),
    packed(examples.delivery()),
    packed(examples.submission()),
    packed(examples.received()),
    packed(examples.signed(examples.accepted(), "officer")),
    examples.envelope().manifest,
    *community().documents[:4],
]
MORE = [
    msgpack.packb(value, use_bin_type=True)
    for value in ([0, bytes(32)], [1.0, bytes(32)], [True, bytes(32)], [MAX_UINT, bytes(32)], [1, "x" * 32])
]


def long_way(data: bytes, type_: type[Any]) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typed, "reader", lambda *_: None)
        return answer(data, type_)


def answer(data: bytes, type_: type[Any]) -> Any:
    try:
        return codec.decode(data, type_, limit=LIMIT, what="thing")
    except AlmenaraError as error:
        return type(error), error.message


def agree(data: bytes, type_: type[Any]) -> None:
    assert answer(data, type_) == long_way(data, type_)


@pytest.mark.parametrize("type_", TYPES, ids=lambda type_: str(type_.__name__))
def test_every_structure_has_a_short_way(type_: type[Wire]) -> None:
    """Nobody changes a field into one that makes an audit slow without noticing."""
    assert typed.reader(type_, MAX_UINT, codec.MAX_DEPTH) is not None


@pytest.mark.parametrize("type_", TYPES, ids=lambda type_: str(type_.__name__))
def test_both_ways_agree_on_what_is_well_formed(type_: type[Wire]) -> None:
    """For every good object, read as every type."""
    for data in (*GOOD, *MORE):
        agree(data, type_)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(GOOD), st.sampled_from(TYPES), st.data())
def test_both_ways_agree_on_whatever_was_changed(good: bytes, type_: type[Wire], data: st.DataObject) -> None:
    """One byte of anything, replaced, left out or doubled, where the shape is and where it is not."""
    at = data.draw(st.integers(0, min(len(good) - 1, 400)))
    with_ = data.draw(st.binary(max_size=3))
    agree(good[:at] + with_ + good[at + 1 :], type_)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=80), st.sampled_from(TYPES))
def test_both_ways_agree_on_junk(data: bytes, type_: type[Wire]) -> None:
    """Any bytes at all."""
    agree(data, type_)


TEXTS = st.text(max_size=30).map(lambda text: unicodedata.normalize("NFC", text)) | st.text(max_size=30)


@settings(deadline=None, max_examples=300)
@given(TEXTS, st.integers(-(2**63), 2**64 - 1), st.none() | st.binary(min_size=32, max_size=32))
def test_both_ways_agree_on_any_text_and_number(text: str, number: int, root: bytes | None) -> None:
    """Controls, other normal forms, negative and large numbers."""
    try:
        data = msgpack.packb([text, number, root], use_bin_type=True)
    except UnicodeEncodeError:
        return
    agree(data, SeenCheckpoint)
    agree(msgpack.packb([number, root], use_bin_type=True), DirectoryHead)


class Loose(Wire, frozen=True):
    """Fields that the profile does not bound."""

    number: int


class Floating(Wire, frozen=True):
    """A field that the profile does not list."""

    number: float


class Deep(Wire, frozen=True):
    """Arrays as deep as they may lie, and one deeper."""

    items: tuple[tuple[tuple[tuple[tuple[tuple[tuple[tuple[tuple[tuple[tuple[tuple[bytes, ...], ...], ...], ...], ...], ...], ...], ...], ...], ...], ...], ...]  # fmt: skip  # noqa: E501


class Wide(Wire, frozen=True):
    """A number without an upper bound."""

    number: Annotated[int, Meta(ge=0)]


@pytest.mark.parametrize("type_", [Loose, Floating, Deep, Wide], ids=lambda type_: str(type_.__name__))
def test_a_type_that_could_hold_more_than_the_profile_has_no_short_way(type_: type[Wire]) -> None:
    """Then the long way alone decides."""
    assert typed.reader(type_, MAX_UINT, codec.MAX_DEPTH) is None
    for data in (b"\x91\xff", b"\x91\xcb" + bytes(8), b"\x91\xcf" + b"\xff" * 8, b"\x91" * 14 + b"\x90"):
        agree(data, type_)


MESSAGES = [codec.encode(message) for message in EXAMPLES]
KINDS = codec.tags_of(*(type(message) for message in EXAMPLES))


def heard(data: bytes) -> Any:
    try:
        return codec.decode_one_of(data, KINDS, limit=LIMIT, what="message")
    except AlmenaraError as error:
        return type(error), error.message


def agree_on_message(data: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typed, "reader", lambda *_: None)
        long = heard(data)
    assert heard(data) == long


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(MESSAGES), st.data())
def test_both_ways_agree_on_whatever_message_was_changed(good: bytes, data: st.DataObject) -> None:
    """The tag and the arity among the rest."""
    agree_on_message(good)
    at = data.draw(st.integers(0, min(len(good) - 1, 60)))
    with_ = data.draw(st.binary(max_size=3))
    agree_on_message(good[:at] + with_ + good[at + 1 :])


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=40))
def test_both_ways_agree_on_junk_for_a_message(data: bytes) -> None:
    """Any bytes at all, also behind a tag."""
    agree_on_message(data)
    agree_on_message(b"\x92\x14" + data)


def written(value: Wire) -> bytes | type[Exception]:
    try:
        return codec.encode(value)
    except AlmenaraError as error:
        return type(error)


@settings(deadline=None, max_examples=300)
@given(
    st.integers(-1, 2**64) | st.booleans() | st.none() | st.text(max_size=3),
    st.binary(max_size=33) | st.binary(min_size=32, max_size=32) | TEXTS | st.none() | st.integers(),
)
def test_both_ways_write_the_same_or_refuse(number: Any, hash_: Any) -> None:
    """Values that a careless caller could give: of another type, out of bounds, too short."""
    values = [
        DirectoryHead(version=number, hash=hash_),
        SeenCheckpoint(origin=hash_, size=number, root=bytes(32)),
        SeenCheckpoint(origin="a", size=number, root=hash_),
    ]
    short = [written(value) for value in values]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typed, "reader", lambda *_: None)
        assert short == [written(value) for value in values]


@pytest.mark.parametrize("data", [*GOOD, *MESSAGES])
def test_what_was_read_is_written_back_byte_for_byte(data: bytes) -> None:
    """By both ways."""
    for type_ in {*TYPES, *KINDS.values()}:
        value = answer(data, type_)
        if isinstance(value, Wire):
            assert codec.encode(value) == data
