"""A short way through the codec, for what is plainly canonical: typed at once, and compared.

An auditor reads millions of objects, nearly all of them plain. Here one is decoded straight into its
structure and encoded again; if that gives the same bytes, and every text in it is printable ASCII,
then the long way would accept it too, with an equal value. Whatever is not so plain goes the long way,
which alone decides and gives the reason. ``tests/property`` holds both to the same answers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import inspect

TYPES_KEPT = 256

Plain = Callable[[Any], bool]
"""Returns whether every text in a value is printable ASCII."""

_ENCODER = msgspec.msgpack.Encoder()


class _Unfit(Exception):
    """The short way would not be equal to the long one for this type; never leaves this module."""


class Reader:
    """The short way for one type.

    Args:
        type_: A structure of wire fields.
        plain: Whether the texts of such a value need no further check; None if it has none.
    """

    __slots__ = ("_decode", "_plain")

    def __init__(self, type_: Any, plain: Plain | None) -> None:
        self._decode = msgspec.msgpack.Decoder(type_, strict=True).decode
        self._plain = plain

    def read(self, data: bytes) -> Any | None:
        """Return the value, or None if the long way must decide."""
        try:
            value = self._decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if _ENCODER.encode(value) != data or (self._plain is not None and not self._plain(value)):
            return None
        return value

    def written(self, value: Any) -> bytes | None:
        """Return the encoding of a value, or None if the long way must decide.

        It is read back at once: what does not keep its own type's bounds is not written.
        """
        try:
            data = _ENCODER.encode(value)
            back = self._decode(data)
        except (TypeError, ValueError, OverflowError, msgspec.MsgspecError, RecursionError):
            return None
        return data if self._plain is None or self._plain(back) else None


@lru_cache(maxsize=TYPES_KEPT)
def reader(type_: Any, most: int, deepest: int) -> Reader | None:
    """Return the short way for a type, or None if there is none.

    Args:
        type_: What is to be read.
        most: The largest integer that the profile permits.
        deepest: How deep arrays may lie in each other.
    """
    try:
        return Reader(type_, _plain_of(inspect.type_info(type_), most, deepest))
    except (_Unfit, TypeError):
        return None


def _plain_of(kind: inspect.Type, most: int, deepest: int) -> Plain | None:
    """Return the check of a type's texts, or None if it has none.

    Raises:
        _Unfit: the type could hold something that the profile does not list.
    """
    match kind:
        case inspect.Metadata(type=inner):
            return _plain_of(inner, most, deepest)
        case inspect.StrType():
            return _is_plain
        case inspect.BytesType() | inspect.BoolType() | inspect.NoneType():
            return None
        case inspect.IntType(ge=int(low), le=high, lt=end) if low >= 0 and _bounded(high, end, most):
            return None
        case inspect.EnumType(cls=cls) if _known([member.value for member in cls], most):
            return None
        case inspect.LiteralType(values=values) if _known(list(values), most):
            return None
        case inspect.VarTupleType(item_type=item) if deepest:
            return _plain_items(_plain_of(item, most, deepest - 1))
        case inspect.StructType(array_like=True, fields=fields) if deepest:
            return _plain_fields(fields, most, deepest - 1)
        case (
            inspect.UnionType(types=(one, inspect.NoneType()))
            | inspect.UnionType(types=(inspect.NoneType(), one))
        ):
            inner_plain = _plain_of(one, most, deepest)
            return None if inner_plain is None else lambda value: value is None or inner_plain(value)
    raise _Unfit


def _plain_fields(fields: tuple[inspect.Field, ...], most: int, deepest: int) -> Plain | None:
    checks = [
        (attrgetter(field.name), plain)
        for field in fields
        if (plain := _plain_of(field.type, most, deepest)) is not None
    ]
    if not checks:
        return None

    def fields_are_plain(value: Any) -> bool:
        # A loop and not all() over a generator: messages come by the ten thousand a second.
        for get, plain in checks:  # noqa: SIM110
            if not plain(get(value)):
                return False
        return True

    return fields_are_plain


def _plain_items(plain: Plain | None) -> Plain | None:
    return None if plain is None else lambda value: all(map(plain, value))


def _bounded(high: int | None, end: int | None, most: int) -> bool:
    return (high is not None and high <= most) or (end is not None and end <= most)


def _known(values: list[Any], most: int) -> bool:
    """Whether all constants are of the profile."""
    return all(
        0 <= value <= most if type(value) is int else type(value) is str and _is_plain(value)
        for value in values
    )


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()
