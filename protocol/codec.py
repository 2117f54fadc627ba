"""Strict canonical MessagePack: the only reader and writer of wire bytes.

The profile (``spec/encoding.md``): arrays of fixed arity; nil, bool, unsigned integers up to
2^63-1, bin, str and arrays; shortest form only; strings NFC without control characters other
than line feed and tab; at most :data:`MAX_DEPTH` arrays deep. No map, float, negative integer
or extension.

Every decoder caps the size *before* parsing and refuses whatever would not encode back to the
received bytes, so two implementations cannot read one object in two ways. The shape is checked
before the profile, because its bounds make the cost of everything after it small.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, TypeVar, cast

import msgpack
import msgspec

from protocol import typed
from protocol.errors import FormatError, NotCanonical, TooLarge, UnknownKind
from protocol.fields import MAX_UINT

T = TypeVar("T")

MAX_DEPTH = 12
_ALLOWED_CONTROLS = frozenset("\n\t")


def encode(value: msgspec.Struct) -> bytes:
    """Return the one permitted encoding of a wire structure.

    Raises:
        FormatError: the value breaks the bounds of its own type or of the profile; what
            this function returns, :func:`decode` accepts.
    """
    short = typed.reader(type(value), MAX_UINT, MAX_DEPTH)
    if short is not None and (plainly := short.written(value)) is not None:
        return plainly
    plain = msgspec.to_builtins(value, builtin_types=(bytes,))
    _check(plain, MAX_DEPTH)
    _convert(plain, type(value), type(value).__name__)
    return bytes(msgpack.packb(plain, use_bin_type=True))


def decode(data: bytes, type_: type[T], *, limit: int, what: str) -> T:
    """Parse one complete object, or refuse it.

    Args:
        data: Exactly one encoded object; trailing bytes are an error.
        type_: The structure it must be.
        limit: The largest acceptable size in bytes, checked before anything is parsed.
        what: A noun for messages, such as ``"manifest"``.

    Raises:
        TooLarge: ``data`` is longer than ``limit``.
        NotCanonical: it parses, but not in the one permitted form.
        FormatError: anything else. No other exception leaves this function.
    """
    if len(data) > limit:
        raise TooLarge(f"the {what} has {len(data)} bytes; at most {limit} are allowed")
    short = typed.reader(cast(Any, type_), MAX_UINT, MAX_DEPTH)
    if short is not None and (plainly := short.read(data)) is not None:
        return cast(T, plainly)
    plain = _unpack(data, what)
    value = _convert(plain, type_, what)
    _require_profile(plain, data, what)
    return value


def decode_one_of(data: bytes, kinds: Mapping[int | str, type[T]], *, limit: int, what: str) -> T:
    """Parse one complete object whose first member, its tag, says which structure it is.

    Args:
        data: Exactly one encoded object.
        kinds: The structures by tag.
        limit: The largest acceptable size in bytes.
        what: A noun for messages.

    Raises:
        UnknownKind: the tag is none of ``kinds``.
        FormatError: as :func:`decode`.
    """
    if len(data) > limit:
        raise TooLarge(f"the {what} has {len(data)} bytes; at most {limit} are allowed")
    # A short array whose first member is a small number: its second byte is the tag.
    if len(data) > 1 and 0x90 < data[0] < 0xA0 and data[1] < 0x80 and (known := kinds.get(data[1])):
        short = typed.reader(cast(Any, known), MAX_UINT, MAX_DEPTH)
        if short is not None and (plainly := short.read(data)) is not None:
            return cast(T, plainly)
    plain = _unpack(data, what)
    tag = plain[0] if type(plain) is tuple and plain else None
    if type(tag) is not int and type(tag) is not str:
        raise FormatError(f"the {what} has no tag")
    if tag not in kinds:
        raise UnknownKind(f"a {what} of kind {tag!r:.40} is not known here")
    value = _convert(plain, kinds[tag], what)
    _require_profile(plain, data, what)
    return value


def check_text(text: str) -> None:
    """Refuse text that the profile does not carry: so that it can be shown as it is.

    Raises:
        NotCanonical: it is not in Unicode normal form C.
        FormatError: it holds a control character other than line feed and tab.
    """
    if text.isascii():
        if text.isprintable():
            return
    elif not unicodedata.is_normalized("NFC", text):
        raise NotCanonical("a string is not in Unicode normal form C")
    for char in text:
        if unicodedata.category(char) in ("Cc", "Cs") and char not in _ALLOWED_CONTROLS:
            raise FormatError("a string contains a control character")


def tags_of(*types: type[T]) -> dict[int | str, type[T]]:
    """Return the tagged structures by their tags, for :func:`decode_one_of`."""
    return {type_.__struct_config__.tag: type_ for type_ in types}  # type: ignore[attr-defined]


def _unpack(data: bytes, what: str) -> Any:
    size = len(data)
    try:
        # One-shot on a complete object: a streaming Unpacker keeps state after an error.
        return msgpack.unpackb(
            data,
            raw=False,
            use_list=False,
            strict_map_key=True,
            max_str_len=size,
            max_bin_len=size,
            max_array_len=size,
            max_map_len=0,
            max_ext_len=0,
        )
    except (ValueError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        raise FormatError(f"the {what} is not MessagePack of this profile") from error
    except msgpack.exceptions.UnpackException as error:
        raise FormatError(f"the {what} is not MessagePack of this profile") from error


def _require_profile(plain: Any, data: bytes, what: str) -> None:
    """Refuse a value that the profile does not list, or bytes that are not its one encoding."""
    _check(plain, MAX_DEPTH)
    if msgpack.packb(plain, use_bin_type=True) != data:
        raise NotCanonical(f"the {what} is not in canonical form")


def _check(value: Any, depth: int) -> None:
    """Refuse whatever the profile does not list; ``depth`` more arrays may open below."""
    kind = type(value)
    if kind is tuple or kind is list:
        if depth == 0:
            raise FormatError(f"arrays are nested deeper than {MAX_DEPTH}")
        for item in value:
            # The commonest members of all, without a call for each: an auditor reads millions.
            inner = type(item)
            if inner is not bytes and (inner is not int or not 0 <= item <= MAX_UINT):
                _check(item, depth - 1)
    elif kind is int:
        if not 0 <= value <= MAX_UINT:
            raise FormatError("an integer is outside 0..2^63-1")
    elif kind is str:
        check_text(value)
    elif kind is not bytes and kind is not bool and value is not None:
        raise FormatError(f"a {kind.__name__} is not part of this profile")


def _convert(plain: Any, type_: type[T], what: str) -> T:
    try:
        # builtin_types: without it, a str would be taken for base64 where bytes are due.
        return msgspec.convert(plain, type_, strict=True, builtin_types=(bytes,))
    except (msgspec.ValidationError, RecursionError) as error:
        raise FormatError(f"the {what} has a wrong shape: {error}") from error
