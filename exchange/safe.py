r"""Text from elsewhere, made safe for a terminal: it may be read, it may not act.

A notice's text could move the cursor, hide a line, turn its direction, or pretend to be this
program. Whatever is not plainly visible is written as an escape such as ``\u{202e}``.
"""

from __future__ import annotations

import re
import unicodedata

# Letters and marks that show nothing although their category says they are visible.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MARKS = frozenset({"Mn", "Me"})
MAX_MARKS = 3
"""Marks in a row on one letter; no language of the members needs more, and more draws over lines."""

_ASCII = re.compile(r"[\x20-\x7e]*")
_NOT_ASCII = re.compile(r"[^\x20-\x7e\n]")


def safe_line(text: str) -> str:
    """Return the text as one visible line; line ends and tabs become a space."""
    return _escaped(re.sub(r"[\r\n\t]+", " ", text))


def safe_block(text: str) -> str:
    """Return the text with its line ends; tabs become spaces, everything else invisible is escaped."""
    lines = text.replace("\r\n", "\n").expandtabs(4).split("\n")
    return "\n".join(_escaped(line) for line in lines)


def safe_json(encoded: str) -> str:
    r"""Return JSON text of the same value in which nothing can act on a terminal.

    JSON itself leaves C1 controls, directions and zero-width characters as they are. They can
    only stand inside its strings, where ``\uXXXX`` means the same.
    """
    return _NOT_ASCII.sub(_json_escape, encoded)


def _escaped(line: str) -> str:
    if _ASCII.fullmatch(line):
        return line
    shown: list[str] = []
    marks = 0
    for character in line:
        category = unicodedata.category(character)
        marks = marks + 1 if category in _MARKS else 0
        hidden = category in _INVISIBLE or character in _BLANK or marks > MAX_MARKS
        shown.append(f"\\u{{{ord(character):x}}}" if hidden else character)
    return "".join(shown)


def _json_escape(match: re.Match[str]) -> str:
    character = match[0]
    if unicodedata.category(character) not in _INVISIBLE and character not in _BLANK:
        return character
    data = character.encode("utf-16-be", "surrogatepass")
    units = (data[place : place + 2] for place in range(0, len(data), 2))
    return "".join(f"\\u{unit.hex()}" for unit in units)
