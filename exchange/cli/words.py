"""What people write on a command line, parsed: lengths of time, states, labels, near misses."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from protocol.errors import FormatError

_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 24 * 3_600_000}
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?")
_SUBJECT_MAX = 200
_LENGTH = re.compile(r"([0-9]{1,6})([smhd])")
T = TypeVar("T")


class LengthOfTime(click.ParamType[int]):
    """Such as ``90m``, ``72h`` or ``3d``; the value is milliseconds.

    Args:
        low_ms: The shortest allowed.
        high_ms: The longest allowed.
    """

    name = "time"

    def __init__(self, low_ms: int, high_ms: int) -> None:
        self._low_ms = low_ms
        self._high_ms = high_ms

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return milliseconds."""
        match = _LENGTH.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is not a length of time such as 30m, 72h or 3d", param, ctx)
        millis = int(match[1]) * _UNITS_MS[match[2]]
        if not self._low_ms <= millis <= self._high_ms:
            self.fail(f"{value} is not between one minute and seven days", param, ctx)
        return millis


class NearChoice(click.Choice[str]):
    """One of some words; a near miss is told which word may have been meant."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word."""
        words = [str(choice) for choice in self.choices]
        if str(value) not in words:
            near = difflib.get_close_matches(str(value), words, n=1, cutoff=0.4)
            meant = f" Did you mean {near[0]}?" if near else ""
            self.fail(f"{value!r} is not one of: {', '.join(words)}.{meant}", param, ctx)
        return str(value)


class Parsed(click.ParamType[Any]):
    """A value that a parser of the protocol reads; its refusal becomes a usage error.

    Args:
        name: What the value is, for the help text.
        parse: The parser.
    """

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return what the parser returns."""
        try:
            return self._parse(value) if isinstance(value, str) else value
        except FormatError as error:
            self.fail(f"{error.message}. {error.hint}", param, ctx)


def subject(text: str) -> str:
    """Return a subject that fits a notice.

    Raises:
        FormatError: it is empty, too long, or not one line.
    """
    if not 1 <= len(text) <= _SUBJECT_MAX or "\n" in text or "\t" in text:
        raise FormatError(
            f"a subject is one line of 1 to {_SUBJECT_MAX} characters",
            hint="Shorten it, and put the rest into the report",
        )
    return text


def language(text: str) -> str:
    """Return the code of a language.

    Raises:
        FormatError: it is none.
    """
    if _LANGUAGE.fullmatch(text) is None:
        raise FormatError(f"{text!r:.40} is no code of a language", hint="Write it like en, es or pt-BR")
    return text


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def states(values: Iterable[str]) -> tuple[str, ...]:
    """Return the state codes in ``XBB,XCC`` and repeated options, in order, each once."""
    codes = (code.strip().upper() for value in values for code in value.split(","))
    return tuple(dict.fromkeys(code for code in codes if code))
