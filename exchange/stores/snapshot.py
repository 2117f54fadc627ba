"""A copy of a database of one moment, made beside whoever writes to it, and the check of such a copy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import apsw

from exchange.stores.connection import REFUSALS, Place, connect, discard, open_reader, require_safe_sqlite
from exchange.stores.migrate import history, packaged, require_same_history
from protocol.errors import StoreFailed

PAGES_AT_ONCE = 2_000

Progress = Callable[[int, int], None]
"""Told how much is done, of how much."""


def copy_database(source: Path, target: Path, progress: Progress) -> None:
    """Copy a database as it is at one moment; the copy is one whole file of mode 0600, and durable.

    Whoever writes to the source goes on meanwhile and is not waited for.

    Args:
        source: The database file; its service may run.
        target: A name that is free.
        progress: Told the pages done, of how many.

    Raises:
        StoreFailed: the source cannot be read, or the disk of the target refuses.
        SetupError: this SQLite is not to be trusted with a database.
    """
    require_safe_sqlite(apsw.sqlite_lib_version())
    reader = open_reader(Place(source))
    try:
        # One snapshot, held to the end: without it every commit of the writer would start the copy anew.
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        Place(target).create()
        _copy(reader, target, progress)
    except REFUSALS as error:
        raise StoreFailed(
            f"the database {source} cannot be copied to {target.parent} ({type(error).__name__})",
            hint="Check that the disk of the target has room for twice the database, then run it again.",
        ) from error
    finally:
        discard(reader)


def _copy(reader: apsw.Connection, target: Path, progress: Progress) -> None:
    writer = connect(Place(target))
    try:
        with writer.backup("main", reader, "main") as copying:
            while not copying.done:
                copying.step(PAGES_AT_ONCE)
                progress(copying.page_count - copying.remaining, copying.page_count)
        # No write-ahead log beside it: the copy is one file.
        writer.execute("PRAGMA journal_mode = DELETE")
    finally:
        discard(writer)


def open_unchanging(path: Path) -> apsw.Connection:
    """Return a connection to a file that nobody writes to; nothing is written beside it either.

    Raises:
        StoreFailed: it cannot be opened.
    """
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    try:
        return apsw.Connection(f"file:{quote(str(path))}?immutable=1", flags)
    except REFUSALS as error:
        raise StoreFailed(f"the database {path} cannot be opened ({type(error).__name__})") from error


def require_whole(path: Path, migrations_package: str) -> None:
    """Return only if a copy is a whole database that this program can use. Nothing is written.

    Args:
        path: A file that nobody writes to.
        migrations_package: Such as ``exchange.stores.sql.node``.

    Raises:
        StoreFailed: it is damaged.
        SetupError: a newer or another program made it.
    """
    db = open_unchanging(path)
    try:
        found = integrity(db)
        if found:
            raise StoreFailed(
                f"the database in {path} is damaged: {found}", hint="Use an older backup; keep this file."
            )
        require_same_history(history(db), packaged(migrations_package))
    except REFUSALS as error:
        raise StoreFailed(
            f"the database in {path} is damaged ({type(error).__name__})", hint="Use an older backup."
        ) from error
    except apsw.SQLError as error:
        raise StoreFailed(f"{path} is a database of another program") from error
    finally:
        discard(db)


def integrity(db: apsw.Connection) -> str:
    """Return the first thing that SQLite's own check finds wrong; nothing if the database is whole."""
    answer = str(db.execute("PRAGMA quick_check(1)").get)
    return "" if answer == "ok" else answer
