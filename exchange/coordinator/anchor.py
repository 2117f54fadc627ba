"""The anchor: the newest checkpoint of each log once more, apart from the database.

A database that was restored from backup has forgotten what it signed, and would sign something
else for the same size: a fork. The anchor is what it is compared with. Keep it on another disk
or machine than the database, and never restore the two from one backup. One file for each log, the signed
note itself, replaced as a whole: a crash leaves the old one or the new one.
"""

from __future__ import annotations

import fcntl
import os
import shlex
from pathlib import Path

from exchange.keystore import sync_folder
from exchange.stores.ledger_contract import EMPTY, Extent, SignedExtent
from protocol.errors import DataDirBusy, FormatError, SetupError, StoreFailed
from protocol.ledger.checkpoint import parse_checkpoint
from protocol.ledger.note import MAX_NOTE_BYTES
from protocol.ledger.origins import Log


class Anchor:
    """The files in one folder, which one process owns. Every method blocks on the disk.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._descriptor: int | None = None

    def open(self) -> None:
        """Take the folder for this process, and make it if it is missing, until :meth:`close`.

        Raises:
            DataDirBusy: another process has it.
            SetupError: it cannot be made or opened.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise SetupError(
                f"the anchor {self.folder} cannot be used: {error.strerror}",
                hint="Name a folder that this user can write with the setting anchor.",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise DataDirBusy(
                f"the anchor {self.folder} is in use by another coordinator",
                hint="Give each coordinator an anchor of its own with the setting anchor.",
            ) from error
        self._descriptor = descriptor

    def close(self) -> None:
        """Give the folder back."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def read(self, log: Log) -> SignedExtent | None:
        """Return the checkpoint that is anchored, or None if there is none. No signature is checked.

        Raises:
            StoreFailed: the disk refuses.
            SetupError: the file is no checkpoint.
        """
        path = self._path(log)
        try:
            data = path.read_bytes() if path.exists() else None
        except OSError as error:
            raise StoreFailed(f"the anchor {path} cannot be read: {error.strerror}") from error
        if data is None:
            return None
        try:
            checkpoint = parse_checkpoint(data, limit=MAX_NOTE_BYTES).checkpoint
        except FormatError as error:
            raise SetupError(
                f"the anchor {path} is damaged: {error.message}",
                hint=f"If the database is known to be whole: rm {shlex.quote(str(path))}, "
                "then: almenara coordinator recover --data DIR --members-have ack=SIZE --members-have "
                "dir=SIZE",
            ) from error
        return SignedExtent(Extent(checkpoint.size, checkpoint.root), data)

    def swap(self, log: Log, old: Extent, new: SignedExtent) -> bool:
        """Anchor a checkpoint, if ``old`` is still the one before it; durable when this returns.

        Returns False, and changes nothing, if it is not.

        Raises:
            StoreFailed: the disk refuses; the old one or the new one is there.
            SetupError: what is there is no checkpoint.
        """
        assert self._descriptor is not None, "nobody else may write between the comparison and the writing"  # noqa: S101
        held = self.read(log)
        if (EMPTY if held is None else held.extent) != old:
            return False
        self._write(self._path(log), new.checkpoint)
        return True

    def _path(self, log: Log) -> Path:
        return self.folder / f"{log.value}.checkpoint"

    def _write(self, path: Path, data: bytes) -> None:
        """Replace a file as a whole. The rename is durable only once the folder is flushed as well."""
        temporary = path.with_suffix(".new")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(self.folder)
        except OSError as error:
            raise StoreFailed(f"the anchor {path} cannot be written: {error.strerror}") from error
