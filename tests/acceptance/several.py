"""A community whose coordinator is several real processes over one PostgreSQL.

The first has the data directory of the ceremony; the others have copies of its keys, as an operator makes.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.acceptance.ceremony import CODES, HUB, Founded
from tests.acceptance.world import PATIENCE_S, World, settle, short_folder
from tests.ports import free_port
from tests.stores import Servers

HUBS = (HUB, "HUB-2", "HUB-3")
AT = dict(zip(CODES, HUBS, strict=True))
"""Where each state's node looks for its coordinator first."""
COPIED = ("root-hash", "request.alm", "almenara.toml")
Status = dict[str, Any]


def settle_several(base: Path) -> tuple[Founded, dict[str, int]]:
    """Hold the ceremony for a coordinator with an address for each of its processes."""
    ports = {name: free_port() for name in HUBS}
    urls = [f"wss://127.0.0.1:{port}" for port in ports.values()]
    return settle(base, port=ports[HUB], urls=urls), ports


class SeveralWorld(World):
    """The processes of one copy of such a community.

    Args:
        founded: Where it lies; its folder may be changed.
        ports: Where each process of the coordinator listens.
        store: The address of an empty database.
    """

    def __init__(self, founded: Founded, ports: dict[str, int], store: str) -> None:
        super().__init__(founded)
        self.ports = ports
        self.settings["ALMENARA_STORE"] = store
        self.ledger_ports = {name: free_port() for name in HUBS[1:]}
        for name in HUBS[1:]:
            data = self.data(name)
            data.mkdir(mode=0o700)
            shutil.copytree(self.data(HUB) / "keys", data / "keys")
            shutil.copytree(self.data(HUB) / "tokens", data / "tokens")
            for file in COPIED:
                shutil.copy(self.data(HUB) / file, data / file)
        joined = self.run(
            "coordinator", "join", "--data", self.data(HUB), founded.community, settings=self.settings
        )
        assert joined.code == 0, joined.err

    def start(self, *names: str, shift_ms: int = 0) -> None:
        """Start services, and return when each can be used; the coordinator means all of its processes."""
        every = [one for name in names for one in (HUBS if name == HUB else (name,))]
        super().start(*(name for name in every if not self.runs(name)), shift_ms=shift_ms)

    def ended(self, name: str) -> int:
        """Return the exit code of a service that somebody else has ended."""
        return self._running.pop(name).wait(PATIENCE_S)

    def events(self, name: str, event: str) -> list[dict[str, Any]]:
        """Return what a service has written of one kind into its log."""
        lines = self.log_of(name).read_text("utf-8", "replace").splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [one for one in found if one["event"] == event]

    def url(self, name: str) -> str:
        """Return the address of a process."""
        return f"wss://127.0.0.1:{self.ports[name]}"

    def seen(self, name: str) -> Status:
        """Return what the command says on the machine of a process."""
        ran = self.run("coordinator", "status", "--data", self.data(name), "--json", settings=self.settings)
        assert ran.code == 0, ran.err
        return ran.object

    def holder(self, lease: str, *, by: str) -> str | None:
        """Return the name of the process that has a lease, as another one sees it, or None."""
        status = self.seen(by)
        owner, _ = status["leases"].get(lease, (None, 0))
        return next((one["facts"]["name"] for one in status["processes"] if one["owner"] == owner), None)

    def address(self, code: str) -> str | None:
        """Return where a node is connected, or None."""
        view = self.node(code)
        return view.address if view.connected else None

    def until_moved(self, code: str, away_from: str, seconds: float = 60.0) -> float:
        """Wait until a node is connected to another process; return how long that took."""
        began = time.monotonic()
        self.until(lambda: self.address(code) not in (None, self.url(away_from)), f"{code} to move", seconds)
        return time.monotonic() - began

    def _address(self, name: str) -> dict[str, str]:
        if name not in HUBS:
            return {"ALMENARA_COORDINATOR_URLS": self.url(AT[name])}
        return {
            "ALMENARA_PORT": str(self.ports[name]),
            "ALMENARA_LEDGER_PORT": self.settings.get("ALMENARA_LEDGER_PORT", "0")
            if name == HUB
            else str(self.ledger_ports[name]),
            "ALMENARA_PROCESS": name,
        }

    def _is_ready(self, name: str) -> bool:
        if name in CODES:
            return super()._is_ready(name)
        assert self.runs(name), f"{name} ended by itself\n{self.tails()}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.ports[name])) == 0


@contextmanager
def living_several(settled: tuple[Founded, dict[str, int]], servers: Servers) -> Iterator[SeveralWorld]:
    """Give a copy of a community over a database of its own, and end its processes afterwards."""
    founded, ports = settled
    server = servers.get(18)
    database = asyncio.run(servers.lend(server))
    with short_folder() as folder:
        world = SeveralWorld(founded.copy(folder), ports, server.address(database))
        try:
            yield world
        finally:
            world.end()
    asyncio.run(servers.take_back(server, database))
