"""The disks of a PostgreSQL: full, failing, spoiled. What was accepted is there afterwards, once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import pytest

from exchange.stores.coordinator_postgres import PostgresCoordinatorStore
from exchange.stores.postgres_place import parse_place
from protocol.errors import StoreFailed
from tests.clocks import FixedClock
from tests.community import community
from tests.faults.found import Found, Tell
from tests.faults.test_postgres_failover import Book, stored, write
from tests.faults.volumes import needed, small_disk
from tests.postgres import BINARIES, Server, free_port, running, server_folder, someone
from tests.unit.exchange.test_coordinator_store import statement

NOW_MS = community().now_ms
WRITERS = 2


@asynccontextmanager
async def opened(server: Server) -> AsyncIterator[PostgresCoordinatorStore]:
    """Lend a store on a server."""
    store = await PostgresCoordinatorStore.open(parse_place(server.address(), None), FixedClock(NOW_MS))
    try:
        yield store
    finally:
        await store.close()


@contextmanager
def made(settings: str = "") -> Iterator[Server]:
    """Lend a server that has yet to be started."""
    if not (BINARIES[18] / "postgres").exists():
        pytest.skip(f"no PostgreSQL 18 on this machine (looked in {BINARIES[18]})")
    with server_folder() as folder:
        server = Server(18, folder, free_port())
        server.create(settings)
        try:
            yield server
        finally:
            server.stop()


async def through(
    server: Server, name: str, spoil: Callable[[], object], mend: Callable[[], object]
) -> Found:
    """Write while the disk fails until the server has ended, then mend it, start it, and compare."""
    book, stop = Book(), asyncio.Event()
    async with opened(server) as store:
        writing = [asyncio.create_task(write(store, book, stop)) for _ in range(WRITERS)]
        await book.until(20)
        await asyncio.to_thread(spoil)
        await asyncio.to_thread(server.wait_until_ended)
        await asyncio.to_thread(mend)
        await asyncio.to_thread(server.start)
        await book.until(len(book.accepted) + 20)
        stop.set()
        await asyncio.gather(*writing)
        there = await stored(store)
    return Found(
        name,
        1,
        ok=len(book.accepted & set(there)),
        lost=len(book.accepted - set(there)),
        duplicated=len(there) - len(set(there)),
        recovered=len(book.unknown & set(there)),
        unknown=len(book.unknown - set(there)),
    )


@needed
async def test_a_full_disk_of_the_log_loses_nothing(tell: Tell) -> None:
    """The server panics at the first segment that it cannot make; with room again it goes on by itself."""
    with (
        made("max_wal_size = 32MB\nmin_wal_size = 32MB\n") as server,
        small_disk(server.data / "pg_wal", "96m") as disk,
    ):
        for path in (disk.path, *disk.path.rglob("*")):
            os.chown(path, *(someone() or (os.geteuid(), os.getegid())))
        server.start()
        found = await through(server, "full pg_wal", lambda: fill(server, disk.leave), disk.empty)
        server.stop()
    tell(found)
    found.require_truth()


def fill(server: Server, leave: Callable[[int], None]) -> None:
    """Leave no room for the log, and make it grow until it would need some."""
    leave(0)
    asyncio.run(grow(server))


async def grow(server: Server) -> None:
    """Write to the log, and nowhere else, until the server is gone."""
    with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        connection = await asyncpg.connect(server.address())
        while True:
            await connection.execute("SELECT pg_logical_emit_message(true, 'grow', repeat('x', 1000000))")


@pytest.mark.skipif(shutil.which("cc") is None, reason="a failing fsync needs a C compiler (cc)")
async def test_a_log_that_cannot_be_flushed_loses_nothing(tell: Tell) -> None:
    """Each flush fails with EIO: the server panics rather than trust the kernel's second answer."""
    # As under a failover manager, which alone decides what runs again.
    with made("restart_after_crash = off\n") as server:
        fails = server.folder / "fails"
        server.environment["LD_PRELOAD"] = str(failing_flushes(server.folder, fails))
        server.start()
        found = await through(server, "fsync fails under PostgreSQL", fails.touch, fails.unlink)
    tell(found)
    found.require_truth()


FLUSHES = """
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>
static int flush(long call, int fd) {
    if (access(FAILS, F_OK) == 0) { errno = EIO; return -1; }
    return syscall(call, fd);
}
int fsync(int fd) { return flush(SYS_fsync, fd); }
int fdatasync(int fd) { return flush(SYS_fdatasync, fd); }
"""


def failing_flushes(folder: Path, fails: Path) -> Path:
    """Return a library in front of the system's, whose flushes fail while a file is there."""
    library = folder / "flushes.so"
    command = ["cc", "-shared", "-fPIC", f'-DFAILS="{fails}"', "-x", "c", "-", "-o", str(library)]
    subprocess.run(command, input=FLUSHES, text=True, check=True)
    return library


async def test_a_spoiled_page_is_a_refusal_that_says_so() -> None:
    """The server's checksum notices it; nothing that was in the page is told."""
    with running(18) as server:
        async with opened(server) as store:
            for _ in range(3):
                await store.commit([statement(bytes(32))], None)
            path = await _file_of(server, "statement")
        server.stop()
        page = bytearray(path.read_bytes())
        page[8000] ^= 1
        path.write_bytes(page)
        server.start()
        async with opened(server) as store:
            with pytest.raises(StoreFailed, match="damaged") as refused:
                await store.statements(0, 10)
            assert "standby" in refused.value.hint


async def _file_of(server: Server, table: str) -> Path:
    """Return where a table's first pages are."""
    connection = await asyncpg.connect(server.address())
    try:
        return server.data / str(
            await connection.fetchval("SELECT pg_relation_filepath($1::regclass)", table)
        )
    finally:
        await connection.close()
