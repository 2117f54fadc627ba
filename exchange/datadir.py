"""The data directory of one node or coordinator: what lies where, and that one process owns it."""

from __future__ import annotations

import fcntl
import os
import shlex
from pathlib import Path
from types import TracebackType
from typing import Self

from protocol.errors import DataDirBusy, SetupError

FOLDERS = ("keys", "tokens")
"""What every data directory has; a node's has ``access`` and ``officers`` too."""


class DataDir:
    """The layout below one directory, and its lock.

    Making the object touches nothing. :meth:`create` makes the folders, :meth:`lock` takes the lock
    (or use ``with``), which the kernel gives back when the process ends, however it ends.

    Args:
        path: The directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "almenara.db"
        self.keys = path / "keys"
        self.tokens = path / "tokens"
        self.access = path / "access"
        self.officers = path / "officers"
        self.evidence = path / "evidence"
        self.day_keys = path / "day-keys"
        self.opening_key = self.keys / "opening.key"
        self.settings_file = path / "almenara.toml"
        self.lock_file = path / "lock"
        self._descriptor: int | None = None

    def create(self) -> None:
        """Make the directory and its folders with mode 0700 where they are missing.

        Raises:
            SetupError: They cannot be made, or the directory can be written by others.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in FOLDERS:
                (self.path / name).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise SetupError(
                f"the data directory {self.path} cannot be made: {error.strerror}",
                hint="Give --data another directory, or make this one writable for this user.",
            ) from error
        self._require_private()

    def lock(self) -> None:
        """Take the directory for this process, until :meth:`unlock` or the process ends.

        Raises:
            DataDirBusy: Another process has it; its process id is named.
            SetupError: The directory is missing, or can be written by others.
        """
        self._require_private()
        try:
            descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise SetupError(f"{self.lock_file} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise DataDirBusy(
                f"the data directory {self.path} is in use by process {owner}",
                hint=f"Stop process {owner} first; two may never share one data directory.",
            ) from error
        # The file stays when the lock goes: removing it would let two processes lock two files.
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        self._descriptor = descriptor

    def holder(self) -> int | None:
        """Return the id of the process that has the directory now, or None.

        Raises:
            SetupError: The directory is missing, or can be written by others.
        """
        self._require_private()
        try:
            descriptor = os.open(self.lock_file, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SetupError(f"{self.lock_file} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            said = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            return int(said) if said.isdecimal() else None
        finally:
            os.close(descriptor)
        return None

    def unlock(self) -> None:
        """Give the directory back; nothing happens if it is not locked by this object."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> Self:
        self.lock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unlock()

    def _require_private(self) -> None:
        """Refuse a directory in which others could replace files.

        Raises:
            SetupError: It is missing, of another owner, or writable by group or others.
        """
        try:
            status = self.path.stat()
        except OSError as error:
            raise SetupError(
                f"there is no data directory {self.path}", hint="Make it with the init command first."
            ) from error
        quoted = shlex.quote(str(self.path))
        if status.st_uid != os.geteuid():
            raise SetupError(
                f"the data directory {self.path} belongs to another user",
                hint=f"Run as its owner, or: chown {os.geteuid()} {quoted}",
            )
        if status.st_mode & 0o022:
            raise SetupError(
                f"the data directory {self.path} can be written by others", hint=f"Run: chmod 700 {quoted}"
            )
