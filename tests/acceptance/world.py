"""A community of real processes: started, stopped, killed, and asked as scripts ask them.

The ceremony is held once per test run; every test works on a copy of its folder. Each process
writes into a log of its own, and is ended by its number, however the test ends.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from exchange.api.routes import Health, Notices
from exchange.cli.client import NodeClient
from exchange.clock import SystemClock
from exchange.node.requests import SubmitRequest
from exchange.node.views import NodeView, NoticeView, StatusView, SubmittedView
from exchange.setup.keyring import Protect, unprotected
from protocol.errors import Unreachable
from tests.acceptance.ceremony import CODES, HUB, Founded, admit, found, join
from tests.ports import free_port

CLOCK = SystemClock()
ALMENARA = (sys.executable, "-m", "exchange.cli.main")
RETRY_CAP_S = 0.3
PATIENCE_S = 60.0
"""Where only liveness is meant; a goal in seconds is a test's own and stands there."""

LOOK_S = 0.03
MOST_LISTED = 1000

SHIFTED = """
import sys
from exchange.clock import SystemClock
true_ms = SystemClock.now_ms
SystemClock.now_ms = lambda self: true_ms(self) + {shift_ms}
from exchange.cli.main import main
main(sys.argv[1:])
"""
"""The same program on a machine whose clock is wrong."""


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def object(self) -> dict[str, Any]:
        """The one JSON object that it printed."""
        return dict(json.loads(self.out))

    @property
    def error(self) -> dict[str, Any]:
        """The error in that object."""
        return dict(self.object["error"])


