"""The codec: one object, one sequence of bytes; everything else is refused with one kind of error."""

from __future__ import annotations

from typing import Any

import msgpack
import msgspec
import pytest

from protocol import codec
from protocol.errors import FormatError, NotCanonical, TooLarge, UnknownKind
from protocol.fields import MAX_UINT, Line, Uint, Wire
from protocol.notice import DirectoryHead
from protocol.statement import SeenCheckpoint

HEAD = DirectoryHead(version=5, hash=bytes(range(32)))
HEAD_BYTES = bytes.fromhex("9205c420") + bytes(range(32))


class Text(Wire, frozen=True):
    """One text without bounds, to try the profile's own rules."""

    text: str


class Anything(Wire, frozen=True):
    """One member of any type, to try what the profile refuses whatever the shape allows."""

    value: Any


class First(Wire, frozen=True, tag="first"):
    """A tagged structure."""

    number: Uint


class Second(Wire, frozen=True, tag="second"):
    """Another one."""

    name: Line


KINDS: dict[int | str, type[Wire]] = codec.tags_of(First, Second)


def decoded(data: bytes, type_: type[Wire] = DirectoryHead, limit: int = 1000) -> Wire:
    return codec.decode(data, type_, limit=limit, what="thing")


def test_a_structure_is_an_array_in_shortest_form() -> None:
    """The bytes are fixed, not only that they come back."""
    assert codec.encode(HEAD) == HEAD_BYTES
    assert decoded(HEAD_BYTES) == HEAD


def test_a_tag_comes_first() -> None:
    """The first member says which structure it is."""
    assert codec.encode(First(number=7)) == b"\x92\xa5first\x07"


def test_an_object_of_exactly_the_limit_is_read_and_one_byte_more_is_not() -> None:
    """The limit is checked before anything else."""
    assert decoded(HEAD_BYTES, limit=len(HEAD_BYTES)) == HEAD
    with pytest.raises(TooLarge, match="36 bytes; at most 35"):
        decoded(HEAD_BYTES, limit=len(HEAD_BYTES) - 1)


def test_a_limit_is_checked_before_parsing() -> None:
    """What is too large is never parsed, however broken it is."""
    with pytest.raises(TooLarge):
        decoded(b"\xc1" * 50, limit=49)


@pytest.mark.parametrize("number", [0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, MAX_UINT])
def test_numbers_at_the_borders_of_their_lengths_come_back(number: int) -> None:
    """Every length of integer is used where it is the shortest."""
    data = codec.encode(DirectoryHead(version=number, hash=bytes(32)))
    assert decoded(data) == DirectoryHead(version=number, hash=bytes(32))


@pytest.mark.parametrize("length", [0, 31, 32, 255, 256, 65535, 65536])
def test_texts_at_the_borders_of_their_lengths_come_back(length: int) -> None:
    """Every length of text is used where it is the shortest."""
    data = codec.encode(Text(text="a" * length))
    assert decoded(data, Text, limit=70_000) == Text(text="a" * length)


@pytest.mark.parametrize("value", [1.5, float("nan"), -1, {}, {"a": 1}, MAX_UINT + 1])
def test_what_the_profile_does_not_list_is_refused_though_the_shape_allows_it(value: Any) -> None:
    """Floats, maps, negative and huge numbers are nowhere in the protocol."""
    with pytest.raises(FormatError):
        decoded(msgpack.packb([value]), Anything)


@pytest.mark.parametrize(
    "ext", [b"\xc7\x00\x05", b"\xd4\x05\x00", b"\xd6\xff\x00\x00\x00\x00", b"\xc7\x00\xff"]
)
def test_extensions_and_timestamps_are_refused(ext: bytes) -> None:
    """The empty extension and the broken timestamp too."""
    with pytest.raises(FormatError):
        decoded(b"\x91" + ext, Anything)


def test_arrays_may_be_nested_twelve_deep_and_not_thirteen() -> None:
    """The bound is the profile's own, not a library's."""
    deep: Any = 0
    for _ in range(11):
        deep = [deep]
    assert decoded(msgpack.packb([deep]), Anything) is not None
    with pytest.raises(FormatError, match="deeper"):
        decoded(msgpack.packb([[deep]]), Anything)


