"""The wrapping keys of days: a day's seeds are locked under its key, and go when it is destroyed.

A copy of the store, however old, is worth nothing without the day's key, so these keys are kept
apart from it, where no backup comes, and can be destroyed one by one.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from exchange.keystore import sync_folder
from keys.daylock import KEY_BYTES, NONCE_BYTES, TAG_BYTES, day_key_bound, lock, seed_bound, unlock
from protocol.errors import CannotOpen, StoreFailed

FILE_BYTES = NONCE_BYTES + KEY_BYTES + TAG_BYTES
_FILE = re.compile(r"(\d{4}-\d{2}-\d{2})\.key")


class DayKeys(Protocol):
    """One wrapping key for each UTC day, named by the day as in ``2026-11-25``.

    Only a seed goes in and out; the wrapping key itself never does. Every method raises
    StoreFailed where the keys cannot be reached now and may be later.
    """

    def make(self, day: str) -> None:
        """Make the day's key and have it durable when this returns; one that is there stays."""
        ...

    def lock(self, day: str, seed: bytes) -> bytes:
        """Return a seed locked under the key of its day, bound to state and day.

        Raises:
            CannotOpen: there is no key of that day.
        """
        ...

    def unlock(self, day: str, locked: bytes) -> bytes:
        """Return a locked seed.

        Raises:
            CannotOpen: the day's key was destroyed or never here, or this was not locked under it.
        """
        ...

    def destroy(self, day: str) -> None:
        """Destroy the day's key, durably when this returns; nothing happens if there is none."""
        ...

    def days(self) -> tuple[str, ...]:
        """Return the days that have a key, oldest first."""
        ...


class FileDayKeys:
    """Day keys as files of one folder, each encrypted under the node's opening key.

    Destroying overwrites the file's bytes before its name goes. A solid-state disk or a file system
    that copies on write may keep the old bytes elsewhere for a while: what is promised is that no file
    and no backup that leaves this folder out holds them, not that no laboratory finds them. A token
    (PKCS#11) promises more.

    Args:
        folder: Where; made with mode 0700 if it is missing.
        state: The state whose keys they are.
        opening_key: The 32-byte key that locks the files.

    Raises:
        StoreFailed: the folder cannot be made.
    """

    def __init__(self, folder: Path, state: str, opening_key: bytes) -> None:
        self._folder = folder
        self._state = state
        self._opening_key = opening_key
        with _reaching(folder):
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(folder.parent)

    def make(self, day: str) -> None:
        """Make the day's key; a crash leaves no file or a whole one."""
        try:
            self._key(day)
        except CannotOpen:
            # Missing, or its file was altered: whatever was locked under it is lost already.
            self._write(day)

    def lock(self, day: str, seed: bytes) -> bytes:
        """Return a seed locked under the key of its day."""
        return lock(self._key(day), seed_bound(self._state, day), seed)

    def unlock(self, day: str, locked: bytes) -> bytes:
        """Return a locked seed."""
        return unlock(self._key(day), seed_bound(self._state, day), locked)

    def destroy(self, day: str) -> None:
        """Overwrite the day's file, flush it, remove its name, flush the folder."""
        path = self._path(day)
        with _reaching(self._folder):
            if path.exists():
                _write_through(path, 0, secrets.token_bytes(FILE_BYTES))
                path.unlink()
                sync_folder(self._folder)

    def days(self) -> tuple[str, ...]:
        """Return the days that have a key, oldest first."""
        with _reaching(self._folder):
            found = [_FILE.fullmatch(name) for name in os.listdir(self._folder)]
        return tuple(sorted(match[1] for match in found if match))

    def _key(self, day: str) -> bytes:
        with _reaching(self._folder):
            try:
                locked = self._path(day).read_bytes()
            except FileNotFoundError:
                # A folder that is gone says nothing about the keys in it: it may come back.
                if not self._folder.is_dir():
                    raise
                raise CannotOpen(f"there is no key of {day} here, or it was destroyed") from None
        return unlock(self._opening_key, day_key_bound(self._state, day), locked)

    def _write(self, day: str) -> None:
        locked = lock(self._opening_key, day_key_bound(self._state, day), secrets.token_bytes(KEY_BYTES))
        path = self._path(day)
        fresh = path.with_suffix(".new")
        with _reaching(self._folder):
            fresh.unlink(missing_ok=True)
            _write_through(fresh, os.O_CREAT | os.O_EXCL, locked)
            fresh.rename(path)
            # Durable now: what is locked under it may be stored and published.
            sync_folder(self._folder)

    def _path(self, day: str) -> Path:
        return self._folder / f"{day}.key"


@contextmanager
def _reaching(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreFailed(
            f"the day keys in {folder} cannot be used: {error.strerror}",
            hint="Check that the folder belongs to this user, and the disk's space and health.",
        ) from error


def _write_through(path: Path, flags: int, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | flags, 0o600)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
