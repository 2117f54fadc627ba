"""A backup made: the database of one moment, then the files, into one file that is whole or not there.

A database that lies on servers is not in it; whoever asks for the backup is told how to save that.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from exchange.backup.contents import DATABASE, Owner, left_out, owner_of, small_files
from exchange.backup.elsewhere import Elsewhere, elsewhere
from exchange.backup.manifest import MANIFEST, Manifest, Part, describe, encode
from exchange.datadir import DataDir
from exchange.keystore import sync_folder
from exchange.stores.snapshot import Progress, copy_database, require_whole
from keys.keyfile import describe as describe_key
from protocol.errors import FormatError, KeyfileError, SetupError

BLOCK = 2**20
IDENTITY_KEY = "keys/identity.key"


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made.

    Attributes:
        path: Its file.
        manifest: What it says about itself.
        size: In bytes.
        unprotected: Key files in it that nothing protects.
        left_out: What lies in the data directory and is not in it.
        database: Where the database is, if it is not in it.
    """

    path: Path
    manifest: Manifest
    size: int
    unprotected: tuple[str, ...]
    left_out: tuple[str, ...]
    database: Elsewhere | None = None

    @property
    def holds_identity(self) -> bool:
        """Whether the state's identity key lay in the data directory, and is in the backup therefore."""
        return any(part.name == IDENTITY_KEY for part in self.manifest.parts)


def make_backup(data: Path, target: Path, progress: Progress, now_ms: Callable[[], int]) -> Made:
    """Back up a node or a coordinator, running or not, into one new file.

    The file is durable, and complete, when this returns; whatever fails leaves nothing behind.

    Args:
        data: The data directory.
        target: The file; the name must be free.
        progress: Told how far the copy of the database is.
        now_ms: The clock.

    Raises:
        SetupError: it is no data directory, the name is taken, or the disk has no room.
        StoreFailed: the database cannot be read, or is damaged.
        FormatError: the directory's request is damaged.
    """
    place = DataDir(data)
    owner = owner_of(place)
    _require_free(target)
    database = elsewhere(data, owner.role)
    _require_room(place.database if database is None else None, target)
    with _beside(target) as folder:
        made_ms = now_ms()
        copy = None
        if database is None:
            # The database first: what it speaks of, such as a new key's file, is there afterwards.
            copy = folder / DATABASE
            copy_database(place.database, copy, progress)
            require_whole(copy, owner.role.migrations)
        files = list(small_files(place))
        manifest = _manifest(owner, copy, files, made_ms)
        archive = folder / "backup.tar"
        _write(archive, manifest, copy, files)
        _publish(archive, target)
    missing = left_out(place, has_database=database is None)
    return Made(target, manifest, target.stat().st_size, _unprotected(files), missing, database)


def _manifest(owner: Owner, database: Path | None, files: list[tuple[str, bytes]], made_ms: int) -> Manifest:
    parts = [Part(DATABASE, database.stat().st_size, _hash_of(database))] if database else []
    parts += [Part(name, len(content), hashlib.sha256(content).hexdigest()) for name, content in files]
    return describe(owner, tuple(parts), made_ms)


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, manifest: Manifest, database: Path | None, files: list[tuple[str, bytes]]) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w+b") as out:
        with tarfile.open(fileobj=out, mode="w:", format=tarfile.PAX_FORMAT) as archive:
            first = encode(manifest)
            _add(archive, MANIFEST, len(first), io.BytesIO(first), manifest.made_ms)
            if database is not None:
                with database.open("rb") as source:
                    _add(archive, DATABASE, manifest.parts[0].size, source, manifest.made_ms)
            for name, content in files:
                _add(archive, name, len(content), io.BytesIO(content), manifest.made_ms)
        out.flush()
        os.fsync(out.fileno())


def _add(archive: tarfile.TarFile, name: str, size: int, content: IO[bytes], made_ms: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o600, made_ms // 1000
    archive.addfile(member, content)


def _publish(archive: Path, target: Path) -> None:
    """Give the finished file its name; from then on it is durable under it."""
    _require_free(target)
    archive.rename(target)
    sync_folder(target.parent)


def _require_free(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise SetupError(
            f"there is a file {target} already", hint="A backup never replaces another; choose a new name."
        )


def _require_room(database: Path | None, target: Path) -> None:
    try:
        needed = (2 * database.stat().st_size if database else 0) + BLOCK
        free = shutil.disk_usage(target.parent).free
    except OSError as error:
        raise SetupError(
            f"{error.filename} cannot be used: {error.strerror}",
            hint="Name a data directory with a database, and a file in a folder that exists.",
        ) from error
    if free < needed:
        raise SetupError(
            f"the disk of {target.parent} has {free // BLOCK} MiB free, and the backup needs "
            f"{needed // BLOCK} MiB while it is made",
            hint="Make room, or write the backup to another disk.",
        )


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Give a private folder on the target's own disk, and remove it, however the work ends."""
    folder = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)
    except OSError as error:
        raise SetupError(
            f"the backup {target} cannot be written: {error.strerror}",
            hint="Check that the folder belongs to this user and that its disk has room, then run it again.",
        ) from error


def _unprotected(files: list[tuple[str, bytes]]) -> tuple[str, ...]:
    """Return the names of key files whose secret lies open."""
    return tuple(name for name, content in files if name.endswith(".key") and _lies_open(content))


def _lies_open(content: bytes) -> bool:
    try:
        return not describe_key(content.decode()).protection.is_sealed
    except (KeyfileError, FormatError, UnicodeDecodeError):
        # No key file of ours, as a TLS key is none: that one is always in clear, and opens no notice.
        return False
