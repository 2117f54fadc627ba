"""Packs: the signed objects behind the leaves of one range, in a file of their own.

``u64 index, u32 length, bytes``, again and again, big-endian, the indexes strictly rising. A pack
need not hold every leaf of its range: members get only what concerns them, and retention may
have removed what the tree still commits to. Nothing in a pack is believed but by its leaf.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from protocol.errors import FormatError, NotCanonical, TooLarge
from protocol.fields import MAX_UINT

_HEAD = struct.Struct(">QI")


def encode_pack(records: Iterable[tuple[int, bytes]]) -> bytes:
    """Return a pack of records: leaf index and object, the indexes strictly rising.

    Raises:
        NotCanonical: they are not.
    """
    parts: list[bytes] = []
    last = -1
    for index, data in records:
        last = _next(last, index)
        parts += (_HEAD.pack(index, len(data)), data)
    return b"".join(parts)


def iter_pack(data: bytes, limit: int) -> Iterator[tuple[int, bytes]]:
    """Yield leaf index and object of each record.

    Args:
        data: The pack.
        limit: The greatest permitted length of one object, in bytes.

    Raises:
        FormatError: it ends within a record, or an index is out of bounds.
        NotCanonical: the indexes do not rise strictly.
        TooLarge: an object is over the limit.
    """
    last, at = -1, 0
    while at < len(data):
        if len(data) - at < _HEAD.size:
            raise FormatError("the pack ends within a record's head")
        index, length = _HEAD.unpack_from(data, at)
        last = _next(last, index)
        if length > limit:
            raise TooLarge(f"the pack's record {index} is over {limit} bytes")
        at += _HEAD.size
        if len(data) - at < length:
            raise FormatError(f"the pack ends within record {index}")
        yield index, data[at : at + length]
        at += length


def _next(last: int, index: int) -> int:
    if not 0 <= index <= MAX_UINT:
        raise FormatError("a pack's index is out of bounds")
    if index <= last:
        raise NotCanonical("the pack's indexes do not rise")
    return index
