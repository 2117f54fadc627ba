"""The log: nothing secret fits into it, whatever is passed to it."""

from __future__ import annotations

import ast
import asyncio
import io
import logging
from pathlib import Path
from typing import Any, Literal

import pytest
import structlog

import exchange
from exchange.telemetry import EVENT, FIELDS, configure, permitted
from protocol.errors import BadRequest
from tests.clocks import FixedClock
from tests.logs import Log

CANARY = "cAnArY correct horse battery staple"
pytestmark = pytest.mark.usefixtures("logging_as_before")

LEVELS = {"debug", "info", "warning", "error", "exception", "say"}
CODE = sorted(
    path
    for path in Path(exchange.__file__).parent.rglob("*.py")
    if "structlog.get_logger()" in path.read_text("utf-8")
)


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "fields",
    [
        {"subject": CANARY},
        {"notice": CANARY},
        {"notice": CANARY.encode()},
        {"key": bytearray(CANARY.encode())},
        {"state": [CANARY]},
        {"state": {"x": CANARY}},
        {"count": CANARY},
        {"reason": CANARY},
        {CANARY: 1},
        {"exception": CANARY},
        {"stack": CANARY},
        {"_record": CANARY},
        {"exc_info": (CANARY, CANARY, CANARY)},
        {"exc_info": CANARY},
        {"stack_info": True, "token": CANARY},
    ],
)
def test_no_field_carries_a_secret(form: Literal["json", "console"], fields: dict[str, Any]) -> None:
    """Unknown names, free text, bytes and containers are cut; the event itself is still written."""
    log = Log(form)
    structlog.get_logger().warning("notice.refused", **fields)
    assert "notice.refused" in log.text
    assert "cAnArY" not in log.text
    assert CANARY.encode().hex() not in log.text


def test_what_was_cut_is_counted() -> None:
    """The reader sees that something is missing."""
    log = Log()
    structlog.get_logger().info("notice.received", state="XAA", subject=CANARY, body=b"x")
    assert (log.last["cut"], log.last["state"]) == (2, "XAA")


@pytest.mark.parametrize("name", [CANARY, "received", f"notice.{CANARY}", "Notice.Received", "a." + "b" * 99])
def test_a_name_that_is_no_event_name_is_not_written(name: str) -> None:
    """A sentence in place of an event name is replaced, not quoted."""
    log = Log()
    structlog.get_logger().info(name)
    assert log.last["event"] == "telemetry.event_refused"
    assert name not in log.text


def failing(secret: str) -> None:
    """Raise with a secret in a variable, in the message and in the cause."""
    try:
        raise ValueError(f"cannot parse {secret}")
    except ValueError as error:
        raise BadRequest(f"refused {secret}", hint=secret) from error


@pytest.mark.parametrize("form", ["json", "console"])
def test_an_exception_is_logged_without_its_text(form: Literal["json", "console"]) -> None:
    """Class, code, cause and lines are there; messages, notes, variables and source text are not."""
    log = Log(form)
    try:
        failing(CANARY)
    except BadRequest as error:
        error.add_note(CANARY)
        structlog.get_logger().exception("request.failed")
        structlog.get_logger().error("request.failed", exc_info=error)
    assert "cAnArY" not in log.text
    assert "refused" not in log.text
    for part in ("BadRequest", "bad-request", "ValueError", "test_telemetry.py", "failing"):
        assert log.text.count(part) >= 2


def test_what_libraries_log_is_not_quoted() -> None:
    """Text, arguments and exceptions of the standard logging are reduced to who and what class."""
    log = Log()
    try:
        raise OSError(CANARY)
    except OSError:
        logging.getLogger("aiohttp.server").exception("handling %s", CANARY)
    assert "cAnArY" not in log.text
    assert (log.last["library"], log.last["error"], log.last["level"]) == (
        "aiohttp.server",
        "OSError",
        "error",
    )


async def test_a_forgotten_task_is_not_quoted() -> None:
    """The event loop's own complaint about an exception carries no text of it."""
    log = Log()
    context = {"message": CANARY, "exception": ValueError(CANARY)}
    asyncio.get_running_loop().default_exception_handler(context)
    assert "cAnArY" not in log.text
    assert log.last["error"] == "ValueError"


def test_levels_below_the_set_one_are_not_written() -> None:
    """A quiet log stays quiet."""
    stream = io.StringIO()
    configure(FixedClock(), level="warning", stream=stream)
    structlog.get_logger().info("notice.received")
    assert stream.getvalue() == ""


def test_no_field_admits_free_text() -> None:
    """Whatever the field, a sentence does not fit, nor bytes."""
    assert not [field for field in FIELDS if permitted(field, CANARY) or permitted(field, CANARY.encode())]


def logged(path: Path) -> list[ast.Call]:
    """Return the calls in a module that write an event under a name."""
    return [
        node
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) in LEVELS
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and getattr(getattr(node.func, "value", None), "id", "log").lstrip("_") == "log"
    ]


def test_every_event_of_this_program_is_written_whole() -> None:
    """A name that is no event name is replaced and an unknown field is cut: nobody would notice."""
    events = [(path, call) for path in CODE for call in logged(path)]
    assert len(events) > 30
    unfit = [
        f"{path.name}:{call.lineno} {name}"
        for path, call in events
        if not EVENT.fullmatch(name := ast.literal_eval(call.args[0]))
    ]
    unfit += [
        f"{path.name}:{call.lineno} {keyword.arg}"
        for path, call in events
        for keyword in call.keywords
        if keyword.arg not in FIELDS and keyword.arg != "exc_info"
    ]
    assert unfit == []


@pytest.mark.parametrize("code", ["XAA", "HUB", "NORTH-1", "X" * 16])
def test_the_code_of_any_party_is_written(code: str) -> None:
    """A party may have another code than three letters, if the directory lists it."""
    log = Log()
    structlog.get_logger().info("session.opened", state=code)
    assert log.last["state"] == code
