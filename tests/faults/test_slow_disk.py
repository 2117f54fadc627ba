"""A disk whose flush takes two seconds, and a reader that holds the write-ahead log: nothing stands still."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from exchange.clock import SystemClock
from exchange.stores import connection
from exchange.stores.connection import Place, open_reader
from exchange.stores.engine import Engine

FLUSH_S = 2.0
LAG_S = 0.1
TICK_S = 0.01
MIGRATIONS = "tests.faults.migrations"


class SlowFile(apsw.VFSFile):
    """A file of the system's whose flush takes its time; SQLite calls it without Python's lock held."""

    def __init__(self, vfs: str, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__(vfs, name, flags)

    def xSync(self, flags: int) -> None:  # noqa: N802
        """Flush, two seconds later."""
        time.sleep(SlowVFS.flush_s)
        super().xSync(flags)


class SlowVFS(apsw.VFS):
    """The system's own file system with slow flushes, for every connection that names no other."""

    flush_s = 0.0

    def __init__(self) -> None:
        super().__init__("slow", base="unix", makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        """Open a file."""
        return SlowFile("unix", name, flags)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowVFS]:
    """Make the slow file system the default for one test."""
    vfs = SlowVFS()
    monkeypatch.setattr(SlowVFS, "flush_s", 0.0)
    yield vfs
    vfs.unregister()


def insert(number: int) -> str:
    """Return a statement that writes one row."""
    return f"INSERT INTO entry (number, body) VALUES ({number}, zeroblob(2000))"


async def test_the_loop_goes_on_while_a_flush_takes_two_seconds(
    slow: SlowVFS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heartbeats and reads never wait for the disk: the loop's lag stays under a tenth of a second."""
    engine = await Engine.open(tmp_path / "slow.db", MIGRATIONS, SystemClock())
    await engine.write(lambda db: db.execute(insert(1)).get)
    monkeypatch.setattr(SlowVFS, "flush_s", FLUSH_S)
    lags: list[float] = []

    async def look() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(TICK_S)
            lags.append(time.monotonic() - before - TICK_S)
            assert engine.look_up(lambda db: db.execute("SELECT number FROM entry WHERE number = 1").get) == 1

    looking = asyncio.create_task(look())
    began = time.monotonic()
    await asyncio.gather(*(engine.write(lambda db, n=n: db.execute(insert(n)).get) for n in range(2, 12)))  # type: ignore[misc]
    assert time.monotonic() - began >= FLUSH_S, "the flush was not slow"
    looking.cancel()
    lags.sort()
    assert lags[int(len(lags) * 0.99) - 1] < LAG_S, lags[-5:]
    assert len(lags) > FLUSH_S / TICK_S / 4, "the loop hardly ran"
    monkeypatch.setattr(SlowVFS, "flush_s", 0.0)
    await engine.close()


async def test_a_log_that_a_reader_held_shrinks_when_the_reader_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile it grows and everything works; afterwards it is cut to its limit by itself."""
    limit = 64 * 1024
    monkeypatch.setattr(connection, "AUTOCHECKPOINT_PAGES", 16)
    monkeypatch.setattr(connection, "WAL_SIZE_LIMIT", limit)
    path = tmp_path / "held.db"
    engine = await Engine.open(path, MIGRATIONS, SystemClock())
    log = path.with_name("held.db-wal")
    held = open_reader(Place(path))
    held.execute("BEGIN")
    assert held.execute("SELECT count(*) FROM entry WHERE number >= 0").get == 0
    for number in range(100):
        await engine.write(lambda db, n=number: db.execute(insert(n)).get)  # type: ignore[misc]
    assert log.stat().st_size > 4 * limit, "nobody held the log"
    held.execute("ROLLBACK")
    held.close()
    for number in range(100, 200):
        await engine.write(lambda db, n=number: db.execute(insert(n)).get)  # type: ignore[misc]
    assert log.stat().st_size <= 2 * limit
    assert await engine.read(lambda db: db.execute("SELECT count(*) FROM entry WHERE number >= 0").get) == 200
    await engine.close()
