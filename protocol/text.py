"""Strict text: hexadecimal, base64, decimal numbers and times. The only place that reads such text.

Python's own readers are lax (``int("+5")``, base64 with stray bits), so every parse here is
checked by printing the value again.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta

from protocol.errors import FormatError

MAX_DECIMAL = 2**63 - 1

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_hex(text: str, *, what: str, size: int | None = None) -> bytes:
    """Return the bytes of a lower-case hexadecimal string.

    Args:
        text: Lower-case hexadecimal digits, nothing else.
        what: A noun for messages.
        size: The exact number of bytes asked for, or None for any.
    """
    try:
        data = bytes.fromhex(text)
    except ValueError as error:
        raise FormatError(f"the {what} is not hexadecimal") from error
    if data.hex() != text or (size is not None and len(data) != size):
        raise FormatError(f"the {what} is not {size or 'canonical'} bytes of lower-case hexadecimal")
    return data


def format_base64(data: bytes) -> str:
    """Return standard base64 with padding, on one line."""
    return base64.b64encode(data).decode("ascii")


def parse_base64(text: str, *, what: str) -> bytes:
    """Return the bytes of canonical standard base64; any other spelling is refused."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError(f"the {what} is not base64") from error
    if format_base64(data) != text:
        raise FormatError(f"the {what} is not canonical base64")
    return data


def parse_decimal(text: str, *, what: str, limit: int = MAX_DECIMAL) -> int:
    """Return a number written in ASCII digits: no sign, no leading zero, at most ``limit``."""
    # The length first: Python takes quadratic time for long digit strings.
    if len(text) > len(str(limit)) or not (text.isascii() and text.isdigit()) or str(int(text)) != text:
        raise FormatError(f"the {what} is not a decimal number without leading zeros")
    value = int(text)
    if value > limit:
        raise FormatError(f"the {what} is over {limit}")
    return value


def format_utc(millis: int) -> str:
    """Return RFC 3339 in UTC with milliseconds, such as ``2026-03-01T03:14:15.926Z``."""
    moment = datetime.fromtimestamp(millis // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{millis % 1000:03d}Z"


def parse_utc(text: str, *, what: str) -> int:
    """Return milliseconds UTC of a time with an explicit offset or ``Z``; or of a bare date."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise FormatError(f"the {what} is not a date or time such as 2026-03-01T03:00:00Z") from error
    if moment.tzinfo is None:
        if len(text) != len("2026-03-01"):
            raise FormatError(f"the {what} has no time zone; add Z for UTC")
        moment = moment.replace(tzinfo=UTC)
    # Whole numbers only: a float of seconds loses a millisecond about once in 160 times.
    return (moment - _EPOCH) // timedelta(milliseconds=1)
