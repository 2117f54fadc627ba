"""A real community on loopback: set up as by hand, each member a process of its own, watched from outside.

Processor time and memory are read from ``/proc`` for the processes started here, and for no others.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from exchange.clock import SystemClock
from exchange.keystore import read_secret
from exchange.passphrases import PassphraseFile
from exchange.setup import coordinator, governance, joining, node, proposing
from exchange.setup.files import COMMUNITY_FILE
from exchange.setup.keyring import unprotected
from exchange.setup.publishing import sign_and_publish
from exchange.setup.reviewing import review

HUB = "HUB"
SENDER = "XAA"
RECIPIENTS = ("XBB", "XCC", "XDD")
CLOCK = SystemClock()
STOP_SECONDS = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Stage:
    """The members' folders, the sender's token, and the processes while they run."""

    folder: Path
    token: str
    environment: dict[str, str] = field(default_factory=dict)
    """Settings of the processes started from now on, beyond those in their files."""
    _running: dict[str, Process] = field(default_factory=dict)

    @property
    def socket(self) -> Path:
        """The sender's local interface."""
        return self.folder / SENDER / "api.sock"

    @property
    def coordinator_database(self) -> Path:
        """The coordinator's store."""
        return self.folder / HUB / "almenara.db"

    def log_of(self, name: str) -> Path:
        """Return where a process writes its log."""
        return self.folder / f"{name}.log"

    def bytes_on_disk(self) -> int:
        """Return the size of all stores; call it while nothing runs, so that no log is left to fold."""
        return sum(path.stat().st_size for path in self.folder.glob("*/almenara.db*"))

    def cpu_seconds(self) -> dict[str, float]:
        """Return the processor time used until now, user and system: a node with its unsealer is one."""
        return {
            name: sum(map(_cpu_seconds, (process.pid, *_children(process.pid))))
            for name, process in self._running.items()
        }

    def pid_of(self, name: str) -> int:
        """Return the number of a running process."""
        return self._running[name].pid

    def coordinator_rss_mb(self) -> float:
        """Return the coordinator's resident memory in MB (10^6 bytes)."""
        for line in Path(f"/proc/{self._running[HUB].pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise RuntimeError("the kernel does not tell the coordinator's memory")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the coordinator and every node, and stop them again."""
        try:
            await self._start(HUB, "coordinator")
            for code in (SENDER, *RECIPIENTS):
                await self._start(code, "node")
            yield
        finally:
            for process in self._running.values():
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(STOP_SECONDS):
                for process in self._running.values():
                    await process.wait()
            self._running.clear()

    async def _start(self, name: str, role: str) -> None:
        data = self.folder / name
        with self.log_of(name).open("ab") as log:
            self._running[name] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "exchange.cli.main", role, "run", "--data", str(data)),
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self.environment,
            )


async def found(folder: Path) -> Stage:
    """Hold the ceremony in an empty folder: governance, a coordinator, four states; nothing runs yet."""
    pinned = governance.create_community(
        folder / "governance", "Benchmarks", keys=1, threshold=1, protect=unprotected, now_ms=CLOCK.now_ms()
    )
    asked = coordinator.create_coordinator(
        folder / HUB,
        code=HUB,
        name="Coordinator of the benchmarks",
        root_hash=pinned,
        host="127.0.0.1",
        port=_free_port(),
        urls=(),
        protect=unprotected,
        now_ms=CLOCK.now_ms(),
    )
    made = {code: await _new_node(folder, code, pinned) for code in (SENDER, *RECIPIENTS)}
    community = _admit(folder, [asked.request, *(one.request for one in made.values())])
    await coordinator.join_community(folder / HUB, community, CLOCK)
    for code in made:
        await joining.join_community(folder / code, community, coordinator=None, clock=CLOCK)
        with (folder / code / "almenara.toml").open("a") as settings:
            settings.write('socket = "api.sock"\nretry_cap_s = 0.5\n')
    token = next(path for path in made[SENDER].tokens if path.name.startswith("sender"))
    return Stage(folder, read_secret(token).strip())


async def _new_node(folder: Path, code: str, pinned: bytes) -> node.NewNode:
    return await node.create_node(
        folder / code,
        state=code,
        name=f"State {code}",
        root_hash=pinned,
        officer="Ana Silva",
        severity=None,
        protect=unprotected,
        clock=CLOCK,
    )


def _admit(folder: Path, requests: list[Path]) -> Path:
    """Let governance admit all who ask, and return its community file."""
    now_ms = CLOCK.now_ms()
    ceremony = governance.read_ceremony(folder / "governance", now_ms)
    proposal = proposing.admit(ceremony, requests, now_ms, why=proposing.Why(unattested="a benchmark"))
    assert proposal is not None
    reviewed = review(ceremony.trusted, proposal, now_ms)
    never_read = PassphraseFile(folder / "no-passphrase")
    sign_and_publish(ceremony, reviewed, governance.choose_keys(ceremony, []), never_read, now_ms)
    return folder / "governance" / COMMUNITY_FILE


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _cpu_seconds(pid: int) -> float:
    # The name in brackets may hold spaces; fields are counted from behind it: 14 utime, 15 stime.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
