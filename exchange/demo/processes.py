"""The demonstration's processes: started, watched, stopped; and never anybody else's.

A process is known by its number *and* by when it began and what it runs, because numbers are used
again. Only a process that still fits is ever sent a signal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from exchange.clock import pause
from protocol.errors import ServiceError

STOP_S = 8.0
KILL_S = 2.0
LOOK_S = 0.02
LOG_LINES = 12


class Resident(msgspec.Struct, frozen=True):
    """One running process: its name in the story, its number, and what tells it from any other."""

    name: str
    pid: int
    mark: str


class Ran(NamedTuple):
    """A command that has ended: its exit code, and what it printed."""

    code: int
    told: dict[str, Any]


def mark_of(pid: int) -> str | None:
    """Return when a process began and what it runs, or None if there is no such process now."""
    place = Path(f"/proc/{pid}")
    if not place.parent.joinpath("self").exists():
        return _mark_from_ps(pid)
    try:
        words = place.joinpath("cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
        # The name in brackets may hold spaces; the fields are counted from behind it.
        began = place.joinpath("stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
    return f"{began} {words.decode('utf-8', 'replace')}" if words else None


def _mark_from_ps(pid: int) -> str | None:
    command = ["/bin/ps", "-ww", "-p", str(pid), "-o", "lstart=", "-o", "command="]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return " ".join(found.stdout.split()) or None


class Crew:
    """The processes of one demonstration, each with a log file in its folder.

    Args:
        folder: The demonstration's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, words: Iterable[str]) -> None:
        """Start ``almenara`` with these words, in a session of its own."""
        command = [sys.executable, "-m", "exchange.cli.main", *words]
        with self.log_of(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(self._folder),
                start_new_session=True,
            )

    def run(self, words: Iterable[str]) -> Ran:
        """Run one command to its end, and return its exit code and the JSON object that it printed.

        Raises:
            ServiceError: it printed none.
        """
        command = [sys.executable, "-m", "exchange.cli.main", *words, "--json"]
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            env=_environment(self._folder),
        )
        try:
            return Ran(ended.returncode, msgspec.json.decode(ended.stdout, type=dict[str, Any]))
        except msgspec.DecodeError as error:
            told = ended.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise ServiceError(f"the command {' '.join(command[3:5])} did not answer: {told}") from error

    def require_running(self, name: str) -> None:
        """Return only if the process lives.

        Raises:
            ServiceError: it has ended.
        """
        process = self._running.get(name)
        code = None if process is None else process.poll()
        if process is None or code is not None:
            raise ServiceError(f"the process of {name} ended by itself (exit code {code})")

    def stop(self, name: str) -> None:
        """Ask a process to end, as an administrator does, and wait until it has.

        Raises:
            ServiceError: it does not end, or did not end well.
        """
        process = self._running[name]
        process.terminate()
        try:
            code = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            raise ServiceError(f"the process of {name} did not end within {STOP_S:.0f} s") from None
        del self._running[name]
        if code != 0:
            raise ServiceError(f"the process of {name} ended with exit code {code}")

    def stop_all(self) -> None:
        """End every process that is left: ask, wait, then kill. Never fails."""
        left = list(self._running.values())
        self._running.clear()
        for process in left:
            process.terminate()
        for process in left:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def residents(self) -> tuple[Resident, ...]:
        """Return the processes that run now."""
        found = [(name, process.pid, mark_of(process.pid)) for name, process in self._running.items()]
        return tuple(Resident(name, pid, mark) for name, pid, mark in found if mark is not None)

    def log_of(self, name: str) -> Path:
        """Return where a process writes its log."""
        return self._folder / f"{name.lower()}.log"

    def log_tails(self) -> Mapping[str, list[str]]:
        """Return the last lines of every log."""
        tails = {}
        for path in sorted(self._folder.glob("*.log")):
            with contextlib.suppress(OSError):
                tails[path.stem.upper()] = path.read_text("utf-8", "replace").splitlines()[-LOG_LINES:]
        return tails


def _environment(folder: Path) -> dict[str, str]:
    """Return an environment in which nobody's own settings change the demonstration."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ALMENARA_")}
    return kept | {"XDG_CONFIG_HOME": str(folder)}


def end(residents: Iterable[Resident]) -> tuple[Resident, ...]:
    """End processes of an earlier demonstration; return those that were running.

    A number that by now belongs to another process is left alone.
    """
    ours = tuple(one for one in residents if mark_of(one.pid) == one.mark)
    for number, seconds in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, KILL_S)):
        for one in ours:
            if mark_of(one.pid) == one.mark:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one.pid, number)
        if _all_gone(ours, seconds):
            break
    return ours


def _all_gone(residents: tuple[Resident, ...], seconds: float) -> bool:
    for _ in range(int(seconds / LOOK_S)):
        if all(mark_of(one.pid) != one.mark for one in residents):
            return True
        pause(LOOK_S)
    return False
