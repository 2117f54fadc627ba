"""The unsealer in a thread of the test: everything of the real one but the process round it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from exchange.unsealer.daykeys import DayKeys, FileDayKeys
from exchange.unsealer.messages import MadeKey, Ready, frame
from exchange.unsealer.opener import Opener
from exchange.unsealer.process import answer_until_destroyed
from keys.calendar import day_of
from keys.prekeys import SecretPrekey

OPENING_KEY = b"opening key of a test, 32 bytes."


@dataclass
class ChildThread:
    """An unsealer that runs beside the test."""

    days: DayKeys
    began: int = 0
    _ends: tuple[socket.socket, socket.socket] = field(default_factory=socket.socketpair)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def connection(self) -> socket.socket:
        """The node's end."""
        return self._ends[0]

    def kill(self) -> None:
        """Cut the connection, as the end of a process does."""
        with suppress(OSError):
            self._ends[1].shutdown(socket.SHUT_RDWR)

    def wait(self) -> int | None:
        """Wait until it has ended."""
        self._thread.join()
        return 0

    def _run(self) -> None:
        with self._ends[1] as connection, suppress(OSError):
            while True:
                self.began += 1
                connection.sendall(frame(Ready(lacking=())))
                if not answer_until_destroyed(connection, Opener(self.days)):
                    return


def launch_in(folder: Path, state: str) -> Callable[[], ChildThread]:
    """Return what starts the unsealer of a node whose files lie in a folder."""
    return lambda: ChildThread(FileDayKeys(folder / "day-keys", state, OPENING_KEY))


def locked_in(folder: Path, state: str, prekeys: tuple[SecretPrekey, ...]) -> list[MadeKey]:
    """Return prekeys with their seeds locked as the store has them; their days' keys are made."""
    days, made = FileDayKeys(folder / "day-keys", state, OPENING_KEY), []
    for one in prekeys:
        day = day_of(one.public.use_from_ms)
        days.make(day)
        made.append(MadeKey(public=one.public, day=day, locked=days.lock(day, one.seed)))
    return made
