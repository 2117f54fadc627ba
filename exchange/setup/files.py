"""Files of the set-up: public ones written whole or not at all, and places made complete or not at all.

Secret files are the business of :mod:`exchange.keystore`.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exchange.keystore import sync_folder
from exchange.setup.kinds import require_kind
from protocol.errors import SetupError, TooLarge

REQUEST_FILE = "request.alm"
COMMUNITY_FILE = "community.alm"


def read_file(path: Path, limit: int, what: str) -> bytes:
    """Return the bytes of a public file.

    Args:
        path: Where it lies.
        limit: The largest size in bytes that is read.
        what: A noun for messages, such as ``"community file"``.

    Raises:
        SetupError: it is missing or cannot be read.
        UnknownKind: it is a file of another kind.
        TooLarge: it is larger than the limit.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError as error:
        raise SetupError(
            f"there is no {what} {path}", hint="Check the path; copy the file here again if it is missing."
        ) from error
    except OSError as error:
        raise SetupError(
            f"the {what} {path} cannot be read: {error.strerror}", hint="Check the path, and who may read it."
        ) from error
    require_kind(data, path, what)
    if len(data) > limit:
        raise TooLarge(f"the {what} {path} has more than {limit} bytes", hint="Ask for the right file.")
    return data


def write_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write or replace a public file; it is durable, under its name, when this returns.

    A crash leaves the old file or the new one, never a part, and nobody reads it before it has its mode.

    Args:
        path: Where.
        data: What.
        mode: Who may read it.

    Raises:
        SetupError: the disk refuses.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            created = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(created, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(mode)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise SetupError(
            f"{path} cannot be written: {error.strerror}",
            hint="Check that the folder exists, belongs to this user, and that the disk has space.",
        ) from error


def require_data(data: Path) -> None:
    """Return only if a directory looks like a data directory.

    Raises:
        SetupError: it is missing, or something else.
    """
    if not data.is_dir():
        raise SetupError(
            f"there is no data directory {data}",
            hint="Name the right one with --data DIR, or by the variable ALMENARA_DATA.",
        )
    if not (data / REQUEST_FILE).exists():
        raise SetupError(
            f"{data} is not a whole data directory: it has no {REQUEST_FILE}",
            hint="Name the right one with --data DIR. If files of it are lost, restore it from a backup "
            "into an "
            "empty directory: almenara restore BACKUP --data NEW",
        )


def make_folder(path: Path) -> None:
    """Make a folder of mode 0700; its parent must exist.

    Raises:
        SetupError: it cannot be made.
    """
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise SetupError(f"the folder {path} cannot be made: {error.strerror}") from error


@contextmanager
def new_place(path: Path) -> Iterator[None]:
    """Make a new directory of mode 0700 to be filled; a failure inside leaves it empty again.

    Args:
        path: A directory that does not exist, or is empty.

    Raises:
        SetupError: it holds something already, or cannot be made.
    """
    _require_empty(path)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
    except OSError as error:
        raise SetupError(
            f"the directory {path} cannot be made: {error.strerror}",
            hint="Choose another directory, or make this one writable for this user.",
        ) from error
    try:
        yield
    except BaseException:
        # It was empty, so everything in it was made here, and nothing of it was given to anybody.
        _empty(path)
        raise


def _require_empty(path: Path) -> None:
    try:
        if not path.exists() or not any(path.iterdir()):
            return
    except OSError as error:
        raise SetupError(f"{path} cannot be used as a directory: {error.strerror}") from error
    raise SetupError(
        f"the directory {path} is not empty",
        hint=f"Keys are never replaced: choose another, or look at it with: ls -la {shlex.quote(str(path))}",
    )


def _empty(path: Path) -> None:
    for entry in path.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
