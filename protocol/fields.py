"""Field types shared by every wire structure, with their bounds in one place.

A structure that was decoded by :mod:`protocol.codec` satisfies these bounds; no later code
checks them again.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

MAX_UINT = 2**63 - 1
MAX_MILLIS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z

Uint = Annotated[int, Meta(ge=0, le=MAX_UINT)]
U16 = Annotated[int, Meta(ge=0, le=0xFFFF)]
Millis = Annotated[int, Meta(ge=0, le=MAX_MILLIS)]
"""Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted (POSIX).

Bounded by the last year with four digits, so that every time on the wire can also be written.
"""

Bytes16 = Annotated[bytes, Meta(min_length=16, max_length=16)]
Bytes32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
StateCode = Annotated[str, Meta(pattern=r"\A[A-Z0-9][A-Z0-9-]{1,15}\Z")]
"""A party's code: ISO 3166 alpha-3 for states, or another code agreed in the directory."""

Slug = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9.-]{0,63}\Z")]
"""A lower-case machine name: schema ids, level codes, reasons."""

Line = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\A[^\n\t]+\Z")]
"""One line of human text."""

PublicKeyBytes = Annotated[bytes, Meta(min_length=1984, max_length=1984)]
SignatureBytes = Annotated[bytes, Meta(min_length=3373, max_length=3373)]
KemKeyBytes = Annotated[bytes, Meta(min_length=1216, max_length=1216)]
WrapBytes = Annotated[bytes, Meta(min_length=1208, max_length=1208)]


class Wire(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base of every wire structure: an immutable array of fixed arity."""
