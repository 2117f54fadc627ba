"""The log of this process as tests read it: written by the real telemetry, into memory."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import structlog

from exchange.telemetry import configure
from tests.clocks import FixedClock


class Log:
    """What was written so far. Ask for the fixture ``logging_as_before`` as well."""

    def __init__(self, form: Literal["json", "console"] = "json") -> None:
        self.stream = io.StringIO()
        configure(FixedClock(), level="debug", form=form, stream=self.stream)

    @property
    def text(self) -> str:
        """Return all of it."""
        return self.stream.getvalue()

    @property
    def last(self) -> dict[str, Any]:
        """Return the last event."""
        event: dict[str, Any] = json.loads(self.text.splitlines()[-1])
        return event


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """Give the process its logging back."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()
