"""The folder of a demonstration and what runs in it: one coordinator, three nodes."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from exchange.clock import pause
from exchange.demo.cast import HUB
from exchange.demo.nodes import RunningNode
from exchange.demo.processes import Crew, Resident, end
from protocol.errors import SetupError

LOOK_S = 0.02
RECORD = "demo.json"
LOOPBACK = "127.0.0.1"


class Record(msgspec.Struct, frozen=True):
    """What is written into the folder, so that a later command can end just these processes."""

    residents: tuple[Resident, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that the story plays on.

    Args:
        folder: Where all of it lies.
        port: Where the coordinator listens.
        ledger_port: Where it serves its ledger.
        nodes: The nodes by the code of their state.
        crew: Starts and stops processes.
    """

    folder: Path
    port: int
    ledger_port: int
    nodes: Mapping[str, RunningNode]
    crew: Crew

    @property
    def hub(self) -> Path:
        """The coordinator's data directory."""
        return self.folder / HUB.lower()

    def start(self, *names: str) -> None:
        """Start the coordinator or nodes, and return when each can be used.

        Raises:
            ServiceError: one of them ended instead.
        """
        for name in names:
            role, data = ("coordinator", self.hub) if name == HUB else ("node", self.nodes[name].data)
            self.crew.start(name, [role, "run", "--data", str(data)])
        for name in names:
            if name == HUB:
                self._wait_for_hub()
            else:
                self.nodes[name].wait_until_ready(partial(self.crew.require_running, name))
        self.record()

    def stop(self, name: str) -> None:
        """End one of them as an administrator does: SIGTERM, and wait."""
        self.crew.stop(name)
        self.record()

    def record(self) -> None:
        """Write down what runs."""
        text = msgspec.json.format(msgspec.json.encode(Record(self.crew.residents())), indent=2)
        (self.folder / RECORD).write_bytes(text + b"\n")

    def _wait_for_hub(self) -> None:
        while True:
            self.crew.require_running(HUB)
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                if probe.connect_ex((LOOPBACK, self.port)) == 0:
                    return
            pause(LOOK_S)


def free_port() -> int:
    """Return a TCP port on loopback that nobody uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def end_recorded(folder: Path) -> tuple[Resident, ...]:
    """End what an earlier demonstration left running in its folder; return what was ended.

    Raises:
        SetupError: the folder holds no record of a demonstration.
    """
    try:
        record = msgspec.json.decode((folder / RECORD).read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError) as error:
        raise SetupError(
            f"{folder} is not the folder of a demonstration",
            hint="Name the folder that `almenara demo --keep` printed.",
        ) from error
    return end(record.residents)
