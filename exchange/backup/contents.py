"""What belongs into a backup: known files and folders of a data directory, and nothing else.

A list of what is taken, not of what is left out: whatever is laid into a data directory later stays
out until somebody decides that it may travel.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from exchange.datadir import DataDir
from exchange.pinned_root import read_pinned_root
from exchange.setup.files import REQUEST_FILE, read_file, require_data
from exchange.setup.joining import SUCCESSION_FILE
from protocol.enrolment import MAX_REQUEST_BYTES, StateRequest, parse_request
from protocol.errors import SetupError

DATABASE = "almenara.db"
FILES = ("almenara.toml", "root-hash", SUCCESSION_FILE, REQUEST_FILE)
FOLDERS = ("access", "evidence", "keys", "officers")
NAME = re.compile(rf"(?:(?:{'|'.join(FOLDERS)})/)?[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}}")
LARGEST_FILE = 16 * 2**20
"""No file but the database is larger."""


class Role(StrEnum):
    """Whose place it is."""

    NODE = "node"
    COORDINATOR = "coordinator"

    @property
    def migrations(self) -> str:
        """The package of the database's migrations."""
        return f"exchange.stores.sql.{self.value}"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose data directory it is.

    Attributes:
        role: Node or coordinator.
        party: Its code.
        root_hash: The community's pinned root hash.
    """

    role: Role
    party: str
    root_hash: bytes


def owner_of(place: DataDir) -> Owner:
    """Return whose a data directory is, by the request that it was set up with.

    Raises:
        SetupError: it is no complete data directory.
        FormatError: its request is damaged.
    """
    require_data(place.path)
    request = parse_request(read_file(place.path / REQUEST_FILE, MAX_REQUEST_BYTES, "request"))
    root_hash = read_pinned_root(place.path)
    if isinstance(request, StateRequest):
        return Owner(Role.NODE, request.code, root_hash)
    return Owner(Role.COORDINATOR, request.entry.code, root_hash)


def small_files(place: DataDir) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file to be kept but the database, each as it is now.

    A file that goes away meanwhile, as a revoked officer's key does, is left out.

    Raises:
        SetupError: a file cannot be read, is too large, or has a name that no part of this program gives.
    """
    for path in _kept(place):
        name = str(path.relative_to(place.path))
        if NAME.fullmatch(name) is None:
            raise SetupError(
                f"{path} has a name that a backup cannot hold",
                hint="Move it out of the data directory: no part of this program put it there.",
            )
        content = _read(path)
        if content is not None:
            yield name, content


def left_out(place: DataDir, *, has_database: bool = True) -> tuple[str, ...]:
    """Return the names in a data directory that a backup does not take, for people to know."""
    taken = {*FILES, *FOLDERS}
    if has_database:
        taken |= {DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"}
    return tuple(sorted(entry.name for entry in place.path.iterdir() if entry.name not in taken))


def _kept(place: DataDir) -> Iterator[Path]:
    # The request last: a place that is filled in this order is complete once it is there.
    for folder in FOLDERS:
        if (place.path / folder).is_dir():
            yield from sorted(path for path in (place.path / folder).iterdir() if _is_plain(path))
    yield from (place.path / name for name in FILES if _is_plain(place.path / name))


def _is_plain(path: Path) -> bool:
    """Whether it is a regular file, and none that is being written: those have names with a dot before."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(status.st_mode) and not path.name.startswith(".")


def _read(path: Path) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise SetupError(f"{path} is larger than any file of a data directory", hint="Move it out of there.")
    return content
