"""The engine: shared commits, separate errors, snapshots, cancellation, and its refusals to start."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import apsw
import pytest

from exchange.stores.connection import Place, require_safe_sqlite
from exchange.stores.engine import BATCH, Engine
from exchange.stores.writer import WriterCore
from protocol.errors import BadRequest, SetupError, StoreFailed
from tests.clocks import FixedClock
from tests.patience import PATIENCE_S

MIGRATIONS = "tests.unit.exchange.migrations"


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    """Open an engine on an empty database."""
    opened = await Engine.open(tmp_path / "test.db", MIGRATIONS, FixedClock())
    yield opened
    await opened.close()


def account(name: str, amount: int = 0) -> Callable[[apsw.Connection], str]:
    """Return a work that inserts one account and answers with its name."""

    def work(db: apsw.Connection) -> str:
        db.execute("INSERT INTO account VALUES (?, ?)", (name, amount))
        return name

    return work


def names(db: apsw.Connection) -> list[str]:
    """Return all accounts in order."""
    return [str(name) for (name,) in db.execute("SELECT name FROM account ORDER BY name")]


class Held:
    """A work that keeps the writer busy until the test lets go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.released = threading.Event()

    def __call__(self, _db: apsw.Connection) -> None:
        """Wait in the writer's thread."""
        self.begun.set()
        assert self.released.wait(10)


async def test_a_write_returns_its_result_and_is_read_back(engine: Engine) -> None:
    """What a write returned is seen by the next read."""
    assert await engine.write(account("anna")) == "anna"
    assert await engine.read(names) == ["anna"]


async def test_waiting_writes_share_one_commit(engine: Engine) -> None:
    """Two hundred writes at once need two commits: one for the first, one for all that then waited."""
    held = Held()
    first = asyncio.create_task(engine.write(held))
    await asyncio.to_thread(held.begun.wait)
    rest = [asyncio.create_task(engine.write(account(f"n{number:03d}"))) for number in range(200)]
    await asyncio.sleep(0)
    held.released.set()
    await asyncio.gather(first, *rest)
    stats = engine.stats()
    assert (stats.writes, stats.commits, stats.largest_batch) == (201, 2, 200)
    assert len(await engine.read(names)) == 200


async def test_a_batch_has_a_limit(engine: Engine) -> None:
    """More waiting writes than one batch holds are spread over several."""
    await asyncio.gather(*(engine.write(account(f"n{number:04d}")) for number in range(3 * BATCH)))
    assert engine.stats().largest_batch <= BATCH
    assert len(await engine.read(names)) == 3 * BATCH


async def test_a_failing_write_undoes_only_itself(engine: Engine) -> None:
    """In one batch, one work raises after it wrote: its caller alone is told, the others are kept."""

    def failing(db: apsw.Connection) -> None:
        account("mallory")(db)
        raise BadRequest("no")

    results = await asyncio.gather(
        engine.write(account("anna")),
        engine.write(failing),
        engine.write(account("anna")),
        engine.write(account("bert")),
        return_exceptions=True,
    )
    assert (results[0], results[3]) == ("anna", "bert")
    assert isinstance(results[1], BadRequest)
    assert isinstance(results[2], apsw.ConstraintError)
    assert await engine.read(names) == ["anna", "bert"]


async def test_a_constraint_that_fails_at_the_commit_refuses_only_the_guilty(engine: Engine) -> None:
    """A deferred constraint breaks the commit of a batch; the others are then committed singly."""

    def orphan(db: apsw.Connection) -> None:
        db.execute("INSERT INTO entry VALUES ('nobody', 1)")

    results = await asyncio.gather(
        engine.write(account("anna")),
        engine.write(orphan),
        engine.write(account("bert")),
        return_exceptions=True,
    )
    assert isinstance(results[1], apsw.ConstraintError)
    assert await engine.read(names) == ["anna", "bert"]


async def test_a_work_that_ends_the_transaction_is_refused(engine: Engine) -> None:
    """COMMIT inside a work is an error for its batch, and the engine goes on."""
    with pytest.raises(StoreFailed):
        await engine.write(lambda db: db.execute("ROLLBACK").get)
    assert await engine.write(account("anna")) == "anna"


async def test_a_cancelled_caller_does_not_break_the_batch(engine: Engine) -> None:
    """Others in the batch get their answers, and the engine goes on."""
    held = Held()
    first = asyncio.create_task(engine.write(held))
    await asyncio.to_thread(held.begun.wait)
    cancelled = asyncio.create_task(engine.write(account("anna")))
    other = asyncio.create_task(engine.write(account("bert")))
    await asyncio.sleep(0)
    cancelled.cancel()
    held.released.set()
    assert await other == "bert"
    await first
    with pytest.raises(asyncio.CancelledError):
        await cancelled