class World:
    """The processes of one copy of the community.

    Args:
        founded: Where it lies; its folder may be changed.
        passphrase_file: What opens the services' keys, if they are protected.
    """

    def __init__(self, founded: Founded, passphrase_file: Path | None = None) -> None:
        self.founded = founded
        self.folder = founded.base
        self.listen = founded.port
        """Where the coordinator listens: where the nodes look for it, unless a proxy stands between."""
        self.settings: dict[str, str] = {}
        """Environment variables of the services started from now on."""
        self.before: dict[str, Sequence[str]] = {}
        """Words before the command of a service: a program that runs it somewhere else."""
        self.before_command: Sequence[str] = ()
        """Words before every other command."""
        self._passphrase_file = passphrase_file
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    # Processes.

    def start(self, *names: str, shift_ms: int = 0) -> None:
        """Start services, and return when each can be used."""
        self.launch(*names, shift_ms=shift_ms)
        self.wait_until_ready(*names)

    def launch(self, *names: str, shift_ms: int = 0) -> None:
        """Start services without waiting for them."""
        for name in names:
            with self.log_of(name).open("ab") as log:
                self._running[name] = subprocess.Popen(
                    [*self.before.get(name, ()), *self._command(name, shift_ms)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self.environment(self.settings | self._address(name)),
                    start_new_session=True,
                )

    def wait_until_ready(self, *names: str) -> None:
        """Return when each of these services can be used; fail if one of them has ended."""
        for name in names:
            self.until(partial(self._is_ready, name), f"{name} to start")

    def kill(self, name: str) -> None:
        """End a service as a power cut does: SIGKILL, at this moment."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str, seconds: float = PATIENCE_S) -> int:
        """End a service as an administrator does, within so many seconds, and return its exit code."""
        process = self._running[name]
        process.send_signal(signal.SIGTERM)
        code = process.wait(seconds)
        del self._running[name]
        return code

    def runs(self, name: str) -> bool:
        """Whether the service was started and has not ended."""
        process = self._running.get(name)
        return process is not None and process.poll() is None

    def pid(self, name: str) -> int:
        """Return the number of a running service."""
        return self._running[name].pid

    def unsealer(self, code: str) -> int:
        """Return the number of the unsealer of a running node: the only process that it has started."""
        pid = self.pid(code)
        (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(child)

    def end(self) -> None:
        """End everything that is left."""
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            process.wait()
        self._running.clear()

    def log_of(self, name: str) -> Path:
        """Return where a service writes its log."""
        return self.folder / f"{name.lower()}.log"

    def data(self, name: str) -> Path:
        """Return the data directory of a service."""
        return self.founded.data(name)

    # Commands.

    def run(self, *words: str | Path, code: str | None = None, settings: dict[str, str] | None = None) -> Ran:
        """Run one command to its end; with ``code``, as the officer of that state.

        Args:
            words: What stands behind ``almenara``.
            code: Whose node is asked, with its officer's token.
            settings: Environment variables of the command.
        """
        who: tuple[str | Path, ...] = ()
        if code is not None:
            who = ("--data", self.data(code), "--token-file", self.founded.token(code))
        ended = subprocess.run(
            [*self.before_command, *ALMENARA, *words, *who],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_S,
            check=False,
            env=self.environment(settings or {}),
        )
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    def environment(self, more: dict[str, str]) -> dict[str, str]:
        """Return an environment in which nobody's own settings count."""
        mine = ("ALMENARA_", "PYTHONASYNCIODEBUG")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
        folder = str(self.folder)
        return kept | {"XDG_CONFIG_HOME": folder, "XDG_STATE_HOME": folder} | more

    # Nodes, over their sockets.

    def client(self, code: str) -> NodeClient:
        """Return the client of a node, with its officer's token."""
        return NodeClient(self.data(code) / "api.sock", self.founded.token(code).read_text().strip())

    def submit(self, code: str, request: SubmitRequest, request_id: str) -> SubmittedView:
        """Send a notice under an id that the caller made."""
        return self.client(code).ask(
            "POST", "/v1/notices", SubmittedView, body=request, request_id=request_id
        )

    def listed(self, code: str, box: str) -> tuple[NoticeView, ...]:
        """Return the ``inbox`` or ``outbox`` of a node; the test sends fewer than are listed at once."""
        found = self.client(code).ask("GET", f"/v1/{box}", Notices, query={"limit": MOST_LISTED}).notices
        assert len(found) < MOST_LISTED
        return found

    def status(self, code: str, id_: str, wait: str | None = None, timeout: float = PATIENCE_S) -> StatusView:
        """Return where a notice stands, once everybody has reached ``wait`` or the time is up."""
        query = {"wait": wait, "timeout": None if wait is None else timeout}
        return self.client(code).ask(
            "GET", f"/v1/notices/{id_}/status", StatusView, query=query, timeout_s=timeout + 10
        )

    def node(self, code: str) -> NodeView:
        """Return a node's own condition."""
        return self.client(code).ask("GET", "/v1/node", NodeView)

    def until(self, holds: Callable[[], bool], awaited: str, seconds: float = PATIENCE_S) -> None:
        """Return as soon as something holds; fail with the logs' ends if it does not in time."""
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                raise AssertionError(f"waited {seconds} s for {awaited}\n{self.tails()}")
            time.sleep(LOOK_S)

    def tails(self) -> str:
        """Return the ends of all logs."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text('utf-8', 'replace')[-2000:]}" for log in logs)

    def _command(self, name: str, shift_ms: int) -> Sequence[str | Path]:
        program: Sequence[str] = ALMENARA
        if shift_ms:
            program = (sys.executable, "-c", SHIFTED.format(shift_ms=shift_ms))
        role = "coordinator" if name.startswith(HUB) else "node"
        secret = () if self._passphrase_file is None else ("--passphrase-file", self._passphrase_file)
        return [*program, role, "run", "--data", self.data(name), *secret]

    def _address(self, name: str) -> dict[str, str]:
        return {"ALMENARA_PORT": str(self.listen)} if name == HUB else {}

    def _is_ready(self, name: str) -> bool:
        assert self.runs(name), f"{name} ended by itself\n{self.tails()}"
        if name == HUB:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.listen)) == 0
        with suppress(Unreachable):
            return self.client(name).ask("GET", "/readyz", Health).status == "ok"
        return False


def settle(
    base: Path, protect: Protect = unprotected, *, port: int | None = None, urls: Sequence[str] = ()
) -> Founded:
    """Hold the ceremony, admit everybody, let them join, and make their nodes come back quickly."""
    founded = found(base, CLOCK, port=port or free_port(), protect=protect, urls=urls)
    admit(founded, [HUB, *CODES], CLOCK)
    join(founded, CLOCK)
    for code in CODES:
        with (founded.data(code) / "almenara.toml").open("a", encoding="utf-8") as file:
            file.write(f'socket = "api.sock"\nretry_cap_s = {RETRY_CAP_S}\n')
    return founded


@contextmanager
def short_folder() -> Iterator[Path]:
    """Make a folder whose path is short enough for sockets in it, and remove it again."""
    folder = Path(tempfile.mkdtemp(prefix="alm-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def living(founded: Founded, passphrase_file: Path | None = None) -> Iterator[World]:
    """Give a copy of a community to play with, and end its processes afterwards."""
    with short_folder() as folder:
        world = World(founded.copy(folder), passphrase_file)
        try:
            yield world
        finally:
            world.end()
