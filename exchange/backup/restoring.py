"""A data directory filled from a backup: into an empty place, after the whole backup was read once.

A place that was restored says so, because going on from it as if nothing had happened would use
numbers twice that were used already: see ``exchange.restored``.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

from exchange.backup.archive import read_backup, write_part
from exchange.backup.contents import FOLDERS, Role
from exchange.backup.manifest import Manifest, Part
from exchange.datadir import DataDir
from exchange.keystore import sync_folder
from exchange.restored import RESTORED_FACT, RESTORED_FILE
from exchange.setup.files import REQUEST_FILE, make_folder, new_place, write_file
from exchange.stores.connection import REFUSALS, Place, connect, discard
from exchange.stores.node_books import save_fact
from exchange.stores.snapshot import require_whole
from protocol.errors import SetupError, StoreFailed, Tampered
from protocol.text import format_utc


def restore(file: Path, data: Path) -> Manifest:
    """Fill an empty data directory from a backup; durable, and marked as restored, when this returns.

    Args:
        file: The backup.
        data: A directory that does not exist, or is empty.

    Raises:
        FormatError, Tampered: the file is no whole backup; nothing was written.
        SetupError: the directory holds something, or the disk refuses; nothing is left behind.
        StoreFailed: the database in it is damaged; nothing is left behind.
    """
    # Once without writing: a damaged backup is refused before anything lies anywhere.
    manifest = read_backup(file, lambda part, blocks: None)
    place = DataDir(data)
    with new_place(data):
        place.create()
        for name in FOLDERS:
            make_folder(data / name)
        with place:
            _fill(file, place, manifest)
    return manifest


def _fill(file: Path, place: DataDir, manifest: Manifest) -> None:
    def sink(part: Part, blocks: Iterator[bytes]) -> None:
        if part.name == REQUEST_FILE:
            # It comes last and makes the place complete; by then the place says that it was restored.
            if manifest.has_database:
                require_whole(place.database, manifest.role.migrations)
            _mark(place, manifest)
        write_part(place.path / part.name, blocks)

    try:
        if read_backup(file, sink) != manifest:
            raise Tampered("the backup was changed while it was restored")
        for name in (*FOLDERS, "."):
            sync_folder(place.path / name)
    except OSError as error:
        raise SetupError(
            f"{place.path} cannot be written: {error.strerror}",
            hint="Make room." if error.errno == errno.ENOSPC else "Name another directory.",
        ) from error


def _mark(place: DataDir, manifest: Manifest) -> None:
    """Say in the place that it was restored, and from when."""
    if manifest.role is Role.COORDINATOR:
        write_file(place.path / RESTORED_FILE, f"{format_utc(manifest.made_ms)}\n".encode(), mode=0o600)
        return
    db = connect(Place(place.database))
    try:
        save_fact(db, RESTORED_FACT, manifest.made_ms)
    except REFUSALS as error:
        raise StoreFailed(
            f"the database {place.database} cannot be written ({type(error).__name__})"
        ) from error
    finally:
        discard(db)
