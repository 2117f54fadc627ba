"""Two PostgreSQL servers, one the synchronous standby of the other: killed, frozen, promoted, back again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from tests.postgres import BINARIES, Server, free_port, server_folder

STANDBY = "almenara_standby"
BOTH = """
wal_level = replica
max_wal_senders = 4
wal_log_hints = on
wal_keep_size = 256MB
wal_retrieve_retry_interval = 200ms
synchronous_commit = on
"""


class Pair:
    """A primary and its standby. After :meth:`fail_over` they have changed places.

    Args:
        folder: Where both lie.
        version: Of PostgreSQL.
    """

    def __init__(self, folder: Path, version: int) -> None:
        self.servers = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            place = folder / name
            place.chmod(0o777)
            self.servers.append(Server(version, place, free_port()))
        self.primary, self.standby = self.servers

    def address(self, database: str = "postgres") -> str:
        """Return the address that names both."""
        return self.servers[0].address(database, self.servers[1])

    async def start(self) -> None:
        """Make the primary, copy it, and let the one wait for the other from then on."""
        self.primary.create(BOTH)
        self.primary.start()
        source = ("-h", "127.0.0.1", "-p", str(self.primary.port), "-U", "almenara")
        copy = ("pg_basebackup", *source, "-D", str(self.standby.data), "-X", "stream", "-c", "fast")
        await asyncio.to_thread(self.standby.run, *copy)
        self.standby.configure("")
        await self._follow()

    async def fail_over(self) -> None:
        """Kill the primary and promote the standby, which may be frozen; it waits for nobody then."""
        self.primary.kill()
        self.thaw_standby()
        await asyncio.to_thread(self.standby.promote)
        self.primary, self.standby = self.standby, self.primary

    async def bring_back(self) -> None:
        """Rewind the server that was killed, and let it follow the other."""
        # It must have ended in good order before it can be rewound.
        await asyncio.to_thread(self.standby.start)
        self.standby.stop()
        where = f"host=127.0.0.1 port={self.primary.port} user=almenara dbname=postgres"
        await asyncio.to_thread(
            self.standby.run, "pg_rewind", "-D", str(self.standby.data), "--source-server", where
        )
        # The copied settings name the other's port; the last line counts.
        self.standby.configure("")
        await self._follow()

    async def freeze_standby(self) -> None:
        """Let the standby stand still, and send it nothing: its socket would keep that for later."""
        self.standby.signal(signal.SIGSTOP)
        connection = await asyncpg.connect(self.primary.address())
        try:
            await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
            await until(lambda: connection.fetchval("SELECT count(*) = 0 FROM pg_stat_replication"))
        finally:
            await connection.close()

    def thaw_standby(self) -> None:
        """Let it go on."""
        self.standby.signal(signal.SIGCONT)

    async def _follow(self) -> None:
        """Start the standby, and make it synchronous."""
        self.standby.configure(
            f"primary_conninfo = 'host=127.0.0.1 port={self.primary.port} user=almenara"
            f" application_name={STANDBY}'\nsynchronous_standby_names = ''"
        )
        self.standby.touch("standby.signal")
        await asyncio.to_thread(self.standby.start)
        connection = await asyncpg.connect(self.primary.address())
        try:
            await connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 ({STANDBY})'")
            await connection.execute("SELECT pg_reload_conf()")
            query = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
            await until(lambda: connection.fetchval(query))
        finally:
            await connection.close()

    def stop(self) -> None:
        """End both."""
        for server in self.servers:
            server.stop()


async def until(holds: Callable[[], Awaitable[object]], seconds: float = 60.0) -> None:
    """Wait until something holds in other processes, which send no word of it."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@contextmanager
def pair_of_servers(version: int = 18) -> Iterator[Pair]:
    """Lend a pair that has yet to be started; the test is skipped if there are no binaries."""
    if not (BINARIES[version] / "pg_rewind").exists():
        pytest.skip(f"no PostgreSQL {version} on this machine (looked in {BINARIES[version]})")
    with server_folder() as folder:
        pair = Pair(folder, version)
        try:
            yield pair
        finally:
            pair.stop()
