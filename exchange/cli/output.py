"""What a command prints: one JSON object, or text for people. Results and messages never mix.

Results go to standard output, messages to standard error. With ``--json`` an error is a result
too, ``{"error": {code, message, next, request_id}}``, so that a script reads one stream.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from exchange.safe import safe_json, safe_line

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA_VERSION = 1
Colour = Literal["auto", "always", "never"]


class Output:
    """The printer of one command.

    Args:
        as_json: Print JSON instead of text.
        colour: When to use colour; ``auto`` means at a terminal that has not asked otherwise.
    """

    def __init__(self, *, as_json: bool, colour: Colour = "auto") -> None:
        self.as_json = as_json
        self._colour = colour

    def result(self, fields: Mapping[str, object] | msgspec.Struct, text: Callable[[Console], None]) -> None:
        """Print a result: the fields as one object, or what ``text`` writes on the console."""
        if self.as_json:
            print_json(fields)
        else:
            self.text(text)

    def text(self, draw: Callable[[Console], None]) -> None:
        """Print what ``draw`` writes on the console, at once, and no blanks at the ends of lines."""
        console = self.console()
        with console.capture() as drawn:
            draw(console)
        print("\n".join(line.rstrip(" ") for line in drawn.get().split("\n")), end="", flush=True)

    def line(self, view: msgspec.Struct, text: Callable[[Console], None]) -> None:
        """Print one of many results at once, such as an event as it happens."""
        self.result(view, text)
        sys.stdout.flush()

    def message(self, text: str) -> None:
        """Tell a person something that is not the result."""
        print(text, file=sys.stderr, flush=True)

    def console(self) -> Console:
        """Return the console for text."""
        from rich.console import Console

        colour = self.in_colour()
        return Console(
            file=sys.stdout,
            color_system="auto" if colour else None,
            force_terminal=True if colour and self._colour == "always" else None,
            no_color=not colour,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
        )

    def in_colour(self) -> bool:
        """Whether text is coloured: no-color.org, and a terminal that can."""
        if self._colour != "auto":
            return self._colour == "always"
        return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def encoded(fields: Mapping[str, object] | msgspec.Struct) -> str:
    """Return one object with its ``schema_version``, safe to print on a terminal."""
    values: Any = msgspec.to_builtins(fields)
    return safe_json(msgspec.json.encode({"schema_version": SCHEMA_VERSION, **values}).decode())


def print_json(fields: Mapping[str, object] | msgspec.Struct) -> None:
    """Print one object; where the output cannot show a letter, the whole is in ASCII escapes."""
    text = encoded(fields)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        # The stream would write an escape of its own, such as \xf1, which is not JSON.
        text = json.dumps(json.loads(text), separators=(",", ":"))
    print(text)


def print_error(
    *, as_json: bool, code: str, message: str, next_step: str, request_id: str | None = None
) -> None:
    """Print why a command failed and what to do about it."""
    if as_json:
        error = {"code": code, "message": message, "next": next_step, "request_id": request_id}
        print_json({"error": error})
        return
    lines = [f"almenara: {safe_line(message)} [{code}]", f"  next: {safe_line(next_step)}"]
    if request_id is not None:
        lines.append(f"  request: {request_id}")
    print("\n".join(lines), file=sys.stderr)
