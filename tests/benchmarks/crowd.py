"""A community whose members are nothing but keys, and a real coordinator process that serves it.

Nobody runs a node: a benchmark says on the members' sessions what it likes, at a fraction of a node's cost.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import string
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from exchange.clock import SystemClock
from exchange.link.certificate import Certificate, make_certificate
from exchange.link.tls import client_context
from exchange.passphrases import PassphraseFile
from exchange.setup import coordinator, governance, proposing
from exchange.setup.files import COMMUNITY_FILE
from exchange.setup.keyring import open_signer, unprotected
from exchange.setup.publishing import sign_and_publish
from exchange.setup.reviewing import review
from exchange.stores.opening import StorePlace
from keys.documents import sign_document
from keys.enrolment import load_community
from keys.governance import next_directory
from keys.signer import Verifier
from keys.trust import TrustedDirectory
from protocol.documents import Role
from tests.community import Member, member_documents, new_member

CLOCK = SystemClock()
HUB = "HUB"
YEAR_MS = 365 * 24 * 3600 * 1000
START_SECONDS = 30.0
STOP_SECONDS = 20.0
NO_PASSPHRASE = PassphraseFile(Path("/nonexistent"))
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Crowd:
    """The members' secrets, the directory that lists them, and the coordinator's folder.

    Attributes:
        folder: Where everything lies.
        port: Where the coordinator listens.
        members: Every member by its code.
        certificates: Their TLS certificates.
        directory: What they trust.
        settings: Environment variables of the coordinator's process.
    """

    folder: Path
    port: int
    members: Mapping[str, Member]
    certificates: Mapping[str, Certificate]
    directory: TrustedDirectory
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """The coordinator's data directory."""
        return self.folder / HUB

    @property
    def log(self) -> Path:
        """Where the coordinator writes its log."""
        return self.folder / "coordinator.log"

    def context(self, code: str) -> ssl.SSLContext:
        """Return a member's TLS context."""
        mine = self.folder / "members" / code
        if not mine.exists():
            mine.mkdir(parents=True)
            (mine / "tls.crt").write_bytes(self.certificates[code].pem)
            (mine / "tls.key").write_bytes(self.certificates[code].key_pem)
        return client_context(mine / "tls.crt", mine / "tls.key", self.directory.certificates(HUB))

    @asynccontextmanager
    async def running(self, *before: str) -> AsyncIterator[Process]:
        """Run the coordinator, and stop it again.

        Args:
            before: A command to run it under, such as a tracer.
        """
        at = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(*before, sys.executable, "-m", "exchange.cli.main"),
                *("coordinator", "run", "--data", str(self.data)),
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self.settings,
            )
        try:
            async with asyncio.timeout(START_SECONDS):
                while b"coordinator.started" not in self.log.read_bytes()[at:]:
                    if process.returncode is not None:
                        raise RuntimeError(self.log.read_text()[-2000:])
                    await asyncio.sleep(0.05)
            yield process
        finally:
            if process.returncode is None:
                os.kill(_innermost(process.pid), signal.SIGTERM)
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()


async def gather_crowd(folder: Path, size: int, store: str = "") -> Crowd:
    """Found a community with a coordinator and so many members; nothing runs yet.

    Args:
        folder: An empty folder.
        size: How many members.
        store: Where the coordinator's store is, if not in its data directory.
    """
    now_ms = CLOCK.now_ms()
    pinned = governance.create_community(
        folder / "governance", "Benchmarks", keys=1, threshold=1, protect=unprotected, now_ms=now_ms
    )
    port = _free_port()
    asked = coordinator.create_coordinator(
        folder / HUB,
        code=HUB,
        name="Coordinator of the benchmarks",
        root_hash=pinned,
        host="127.0.0.1",
        port=port,
        urls=(),
        protect=unprotected,
        now_ms=now_ms,
    )
    held = governance.read_ceremony(folder / "governance", now_ms)
    proposal = proposing.admit(held, [asked.request], now_ms, why=proposing.Why(unattested="a benchmark"))
    assert proposal is not None
    reviewed = review(held.trusted, proposal, now_ms)
    sign_and_publish(held, reviewed, governance.choose_keys(held, []), NO_PASSPHRASE, now_ms)
    held = governance.read_ceremony(folder / "governance", now_ms)
    spare = (f"X{a}{b}" for a in string.ascii_uppercase[:25] for b in string.ascii_uppercase)
    members = {code: new_member(code, pinned, now_ms) for _, code in zip(range(size), spare, strict=False)}
    certificates = {code: make_certificate(code, now_ms, YEAR_MS) for code in members}
    states = [*held.entries[0], *(one.entry for one in members.values())]
    listed = next_directory(held.trusted, states, held.entries[1], now_ms=now_ms, life_ms=YEAR_MS)
    keys = [open_signer(path, Role.DIRECTORY, NO_PASSPHRASE) for path in governance.choose_keys(held, [])]
    papers = [
        paper
        for one in members.values()
        for paper in member_documents(one, pinned, now_ms, certificates[one.code].der)
    ]
    governance.publish(held, [sign_document(listed, keys), *papers], now_ms)
    community = folder / "governance" / COMMUNITY_FILE
    place = StorePlace(folder / HUB / "almenara.db", store)
    await coordinator.join_community(folder / HUB, community, CLOCK, place)
    directory, _ = load_community(community.read_bytes(), pinned, Verifier(), now_ms)
    settings = {"ALMENARA_STORE": store} if store else {}
    return Crowd(folder, port, members, certificates, directory, settings)


def _innermost(pid: int) -> int:
    """Return the traced process under a tracer, which takes no signals itself; else the process."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else pid


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used until now, user and system."""
    # The name in brackets may hold spaces; fields are counted from behind it: 14 utime, 15 stime.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_mb(pid: int, what: str = "VmHWM") -> float:
    """Return a process's resident memory in MB (10^6 bytes): the most it had, or ``VmRSS`` for now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("the kernel does not tell a process's memory")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