@pytest.mark.parametrize("text", ["señal", "línea\ny\totra", "日本", "\U0001f525", "a\u200bb", ""])
def test_composed_text_with_line_feeds_and_tabs_is_allowed(text: str) -> None:
    """Any script, in normal form C."""
    assert decoded(codec.encode(Text(text=text)), Text) == Text(text=text)


@pytest.mark.parametrize("text", ["sen\u0303al", "A\u030a", "\u212b", "\u1100\u1161"])
def test_text_that_is_not_composed_is_not_canonical(text: str) -> None:
    """Two spellings of one word would have two hashes."""
    with pytest.raises(NotCanonical):
        codec.check_text(text)
    with pytest.raises(NotCanonical):
        decoded(msgpack.packb([text]), Text)


@pytest.mark.parametrize("char", ["\0", "\a", "\b", "\r", "\x1b", "\x1f", "\x7f", "\x80", "\x85", "\x9f"])
def test_control_characters_are_refused(char: str) -> None:
    """What is shown at a terminal must not steer it."""
    for text in (char, f"a{char}b", f"ñ{char}"):
        with pytest.raises(FormatError, match="control"):
            decoded(msgpack.packb([text]), Text)


def test_a_lone_surrogate_is_neither_written_nor_read() -> None:
    """It is no character, and cannot be encoded."""
    with pytest.raises(FormatError):
        codec.encode(Text(text="a\ud800"))
    with pytest.raises(FormatError):
        decoded(b"\x91\xa3\xed\xa0\x80", Text)


def test_what_a_reader_would_refuse_is_not_written() -> None:
    """Bounds are checked on the way out as well as on the way in."""
    for value in (
        DirectoryHead(version=-1, hash=bytes(32)),
        DirectoryHead(version=1, hash=bytes(31)),
        SeenCheckpoint(origin="two\nlines", size=0, root=bytes(32)),
        Text(text="\x1b[2J"),
    ):
        with pytest.raises(FormatError):
            codec.encode(value)


def test_bytes_are_never_taken_for_text_nor_text_for_bytes() -> None:
    """Base64 in a str is not the bytes it stands for."""
    with pytest.raises(FormatError):
        decoded(msgpack.packb([1, "A" * 44]))
    with pytest.raises(FormatError):
        decoded(msgpack.packb([b"text"]), Text)


def test_true_is_not_one() -> None:
    """Python thinks so; the wire does not."""
    with pytest.raises(FormatError):
        decoded(b"\x92\xc3\xc4\x20" + bytes(32))


def test_the_tag_selects_the_structure() -> None:
    """One reader, several structures."""
    for value in (First(number=1), Second(name="one")):
        assert codec.decode_one_of(codec.encode(value), KINDS, limit=100, what="thing") == value


def test_an_unknown_tag_is_an_unknown_kind() -> None:
    """A newer peer is told apart from a broken one."""
    with pytest.raises(UnknownKind):
        codec.decode_one_of(b"\x92\xa5third\x07", KINDS, limit=100, what="thing")


@pytest.mark.parametrize("data", [b"\x90", b"\xc0", b"\x05", b"\xa5first", b"\x91\xc3", b"\x91\xc4\x05first"])
def test_what_has_no_tag_is_malformed(data: bytes) -> None:
    """Not an array, empty, or with something else in the tag's place."""
    with pytest.raises(FormatError, match="no tag"):
        codec.decode_one_of(data, KINDS, limit=100, what="thing")


def test_the_tagged_reader_is_as_strict_as_the_other() -> None:
    """Limit, shape, and canonical form."""
    with pytest.raises(TooLarge):
        codec.decode_one_of(bytes(101), KINDS, limit=100, what="thing")
    with pytest.raises(NotCanonical):
        codec.decode_one_of(b"\x92\xa5first\xcc\x07", KINDS, limit=100, what="thing")
    with pytest.raises(FormatError, match="wrong shape"):
        codec.decode_one_of(b"\x92\xa5first\xa17", KINDS, limit=100, what="thing")


def test_a_structure_cannot_be_changed() -> None:
    """What was checked stays as it was checked."""
    with pytest.raises(AttributeError):
        HEAD.version = 6  # type: ignore[misc]
    assert msgspec.structs.replace(HEAD, version=6) != HEAD
