"""A disk that lies as badly as real ones may, for SQLite's virtual file system interface.

What a real disk and kernel do, and this one does on command:

- **Power cut** at the n-th operation. Sectors written since the last sync are kept, lost, or kept
  in a random mixture and order; file lengths and deletions that were not synced likewise. From the
  cut until :meth:`LossyDisk.restore_power` every operation fails.
- **Failing sync**: the n-th sync returns EIO, and the kernel then *forgets* that those sectors were
  never written: reads show the new bytes, a later sync calls them good, a power cut may lose them.
- **Failing write**, half done; **failing read**; **full disk** after so many bytes.

A sector of 512 bytes is written whole or not at all; SQLite's pages of 4096 bytes may tear.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from itertools import groupby
from types import TracebackType
from typing import cast

import apsw

SECTOR = 512


@dataclass(slots=True)
class Platter:
    """One file: what programs see, what has reached the disk, and the sectors in between.

    Args:
        visible: The contents that reads return.
        durable: The contents that certainly survive a power cut.
        dirty: Sectors written since the last sync.
        forgotten: Sectors whose sync failed; no later sync writes them.
    """

    visible: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    dirty: set[int] = field(default_factory=set)
    forgotten: set[int] = field(default_factory=set)

    def write(self, data: bytes, offset: int) -> None:
        """Change what reads return; nothing is durable yet."""
        end = offset + len(data)
        if len(self.visible) < end:
            self.visible.extend(bytes(end - len(self.visible)))
        self.visible[offset:end] = data
        sectors = range(offset // SECTOR, (end + SECTOR - 1) // SECTOR)
        self.dirty.update(sectors)
        self.forgotten.difference_update(sectors)

    def sync(self) -> None:
        """Make everything durable that the kernel still knows to be dirty."""
        del self.durable[len(self.visible) :]
        self.store(self.dirty)
        self.dirty.clear()

    def forget(self) -> None:
        """Fail a sync: the dirty sectors are no longer known to be dirty."""
        self.forgotten |= self.dirty
        self.dirty.clear()

    def store(self, sectors: set[int]) -> None:
        """Copy sectors from what is visible to what is durable; those that lie side by side at once."""
        ordered = sorted(sectors)
        for _, run in groupby(enumerate(ordered), key=lambda one: one[1] - one[0]):
            side_by_side = [sector for _, sector in run]
            start = side_by_side[0] * SECTOR
            data = self.visible[start : start + len(side_by_side) * SECTOR]
            if len(self.durable) < start + len(data):
                self.durable.extend(bytes(start + len(data) - len(self.durable)))
            self.durable[start : start + len(data)] = data

    def lose_power(self, chance: random.Random, kept: float) -> None:
        """Keep each unsynced sector with probability ``kept``; reads then return what is durable."""
        if len(self.visible) < len(self.durable) and chance.random() < kept:
            del self.durable[len(self.visible) :]
        self.store({sector for sector in sorted(self.dirty | self.forgotten) if chance.random() < kept})
        self.visible = bytearray(self.durable)
        self.dirty.clear()
        self.forgotten.clear()


class LossyDisk:
    """All files of one pretended disk, and the faults that are planned for it.

    Attributes:
        cut_at: Lose power before this operation, counted from 1 by ``operations``; None for never.
        failing: For ``sync``, ``write`` and ``read``: the numbers of calls, counted from 1 by ``calls``, that
            fail with EIO; a write does so after half of its bytes.
        failed: How many calls have failed for that.
        free: How many more bytes files may grow in all before the disk is full; None for no limit.
    """

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.files: dict[str, Platter] = {}
        self.deleted: dict[str, Platter] = {}
        self.powered = True
        self.cut_at: int | None = None
        self.failing: dict[str, Container[int]] = {}
        self.failed = 0
        self.free: int | None = None
        self.operations = 0
        self.calls: Counter[str] = Counter()

    def operate(self) -> None:
        """Count one change of the disk, and cut the power when its moment has come."""
        self.operations += 1
        if self.cut_at is not None and self.operations >= self.cut_at:
            self.powered = False
        self.need_power()

    def call(self, kind: str) -> bool:
        """Count one call of a kind, and return whether it fails."""
        self.calls[kind] += 1
        fails = self.calls[kind] in self.failing.get(kind, ())
        self.failed += fails
        return fails

    def need_power(self) -> None:
        """Fail if the power is off."""
        if not self.powered:
            raise failure(apsw.SQLITE_IOERR)

    def restore_power(self, kept: float) -> None:
        """Turn the power on after a cut; what was not synced survives with probability ``kept``."""
        for platter in self.files.values():
            platter.lose_power(self.chance, kept)
        for path, platter in self.deleted.items():
            if path not in self.files and self.chance.random() < kept:
                platter.lose_power(self.chance, kept)
                self.files[path] = platter
        self.deleted.clear()
        self.powered = True
        self.cut_at = None


class LossyFile:
    """One open file of a lossy disk.

    Args:
        disk: Where it lies.
        path: Its name.
        journal: Whether it is a journal or WAL: the first sync of a new one also syncs the folder, as
            SQLite's own Unix file system does.
    """

    def __init__(self, disk: LossyDisk, path: str, *, journal: bool) -> None:
        self.disk = disk
        self.folder_unsynced = journal and path not in disk.files
        self.platter = disk.files.setdefault(path, Platter())

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        """Return visible bytes; fewer than asked for at the end of the file."""
        self.disk.need_power()
        if self.disk.call("read"):
            raise failure(apsw.SQLITE_IOERR_READ)
        return bytes(self.platter.visible[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        """Write, or half of it if this write is to fail."""
        disk = self.disk
        disk.operate()
        growth = max(0, offset + len(data) - len(self.platter.visible))
        if disk.free is not None:
            if growth > disk.free:
                raise failure(apsw.SQLITE_FULL)
            disk.free -= growth
        if disk.call("write"):
            self.platter.write(bytes(data[: len(data) // 2]), offset)
            raise failure(apsw.SQLITE_IOERR_WRITE)
        self.platter.write(bytes(data), offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        """Shorten the file; durable with the next sync."""
        self.disk.operate()
        if self.disk.free is not None:
            self.disk.free += max(0, len(self.platter.visible) - size)
        del self.platter.visible[size:]
        self.platter.dirty = {sector for sector in self.platter.dirty if sector * SECTOR < size}
        self.platter.forgotten = {sector for sector in self.platter.forgotten if sector * SECTOR < size}

    def xSync(self, _flags: int) -> None:  # noqa: N802
        """Make the file durable, or fail and forget."""
        self.disk.operate()
        if self.disk.call("sync"):
            self.platter.forget()
            raise failure(apsw.SQLITE_IOERR_FSYNC)
        self.platter.sync()
        if self.folder_unsynced:
            self.disk.deleted.clear()
            self.folder_unsynced = False

    def xFileSize(self) -> int:  # noqa: N802
        """Return the visible size."""
        return len(self.platter.visible)

    def xLock(self, _level: int) -> None:  # noqa: N802
        """Grant it: there is one connection."""

    def xUnlock(self, _level: int) -> None:  # noqa: N802
        """Grant it."""

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        """Nobody else holds a lock."""
        return False

    def xFileControl(self, _operation: int, _pointer: int) -> bool:  # noqa: N802
        """No special operation is known."""
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        """Return the unit that is written whole or not at all."""
        return SECTOR

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        """Promise only what SQLite assumes of every disk: a write changes no byte beside it."""
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE

    def xClose(self) -> None:  # noqa: N802
        """Close; nothing becomes durable by it."""


class LossyVFS(apsw.VFS):
    """SQLite's way to the current :attr:`disk`; register once, change the disk at will."""

    def __init__(self, name: str = "lossy") -> None:
        self.disk = LossyDisk(seed=0)
        super().__init__(name, base="")

    def excepthook(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """Stay silent about planned faults that SQLite meets where it reports to nobody, as on close."""
        return isinstance(error, apsw.IOError | apsw.FullError) or super().excepthook(kind, error, traceback)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        """Open or create a file; a nameless one is temporary."""
        self.disk.need_power()
        flags[1] = flags[0]
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        journal = bool(flags[0] & (apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL))
        file = LossyFile(self.disk, path or f"temporary-{self.disk.operations}", journal=journal)
        return cast(apsw.VFSFile, file)

    def xDelete(self, path: str, sync_folder: bool) -> None:  # noqa: N802
        """Delete; unless the folder is synced, the file may be back after a power cut."""
        self.disk.operate()
        platter = self.disk.files.pop(path, None)
        if platter is not None:
            self.disk.deleted[path] = platter
        if sync_folder:
            self.disk.deleted.clear()

    def xAccess(self, path: str, _flags: int) -> bool:  # noqa: N802
        """Say whether the file exists."""
        self.disk.need_power()
        return path in self.disk.files

    def xFullPathname(self, path: str) -> str:  # noqa: N802
        """Return the name unchanged: there are no folders."""
        return path


def failure(code: int) -> Exception:
    """Return the exception by which SQLite is given a result code."""
    return apsw.exception_for(code)
