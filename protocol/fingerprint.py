"""A hash as people compare it: groups of digits, or words to be read over the telephone.

A line of words is eight bytes and a check word, so that four lines are a whole hash and two are half
of one. ``spec/fingerprint.md`` says how many people compare, and why that suffices.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from types import MappingProxyType

from protocol.errors import FormatError
from protocol.wordlist import WORDS

DIGEST_BYTES = 32
GROUP_DIGITS = 8
LINE_BYTES = 8
LINE_WORDS = LINE_BYTES + 1
LINES = DIGEST_BYTES // LINE_BYTES
HALF = 2
"""Half of the groups or lines is the least that counts as a comparison: 128 bits."""
KNOWN_BY = 4
"""How many letters of a word are enough to know it."""

_POLYNOMIAL = 0x11D
_SEPARATORS = re.compile(r"[\s,;.:-]+")
_DIGITS = re.compile(r"[0-9a-f]+")
_NUMBERS: Mapping[str, int] = MappingProxyType({word[:KNOWN_BY]: byte for byte, word in enumerate(WORDS)})


def groups(digest: bytes) -> str:
    """Return a hash in groups of eight hexadecimal digits."""
    digits = digest.hex()
    return " ".join(digits[start : start + GROUP_DIGITS] for start in range(0, len(digits), GROUP_DIGITS))


def words(digest: bytes) -> tuple[str, ...]:
    """Return a hash as lines of nine words: eight bytes, and what checks them."""
    lines = [digest[start : start + LINE_BYTES] for start in range(0, len(digest), LINE_BYTES)]
    return tuple(
        " ".join(WORDS[byte] for byte in [*line, _check(number, line)])
        for number, line in enumerate(lines, start=1)
    )


def parse(text: str) -> bytes:
    """Return the whole hash that somebody typed, as digits or as words.

    Spaces, line ends, commas, the case of letters, and letters of a word behind its fourth do not matter.

    Raises:
        FormatError: it is not a whole hash, or a part of it is wrong; the message says which.
    """
    typed = _split(text)
    if are_digits(typed):
        digits = "".join(typed)
        if len(digits) != 2 * DIGEST_BYTES:
            raise FormatError(f"a hash has {2 * DIGEST_BYTES} hexadecimal digits; this has {len(digits)}")
        return bytes.fromhex(digits)
    values = [_value(place, word) for place, word in enumerate(typed, start=1)]
    if len(values) != LINES * LINE_WORDS:
        raise FormatError(f"a hash has {LINES * LINE_WORDS} words; this has {len(values)}")
    digest = b""
    for number in range(1, LINES + 1):
        line = values[(number - 1) * LINE_WORDS : number * LINE_WORDS]
        if _check(number, line[:-1]) != line[-1]:
            raise FormatError(
                f"line {number} of the words is wrong: {' '.join(WORDS[value] for value in line)}"
            )
        digest += bytes(line[:-1])
    return digest


def differences(digest: bytes, heard: str) -> list[str]:
    """Return where what was heard differs from a hash, part by part; nothing if it is the same.

    Args:
        digest: The hash that is known here.
        heard: Digits or words: all of them, or at least the first half.

    Raises:
        FormatError: it is less than half of a hash.
    """
    typed = _split(heard)
    if are_digits(typed):
        text = "".join(typed)
        parts = [text[start : start + GROUP_DIGITS] for start in range(0, len(text), GROUP_DIGITS)]
        return _compared("group", groups(digest).split(), parts)
    expected = " ".join(words(digest)).split()
    return _compared("word", expected, [_completed(word) for word in typed])


def are_digits(typed: Sequence[str]) -> bool:
    """Whether what was typed is meant as hexadecimal digits; no word could be taken for them."""
    return all(_DIGITS.fullmatch(part) for part in typed)


def _split(text: str) -> list[str]:
    return [part for part in _SEPARATORS.split(text.lower()) if part]


def _value(place: int, typed: str) -> int:
    value = _NUMBERS.get(typed[:KNOWN_BY])
    if value is None or not WORDS[value].startswith(typed):
        raise FormatError(f"word {place}, {typed!r}, is not in the list of words")
    return value


def _completed(typed: str) -> str:
    value = _NUMBERS.get(typed[:KNOWN_BY])
    return WORDS[value] if value is not None and WORDS[value].startswith(typed) else typed


def _compared(what: str, expected: list[str], heard: list[str]) -> list[str]:
    """Compare as many parts as were heard, which is half or all; a part too few or too many differs too."""
    half = len(expected) // HALF
    wanted = half if len(heard) <= half else len(expected)
    found = [
        f"{what} {place} is {here or 'nothing'} here, and {there or 'nothing'} there"
        for place, (here, there) in enumerate(zip_longest(expected[:wanted], heard), start=1)
        if here != there
    ]
    if len(heard) < half:
        raise FormatError(f"the first {half} {what}s are the least that is compared; {found[0]}")
    return found


def _check(number: int, line: Sequence[int]) -> int:
    """Return the check of a line: a CRC over GF(2) that starts with the number of the line.

    Its polynomial is primitive, so one wrong word, two words exchanged, or two lines exchanged are
    noticed with certainty; anything else in 255 of 256 cases.
    """
    value = number
    for byte in line:
        value ^= byte
        for _ in range(8):
            value = (value << 1) ^ (_POLYNOMIAL if value & 0x80 else 0)
    return value & 0xFF
