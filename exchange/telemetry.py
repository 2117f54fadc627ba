"""The log: what happened, in words and numbers that can hold no secret.

An event has a dotted name (``notice.received``) and fields. A field is written only if its name is
in :data:`FIELDS` and its value has the shape that stands there; all others are cut, and their number
is written as ``cut``. There is no field for free text, so no payload, key, passphrase or token fits.

Exceptions: the text of an exception is never written, not even of our own, because a message may
quote its input. Written are its class, its code, its first cause, and the lines of code it came
through, without source text or variables. The sentence for the operator goes to the command that
asked, not to the log.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import structlog

from exchange.clock import Clock
from exchange.settings import LogFormat, LogLevel
from protocol.errors import AlmenaraError
from protocol.text import format_utc

EVENT = re.compile(r"[a-z][a-z0-9]*(\.[a-z][a-z0-9_]*)+")
WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,47}")
HEX = re.compile(r"[0-9a-f]{8,64}")
REQUEST = re.compile(r"[A-Za-z0-9_-]{8,64}")
STATE = re.compile(r"[A-Z0-9][A-Z0-9-]{1,15}")
ADDRESS = re.compile(r"[0-9A-Za-z.:\[\]_-]{1,64}")
VERSION = re.compile(r"[0-9]+(\.[0-9]+){0,3}")
NUMBER = None

FIELDS: Mapping[str, re.Pattern[str] | None] = {
    "account": WORD,
    "action": WORD,
    "code": WORD,
    "component": WORD,
    "error": WORD,
    "file": WORD,
    "kind": WORD,
    "library": WORD,
    "log": WORD,
    "peer_code": WORD,
    "phase": WORD,
    "process": WORD,
    "reason": WORD,
    "role": WORD,
    "schema": WORD,
    "certificate": HEX,
    "digest": HEX,
    "envelope": HEX,
    "key": HEX,
    "notice": HEX,
    "session": HEX,
    "statement": HEX,
    "request": REQUEST,
    "recipient": STATE,
    "sender": STATE,
    "state": STATE,
    "address": ADDRESS,
    "version": VERSION,
    "attempt": NUMBER,
    "bytes": NUMBER,
    "count": NUMBER,
    "cursor": NUMBER,
    "deadline_ms": NUMBER,
    "members": NUMBER,
    "ms": NUMBER,
    "needed": NUMBER,
    "number": NUMBER,
    "pid": NUMBER,
    "point": NUMBER,
    "port": NUMBER,
    "seconds": NUMBER,
    "seq": NUMBER,
    "size": NUMBER,
    "skew_ms": NUMBER,
    "status": NUMBER,
}
"""Every field that may be written, with the shape of its values; None stands for a number."""

REFUSED_EVENT = "telemetry.event_refused"
FRAMES = 12

Event = MutableMapping[str, Any]


def configure(
    clock: Clock, *, level: LogLevel = "info", form: LogFormat = "json", stream: TextIO = sys.stderr
) -> None:
    """Set up logging for this process, and send what libraries log the same way.

    Args:
        clock: Gives each event its UTC time.
        level: The least important events that are written.
        form: ``json``, one object a line, or ``console`` for people.
        stream: Where to.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            Redaction(clock),
            structlog.processors.JSONRenderer(sort_keys=False)
            if form == "json"
            else structlog.dev.ConsoleRenderer(
                colors=False, timestamp_key="time", exception_formatter=nothing
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [LibraryHandler()]
    root.setLevel(max(number, logging.WARNING))


class Redaction:
    """The processor that lets through only what cannot be a secret, and adds the time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, _logger: object, _method: str, event: Event) -> Event:
        """Return a new event made of permitted fields only; never raises, for a log must not stop work."""
        name = event.get("event")
        fit = isinstance(name, str) and len(name) <= 64 and EVENT.fullmatch(name)
        written: Event = {
            "time": format_utc(self._clock.now_ms()),
            "level": event.get("level", "info"),
            "event": name if fit else REFUSED_EVENT,
        }
        cut = 0
        for field, value in event.items():
            if field in ("event", "level", "exc_info"):
                continue
            if permitted(field, value):
                written[field] = value
            else:
                cut += 1
        written.update(described(event.get("exc_info")))
        if cut:
            written["cut"] = cut
        return written


class LibraryHandler(logging.Handler):
    """Says that a library logged something, and how bad it is, but not its text, which may quote anything."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the library's name, and the class and lines of an exception."""
        log = structlog.get_logger()
        log.log(record.levelno, "library.message", library=record.name, exc_info=record.exc_info)


def permitted(field: object, value: object) -> bool:
    """Say whether a field may be written: a known name with a value of its shape."""
    if not isinstance(field, str) or field not in FIELDS:
        return False
    shape = FIELDS[field]
    if value is None or type(value) is bool:
        return True
    if shape is NUMBER:
        return type(value) in (int, float)
    return isinstance(value, str) and shape.fullmatch(value) is not None


def described(exc_info: object) -> Mapping[str, object]:
    """Return what may be written about an exception, itself, a triple, or True for the current one."""
    error = exc_info if isinstance(exc_info, BaseException) else None
    if isinstance(exc_info, tuple) and len(exc_info) == 3:
        error = exc_info[1]
    elif exc_info is True:
        error = sys.exc_info()[1]
    if not isinstance(error, BaseException):
        return {}
    fields: dict[str, object] = {"error": type(error).__name__, "frames": frames(error.__traceback__)}
    if isinstance(error, AlmenaraError):
        fields["error_code"] = error.code
    if error.__cause__ is not None:
        fields["cause"] = type(error.__cause__).__name__
    return fields


def frames(trace: TracebackType | None) -> list[str]:
    """Return the innermost lines an exception came through, as ``room/module.py:line function``."""
    lines = []
    while trace is not None:
        code = trace.tb_frame.f_code
        where = "/".join(Path(code.co_filename).parts[-3:])
        lines.append(f"{where}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return lines[-FRAMES:]


def nothing(_stream: TextIO, _exc_info: object) -> None:
    """Write no traceback: the console writer must not add what redaction left out."""
