"""A backup read: every part is what the manifest says, in its order, and nothing stands beside them."""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from exchange.backup.contents import DATABASE
from exchange.backup.manifest import MANIFEST, MAX_MANIFEST_BYTES, Manifest, Part, parse
from exchange.stores.snapshot import require_whole
from keys.keyfile import describe
from protocol.enrolment import parse_request
from protocol.errors import AlmenaraError, FormatError, KeyfileError, SetupError, Tampered

BLOCK = 2**20
TLS_KEY = "keys/tls"

Sink = Callable[[Part, Iterator[bytes]], None]
"""Takes one part and its content, block by block; whatever it leaves is read and hashed all the same."""


def read_backup(path: Path, sink: Sink) -> Manifest:
    """Read a backup once, from its first byte to its last, comparing every part with the manifest.

    Args:
        path: The file.
        sink: Given each part in order, before that part's hash is known to be right.

    Raises:
        FormatError: it is no backup, or was cut short.
        Tampered: a part is not what the manifest says.
        SetupError: the file cannot be read.
    """
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            manifest = _manifest(archive)
            for part in manifest.parts:
                _take(archive, part, sink)
            if archive.next() is not None:
                raise Tampered("the backup holds more than its manifest names")
            return manifest
    except tarfile.TarError as error:
        raise FormatError(f"{path} is no backup, or was cut short: {error}") from error
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}", hint="Check the path.") from error


def check_backup(path: Path) -> Manifest:
    """Check a backup whole: hashes, database, key files' headers and request. No key is opened.

    Raises:
        FormatError, Tampered, StoreFailed, KeyfileError: it is not fit to be restored.
        SetupError: it cannot be read, or there is no room to check its database.
    """
    with _room() as folder:
        kept: dict[str, bytes] = {}

        def sink(part: Part, blocks: Iterator[bytes]) -> None:
            if part.name == DATABASE:
                write_part(folder / DATABASE, blocks)
            elif part.name.endswith((".key", ".alm")):
                kept[part.name] = b"".join(blocks)

        manifest = read_backup(path, sink)
        if manifest.has_database:
            require_whole(folder / DATABASE, manifest.role.migrations)
    for name, content in kept.items():
        _require_readable(name, content)
    return manifest


def write_part(path: Path, blocks: Iterator[bytes]) -> None:
    """Write a part into a new file of mode 0600; durable when this returns.

    Raises:
        OSError: the disk refuses, or the name is taken.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for block in blocks:
            file.write(block)
        file.flush()
        os.fsync(file.fileno())


def _manifest(archive: tarfile.TarFile) -> Manifest:
    member = archive.next()
    if member is None or member.name != MANIFEST or not member.isreg() or member.size > MAX_MANIFEST_BYTES:
        raise FormatError(f"the file does not begin with the {MANIFEST} of a backup")
    return parse(_content(archive, member).read())


def _take(archive: tarfile.TarFile, part: Part, sink: Sink) -> None:
    member = archive.next()
    if member is None:
        raise FormatError(f"the backup was cut short before {part.name}")
    if (member.name, member.size) != (part.name, part.size) or not member.isreg():
        raise Tampered(f"the backup holds {member.name} where its manifest names {part.name}")
    running = hashlib.sha256()
    blocks = _blocks(_content(archive, member), running.update)
    sink(part, blocks)
    for _ in blocks:
        pass
    if running.hexdigest() != part.sha256:
        raise Tampered(f"{part.name} in the backup is not what was backed up: its SHA-256 differs")


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(member)
    if content is None:
        raise FormatError(f"{member.name} in the backup is no file")
    return content


def _blocks(file: IO[bytes], seen: Callable[[bytes], None]) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        seen(block)
        yield block


@contextmanager
def _room() -> Iterator[Path]:
    """Give a private folder for the database, and remove it again."""
    try:
        with tempfile.TemporaryDirectory(prefix="almenara-check-") as folder:
            yield Path(folder)
    except OSError as error:
        raise SetupError(
            f"the backup's database cannot be laid out to be checked: {error.strerror}",
            hint="Name a folder with room for it by the environment variable TMPDIR, and run it again.",
        ) from error


def _require_readable(name: str, content: bytes) -> None:
    """Return only if a key file or a request is well formed."""
    try:
        if name.endswith(".alm"):
            parse_request(content)
        elif not name.startswith(TLS_KEY):
            describe(content.decode("utf-8"))
    except (AlmenaraError, UnicodeDecodeError) as error:
        raise KeyfileError(f"{name} in the backup is damaged", hint="Use an older backup.") from error
