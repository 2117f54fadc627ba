"""Numbered SQL migrations: applied in order, each in one transaction with the record of itself.

A folder holds ``0001_name.sql``, ``0002_name.sql``, ... without gaps. What was applied once may
never change: its SHA-256 is kept in the table ``migration`` and compared at every start.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

import apsw

from exchange.stores.connection import REFUSALS
from protocol.errors import SetupError, StoreFailed

FILE_NAME = re.compile(r"([0-9]{4})_([a-z0-9_]+)\.sql")
RECORD = """CREATE TABLE IF NOT EXISTS migration (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    applied_ms INTEGER NOT NULL
) STRICT"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of a database's shape."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> bytes:
        """Return the hash under which the step is recorded."""
        return hashlib.sha256(self.sql.encode()).digest()


def packaged(package: str) -> tuple[Migration, ...]:
    """Return the migrations that lie in a package, such as ``exchange.stores.sql.node``.

    Raises:
        SetupError: A name or number is wrong.
    """
    return read_folder(files(package))


def read_folder(folder: Traversable) -> tuple[Migration, ...]:
    """Return the migrations of a folder in order; files that do not end in ``.sql`` are no concern.

    Raises:
        SetupError: A name is not ``NNNN_name.sql``, or the numbers are not 1, 2, 3, ...
    """
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    migrations = tuple(parse(name, folder.joinpath(name).read_text("utf-8")) for name in names)
    for expected, migration in enumerate(migrations, start=1):
        if migration.number != expected:
            raise SetupError(
                f"migration {expected:04d} is missing or there twice", hint="Reinstall the program."
            )
    return migrations


def parse(file_name: str, sql: str) -> Migration:
    """Return the migration of one file.

    Raises:
        SetupError: The name is not ``NNNN_name.sql``.
    """
    match = FILE_NAME.fullmatch(file_name)
    if match is None:
        raise SetupError(
            f"{file_name} is not named like a migration", hint="Name it NNNN_name.sql, in lower case."
        )
    return Migration(int(match[1]), match[2], sql)


def migrate(db: apsw.Connection, migrations: Sequence[Migration], now_ms: int) -> int:
    """Bring a database to the newest shape and return how many steps that took.

    Each step is durable before the next begins. A kill at any statement leaves whole steps only, and
    the next start goes on from there.

    Args:
        db: The writing connection, outside a transaction.
        migrations: All the program knows, in order.
        now_ms: Recorded with each step, milliseconds UTC.

    Raises:
        SetupError: The database was made by a newer or by another program, or a step does not run.
        StoreFailed: The disk refused; start again when it is well.
    """
    try:
        db.execute(RECORD)
        applied = history(db)
        require_same_history(applied, migrations)
        for migration in migrations[len(applied) :]:
            apply(db, migration, now_ms)
    except REFUSALS as error:
        raise StoreFailed(f"the database cannot be brought up to date ({type(error).__name__})") from error
    return len(migrations) - len(applied)


def history(db: apsw.Connection) -> list[tuple[int, str, bytes]]:
    """Return number, name and SHA-256 of the steps that a database went through.

    Raises:
        StoreFailed: The record is damaged.
    """
    rows = db.execute("SELECT number, name, sha256 FROM migration ORDER BY number")
    try:
        return [(int(number), str(name), bytes(sha256)) for number, name, sha256 in rows]
    except (TypeError, ValueError) as error:
        raise StoreFailed(
            "the database's record of its own shape is damaged",
            hint="Restore the data directory from a backup: almenara restore BACKUP --data NEW",
        ) from error


def require_same_history(applied: Sequence[tuple[int, str, bytes]], migrations: Sequence[Migration]) -> None:
    """Refuse a database whose past is not the beginning of what this program knows.

    Raises:
        SetupError: It was made by a newer version, or by different migrations.
    """
    if len(applied) > len(migrations):
        raise SetupError(
            f"the database is at migration {len(applied)}, this program knows only {len(migrations)}",
            hint="Install the newer version of the program that made it; going back is not possible.",
        )
    for row, migration in zip(applied, migrations, strict=False):
        if row != (migration.number, migration.name, migration.sha256):
            raise SetupError(
                f"migration {row[0]:04d}_{row[1]} of the database is not the one this program knows",
                hint="Check that the data directory belongs to this program, or restore it from backup.",
            )


def apply(db: apsw.Connection, migration: Migration, now_ms: int) -> None:
    """Run one step and record it, both or neither.

    Raises:
        SetupError: A statement fails, or ends the transaction.
    """
    label = f"migration {migration.number:04d}_{migration.name}"
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute(migration.sql)
        if not db.in_transaction:
            raise SetupError(f"{label} ends its own transaction", hint="Take BEGIN and COMMIT out of it.")
        row = (migration.number, migration.name, migration.sha256, now_ms)
        db.execute("INSERT INTO migration VALUES (?, ?, ?, ?)", row)
        db.execute("COMMIT")
    except (apsw.SQLError, apsw.ConstraintError) as error:
        raise SetupError(f"{label} does not run: {error}", hint="Report this with the log.") from error
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