async def test_a_read_does_not_wait_for_the_writer(engine: Engine) -> None:
    """While a write holds its transaction open, reads answer from the last commit."""
    await engine.write(account("anna"))
    held = Held()
    writing = asyncio.create_task(engine.write(held))
    await asyncio.to_thread(held.begun.wait)
    assert await asyncio.wait_for(engine.read(names), PATIENCE_S) == ["anna"]
    held.released.set()
    await writing


async def test_a_read_cannot_write(engine: Engine) -> None:
    """A statement that changes something is refused on a reading connection."""
    with pytest.raises(StoreFailed):
        await engine.read(account("anna"))
    assert await engine.read(names) == []


async def test_a_work_that_raises_stop_iteration_is_answered(engine: Engine) -> None:
    """The one exception a future does not accept reaches the caller as another."""
    with pytest.raises(RuntimeError):
        await engine.write(lambda _db: next(iter(())))


async def test_closing_finishes_what_was_asked_before(tmp_path: Path) -> None:
    """Writes queued before close are durable; calls after it are refused; closing twice is harmless."""
    engine = await Engine.open(tmp_path / "test.db", MIGRATIONS, FixedClock())
    writes = [asyncio.create_task(engine.write(account(f"n{number}"))) for number in range(9)]
    await asyncio.sleep(0)
    await engine.close()
    await engine.close()
    assert all(task.done() for task in writes)
    with pytest.raises(StoreFailed, match="closed"):
        await engine.write(account("late"))
    again = await Engine.open(tmp_path / "test.db", MIGRATIONS, FixedClock())
    assert len(await again.read(names)) == 9
    await again.close()


@pytest.mark.parametrize("replace", [True, False])
async def test_a_replaced_or_deleted_database_is_noticed(tmp_path: Path, replace: bool) -> None:
    """Once another file, or none, lies under the name, every write is refused."""
    path = tmp_path / "test.db"
    engine = await Engine.open(path, MIGRATIONS, FixedClock())
    path.rename(tmp_path / "moved.db")
    if replace:
        path.touch()
    with pytest.raises(StoreFailed):
        await engine.write(account("anna"))
    (tmp_path / "moved.db").rename(path)
    assert await engine.write(account("anna")) == "anna"
    await engine.close()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Foreign bytes under the name are a StoreFailed, and are left as they are."""
    path = tmp_path / "test.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreFailed):
        await Engine.open(path, MIGRATIONS, FixedClock())
    assert path.read_bytes().startswith(b"not a database")


async def test_a_new_database_can_be_read_by_its_owner_only(engine: Engine, tmp_path: Path) -> None:
    """Database, WAL and index have mode 0600."""
    await engine.write(account("anna"))
    modes = await asyncio.to_thread(lambda: {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()})
    assert modes == {0o600}


def test_the_writer_flushes_every_commit(tmp_path: Path) -> None:
    """The connection is in WAL mode with synchronous=FULL and foreign keys."""
    place = Place(tmp_path / "test.db")
    place.create()
    core = WriterCore(place)
    pragmas = [
        core.db.execute(f"PRAGMA {name}").get for name in ("journal_mode", "synchronous", "foreign_keys")
    ]
    core.close()
    assert pragmas == ["wal", 2, 1]


@pytest.mark.parametrize("version", ["3.40.1", "3.44.5", "3.50.6", "3.51.2", "3.49.9"])
def test_an_sqlite_with_the_wal_reset_bug_is_refused(version: str) -> None:
    """Affected versions stop the start with a hint."""
    with pytest.raises(SetupError, match=version):
        require_safe_sqlite(version)


@pytest.mark.parametrize("version", ["3.44.6", "3.50.7", "3.51.3", "3.54.1", "4.0.0"])
def test_a_repaired_sqlite_is_accepted(version: str) -> None:
    """Later versions and the two backports are fine."""
    require_safe_sqlite(version)


async def test_a_look_up_sees_every_write_that_returned(engine: Engine) -> None:
    """Looking up at once shows what a write has returned, and passes on what the work raises."""
    assert engine.look_up(names) == []
    await engine.write(account("anna"))
    assert engine.look_up(names) == ["anna"]
    with pytest.raises(ZeroDivisionError):
        engine.look_up(lambda _: 1 // 0)


async def test_a_look_up_cannot_write(engine: Engine) -> None:
    """The connection for looking up only reads."""
    with pytest.raises((StoreFailed, apsw.Error)):
        engine.look_up(account("anna"))
    assert await engine.read(names) == []


async def test_a_look_up_in_a_closed_store_is_refused(tmp_path: Path) -> None:
    """After closing, looking up is refused like every other call."""
    opened = await Engine.open(tmp_path / "test.db", MIGRATIONS, FixedClock())
    await opened.close()
    with pytest.raises(StoreFailed):
        opened.look_up(names)
