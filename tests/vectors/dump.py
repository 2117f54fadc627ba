"""Draw a wire structure for a page: hexadecimal left, its meaning right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

import msgspec

from protocol.fields import Wire
from protocol.text import format_utc

LINE_BYTES = 24
LONG = 64


def drawn(value: Wire, *, whole: bool) -> str:
    """Return the lines of a structure.

    Args:
        value: The structure.
        whole: Show every byte, so that the block is the object; otherwise long members are
            shortened to their first and last bytes.
    """
    words = re.sub(r"(?<!^)([A-Z])", r" \1", type(value).__name__).lower()
    rows = list(_structure(value, words, 0, whole))
    width = min(60, max(len(left) for left, right in rows if right))
    return "\n".join(f"{left:<{width}}   {right}".rstrip() for left, right in rows)


def hexadecimal(data: bytes) -> str:
    """Return bytes on lines of a readable length."""
    return "\n".join(data[at : at + 32].hex() for at in range(0, len(data), 32))


Row = tuple[str, str]


def _structure(value: Wire, name: str, depth: int, whole: bool) -> Iterator[Row]:
    tag = type(value).__struct_config__.tag
    members = [(field, getattr(value, field)) for field in value.__struct_fields__]
    if tag is not None:
        members.insert(0, ("tag", tag))
    yield _indented(_array(len(members)), depth), f"{name}: {len(members)} members"
    for field, member in members:
        yield from _member(member, field, depth + 1, whole)


def _member(value: object, name: str, depth: int, whole: bool) -> Iterator[Row]:
    if isinstance(value, Wire):
        yield from _structure(value, name, depth, whole)
    elif isinstance(value, tuple):
        yield _indented(_array(len(value)), depth), f"{name}: {len(value) or 'none'}"
        for item in value:
            yield from _member(item, _singular(name), depth + 1, whole)
    elif isinstance(value, bytes):
        yield from _bytes(value, name, depth, whole)
    else:
        yield _indented(msgspec.msgpack.encode(value).hex(), depth), f"{name} {_shown(value, name)}"


def _bytes(value: bytes, name: str, depth: int, whole: bool) -> Iterator[Row]:
    encoded = msgspec.msgpack.encode(value)
    start = encoded[: len(encoded) - len(value)].hex()
    words = f"{name}, {len(value)} bytes"
    if not whole and len(value) > LONG:
        yield _indented(f"{start} {value[:8].hex()} ... {value[-8:].hex()}", depth), words
        return
    if len(value) <= 16:
        yield _indented(f"{start} {value.hex()}".strip(), depth), words
        return
    yield _indented(start, depth), words
    for at in range(0, len(value), LINE_BYTES):
        yield _indented(value[at : at + LINE_BYTES].hex(), depth + 1), ""


def _shown(value: object, name: str) -> str:
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return f'"{value}"' if isinstance(value, str) else f"{value.value}, {value.name}"
    if isinstance(value, str):
        return '"' + value.replace("\n", "\\n") + '"'
    assert isinstance(value, int)
    return format_utc(value) if name.endswith("_ms") else str(value)


def _singular(name: str) -> str:
    return {"wrap_hashes": "wrap hash", "path": "sibling"}.get(name, name.removesuffix("s"))


def _array(length: int) -> str:
    return bytes([0x90 + length]).hex() if length < 16 else "dc" + length.to_bytes(2, "big").hex()


def _indented(text: str, depth: int) -> str:
    return "  " * depth + text
