"""How a database is opened: which SQLite, which file, which promises of durability.

Journal in WAL mode and ``synchronous=FULL``: when COMMIT returns, the WAL has been flushed to the
disk. Anything less loses acknowledged rows in a power cut, which tests/faults shows.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import apsw

from protocol.errors import SetupError, StoreFailed

SYNCHRONOUS = "FULL"
BUSY_TIMEOUT_MS = 5_000
AUTOCHECKPOINT_PAGES = 2_000
WAL_SIZE_LIMIT = 16 * 2**20
CACHED_STATEMENTS = 256
WRITER_CACHE_KIB = 16 * 1024
"""Ids are random, so every index is written all over: what does not fit is read again and again."""

FIXED_SINCE = (3, 51, 3)
FIXED_BACKPORTS = {(3, 44): 6, (3, 50): 7}

REFUSALS = (
    apsw.IOError,
    apsw.FullError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.ProtocolError,
    apsw.InterruptError,
    apsw.ConnectionClosedError,
    MemoryError,
)
"""What SQLite raises when the disk or another process refuses, as against a mistake in a statement."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a database lies.

    Args:
        path: The database file; its folder must exist.
        vfs: The name of a registered SQLite file system, or None for the operating system's own.
        exclusive: Keep the file locked and the WAL index in memory, for file systems without shared
            memory. No other connection can then read.
    """

    path: Path
    vfs: str | None = None
    exclusive: bool = False

    def identity(self) -> tuple[int, int] | None:
        """Return device and inode of the file, or None where the file system has none.

        Raises:
            StoreFailed: The file is gone or cannot be examined.
        """
        if self.vfs is not None:
            return None
        try:
            status = os.stat(self.path)
        except OSError as error:
            raise StoreFailed(f"the database {self.path} cannot be examined: {error.strerror}") from error
        return status.st_dev, status.st_ino

    def create(self) -> None:
        """Make an empty file of mode 0600 if there is none; its name is durable when this returns."""
        if self.vfs is not None or self.path.exists():
            return
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600))
            folder = os.open(self.path.parent, os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise StoreFailed(f"the database {self.path} cannot be created: {error.strerror}") from error


def require_safe_sqlite(version: str) -> None:
    """Refuse an SQLite with the WAL-reset bug, which can corrupt a database.

    Source: sqlite.org, release notes of 3.51.3; backports 3.44.6 and 3.50.7.

    Args:
        version: Such as ``3.54.1``.

    Raises:
        SetupError: The version is affected.
    """
    major, minor, patch = (int(part) for part in version.split("."))
    backport = FIXED_BACKPORTS.get((major, minor))
    if (major, minor, patch) >= FIXED_SINCE or (backport is not None and patch >= backport):
        return
    raise SetupError(
        f"SQLite {version} can corrupt databases in WAL mode",
        hint="Install the locked dependencies again: apsw then brings its own SQLite, 3.51.3 or later.",
    )


def open_writer(place: Place) -> apsw.Connection:
    """Return the one connection that writes, in WAL mode with full durability.

    Raises:
        StoreFailed: The file cannot be opened, or is not a database.
        SetupError: The file system of the folder cannot hold a WAL, as network shares cannot.
    """
    db = connect(place)
    try:
        if place.exclusive:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
        if db.execute("PRAGMA journal_mode = WAL").get != "wal":
            raise SetupError(
                f"the folder of {place.path} cannot hold a write-ahead log",
                hint="Keep the data directory on a local disk, not on a network share.",
            )
        db.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
        db.execute(f"PRAGMA wal_autocheckpoint = {AUTOCHECKPOINT_PAGES}")
        db.execute(f"PRAGMA journal_size_limit = {WAL_SIZE_LIMIT}")
        db.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
        # What is deleted is overwritten: forward secrecy rests on destroyed keys being gone.
        db.execute("PRAGMA secure_delete = ON")
    except REFUSALS as error:
        discard(db)
        raise StoreFailed(f"the database {place.path} cannot be opened ({type(error).__name__})") from error
    except SetupError:
        discard(db)
        raise
    return db


def open_reader(place: Place) -> apsw.Connection:
    """Return a connection that can only read; it does not wait for the writer.

    Raises:
        StoreFailed: The file cannot be opened.
    """
    db = connect(place)
    db.execute("PRAGMA query_only = ON")
    return db


def empty_log(place: Place) -> None:
    """Fold the write-ahead log into the database and cut it to nothing, over a connection of its own.

    Raises:
        StoreFailed: Another connection was in the way for too long, or the disk refused.
    """
    db = connect(place)
    try:
        db.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except REFUSALS as error:
        raise StoreFailed(f"the log of {place.path} cannot be emptied ({type(error).__name__})") from error
    finally:
        discard(db)


def connect(place: Place) -> apsw.Connection:
    """Return a connection to a file that exists already, with foreign keys enforced."""
    try:
        flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if place.vfs else 0)
        db = apsw.Connection(str(place.path), flags, place.vfs, CACHED_STATEMENTS)
    except REFUSALS as error:
        raise StoreFailed(f"the database {place.path} cannot be opened ({type(error).__name__})") from error
    db.set_busy_timeout(BUSY_TIMEOUT_MS)
    db.execute("PRAGMA foreign_keys = ON")
    return db


def discard(db: apsw.Connection) -> None:
    """Close a connection that failed. Whoever calls reports that failure; this one has the same cause."""
    with contextlib.suppress(apsw.Error, MemoryError):
        db.close(True)
