"""The commands as somebody types them, against a real local interface on a Unix socket."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exchange.api.serve import LocalInterface
from exchange.cli.program import run
from exchange.keystore import write_secret
from tests.unit.exchange.desk_double import (
    OFFICER,
    SENDER,
    DeskDouble,
    app_of,
)

SEND = ["send", "--to", "XBB,xcc", "--severity", "xaa-national@1:grave", "--subject", "Wiper"]
HOUSE = Path(__file__).resolve().parents[1]


class Cli:
    """Runs commands in this process against the node of the test."""

    def __init__(self, folder: Path, desk: DeskDouble, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.desk = desk
        self.socket = folder / "api.sock"
        self.out = ""
        self.err = ""
        self._capsys = capsys
        self.report = folder / "report.md"
        self.report.write_text("Please look at this.\n", "utf-8")
        for name, token in (("officer", OFFICER), ("sender", SENDER)):
            write_secret(folder / f"{name}.token", f"{token}\n")

    def __call__(self, *words: str, token: str = "officer") -> int:
        place = ["--socket", str(self.socket), "--token-file", str(self.folder / f"{token}.token")]
        return self.bare(*words, *place)

    def bare(self, *words: str) -> int:
        code = run(words)
        self.out, self.err = self._capsys.readouterr()
        return code

    def json(self, *words: str, expect: int = 0) -> Any:
        assert self(*words, "--json") == expect, self.out + self.err
        return json.loads(self.out)


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The commands without a node."""
    for name in [name for name in os.environ if name.startswith(("ALMENARA_", "XDG_", "CREDENTIALS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    return Cli(tmp_path, DeskDouble(), capsys)


@pytest.fixture
def cli(alone: Cli) -> Iterator[Cli]:
    """The commands with a node that answers from another thread."""
    loop = asyncio.new_event_loop()
    interface = LocalInterface(app_of(alone.desk), alone.socket)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(interface.start(), loop).result(5)
    yield alone
    asyncio.run_coroutine_threadsafe(interface.stop(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
