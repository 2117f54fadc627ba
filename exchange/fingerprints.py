"""Fingerprints in all the forms in which people compare them: groups of digits, words, a QR code."""

from __future__ import annotations

from collections.abc import Iterator

import segno

from protocol.errors import BadRequest, FormatError, UnknownSigner
from protocol.fingerprint import differences, groups, words

QUIET = 4
"""Light modules round a QR code, without which readers do not find it."""
SHOWN = 3
_HALVES = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}


def fields(digest: bytes) -> dict[str, object]:
    """Return a fingerprint for programs: in groups, as lines of words, and as a QR code's text."""
    return {"fingerprint": groups(digest), "words": list(words(digest)), "qr": qr_text(digest)}


def lines(digest: bytes) -> Iterator[str]:
    """Yield a fingerprint for people: two lines of groups, four lines of words."""
    parts = groups(digest).split()
    half = len(parts) // 2
    yield f"  {' '.join(parts[:half])}"
    yield f"  {' '.join(parts[half:])}"
    yield from (f"  {line}" for line in words(digest))


def qr_text(digest: bytes) -> str:
    """Return what a QR code of a fingerprint says: its groups, in the capitals that make it small."""
    return groups(digest).upper()


def qr(digest: bytes) -> list[str]:
    """Return a QR code for a terminal: blocks are light, so draw it in a light colour on black."""
    code = segno.make_qr(qr_text(digest), error="m")
    light = [[not module for module in row] for row in code.matrix_iter(border=QUIET)]
    if len(light) % 2:
        light.append([False] * len(light[0]))
    return [
        "".join(_HALVES[upper, lower] for upper, lower in zip(*light[row : row + 2], strict=True))
        for row in range(0, len(light), 2)
    ]


def require_same(digest: bytes, heard: str, whose: str) -> None:
    """Return only if what somebody heard or scanned is this fingerprint, or its first half.

    Args:
        digest: The hash that is known here.
        heard: Digits or words, however they are spaced.
        whose: What the fingerprint is of, for the message.

    Raises:
        BadRequest: it is too little to compare.
        UnknownSigner: it differs; the message names the parts.
    """
    try:
        found = differences(digest, heard)
    except FormatError as error:
        raise BadRequest(
            f"this is too little of a fingerprint: {error.message}",
            hint="Ask for the whole of it: eight groups of eight digits, or four lines of nine words.",
        ) from error
    if found:
        more = f"; and {len(found) - SHOWN} more differ" if len(found) > SHOWN else ""
        raise UnknownSigner(
            f"this is not {whose}: {'; '.join(found[:SHOWN])}{more}",
            hint="Have it read out once more. If it differs again, stop: somebody may have changed it.",
        )
