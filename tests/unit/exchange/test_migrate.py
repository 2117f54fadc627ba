"""Migrations: in order, once each, never changed afterwards, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from exchange.stores.connection import Place
from exchange.stores.migrate import Migration, history, migrate, packaged, read_folder
from exchange.stores.writer import WriterCore
from protocol.errors import SetupError, StoreFailed
from tests.clocks import DAWN
from tests.faults.lossy_vfs import LossyDisk, LossyVFS

STEPS = (
    Migration(1, "one", "CREATE TABLE one (x INTEGER) STRICT; INSERT INTO one VALUES (1), (2);"),
    Migration(
        2, "two", "CREATE TABLE two (x INTEGER) STRICT; INSERT INTO two SELECT x FROM one; DROP TABLE one;"
    ),
    Migration(3, "three", "ALTER TABLE two ADD COLUMN y TEXT; UPDATE two SET y = 'y';"),
)


@pytest.fixture
def db() -> Iterator[apsw.Connection]:
    """Open an empty database in memory."""
    connection = apsw.Connection(":memory:")
    yield connection
    connection.close()


def test_every_step_runs_once_and_is_recorded(db: apsw.Connection) -> None:
    """The first start takes all steps, the second none."""
    assert migrate(db, STEPS, DAWN) == 3
    assert migrate(db, STEPS, DAWN) == 0
    assert history(db) == [(step.number, step.name, step.sha256) for step in STEPS]


def test_only_new_steps_run_on_an_older_database(db: apsw.Connection) -> None:
    """An upgrade begins where the database stands."""
    migrate(db, STEPS[:1], DAWN)
    assert migrate(db, STEPS, DAWN) == 2


def test_a_changed_history_is_refused(db: apsw.Connection) -> None:
    """A step that was edited after it ran stops the start."""
    migrate(db, STEPS, DAWN)
    edited = (STEPS[0], Migration(2, "two", "SELECT 1"), STEPS[2])
    with pytest.raises(SetupError, match="0002_two"):
        migrate(db, edited, DAWN)


def test_a_newer_database_is_refused(db: apsw.Connection) -> None:
    """An older program does not touch what a newer one made."""
    migrate(db, STEPS, DAWN)
    with pytest.raises(SetupError, match="only 2"):
        migrate(db, STEPS[:2], DAWN)


def test_a_step_that_fails_leaves_the_steps_before_it(db: apsw.Connection) -> None:
    """Half of a broken step is not there, and a corrected program goes on."""
    broken = Migration(2, "two", "CREATE TABLE two (x INTEGER) STRICT; INSERT INTO nowhere VALUES (1);")
    with pytest.raises(SetupError, match="0002_two does not run"):
        migrate(db, (STEPS[0], broken), DAWN)
    assert len(history(db)) == 1
    assert migrate(db, STEPS, DAWN) == 2


def test_a_step_may_not_end_its_transaction(db: apsw.Connection) -> None:
    """A COMMIT inside a step is refused."""
    with pytest.raises(SetupError, match="ends its own transaction"):
        migrate(db, (Migration(1, "one", "CREATE TABLE one (x); COMMIT;"),), DAWN)


def test_a_gap_in_the_numbers_is_refused(tmp_path: Path) -> None:
    """The numbers are 1, 2, 3 without gaps."""
    (tmp_path / "0001_a.sql").write_text("SELECT 1")
    (tmp_path / "0003_c.sql").write_text("SELECT 1")
    with pytest.raises(SetupError, match="0002"):
        read_folder(tmp_path)


def test_a_wrong_name_is_refused(tmp_path: Path) -> None:
    """A file that would be overlooked is an error."""
    (tmp_path / "1_a.sql").write_text("SELECT 1")
    with pytest.raises(SetupError, match=r"1_a\.sql"):
        read_folder(tmp_path)


@pytest.mark.parametrize("package", ["exchange.stores.sql.node", "exchange.stores.sql.coordinator"])
def test_the_packaged_migrations_run(db: apsw.Connection, package: str) -> None:
    """What the program ships applies to an empty database."""
    assert migrate(db, packaged(package), DAWN) == len(packaged(package))


def test_a_kill_at_any_moment_leaves_whole_steps() -> None:
    """Cut at every disk operation of three migrations: the next start always completes them."""
    vfs = LossyVFS("migrating")
    place = Place(Path("migrating.db"), vfs="migrating", exclusive=True)
    cut = 0
    completed = False
    while not completed:
        cut += 1
        vfs.disk = LossyDisk(seed=cut)
        vfs.disk.cut_at = cut
        completed = migrated(place)
        vfs.disk.powered = False
        vfs.disk.restore_power(kept=0.5)
        assert migrated(place)
        core = WriterCore(place)
        assert core.db.execute("SELECT x, y FROM two").fetchall() == [(1, "y"), (2, "y")]
        core.close()
    assert cut > 20
    vfs.unregister()


def migrated(place: Place) -> bool:
    """Say whether the migrations ran to their end."""
    try:
        core = WriterCore(place)
    except StoreFailed:
        return False
    try:
        migrate(core.db, STEPS, DAWN)
    except StoreFailed:
        return False
    finally:
        core.close()
    return True
