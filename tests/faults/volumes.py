"""Small disks of one's own, to be filled, to run out of inodes, and to be made read-only. Needs root."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

BLOCK = 4096


def can_mount() -> bool:
    """Whether this process may mount."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    return subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode == 0


needed = pytest.mark.skipif(not can_mount(), reason="a small disk needs root and mount")
"""Marks what needs a small disk."""


@dataclass(frozen=True)
class Volume:
    """A mounted disk.

    Args:
        path: Where it is mounted.
    """

    path: Path

    @property
    def free(self) -> int:
        """How many bytes are free."""
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def leave(self, blocks: int) -> None:
        """Fill it until so many blocks are free; what it was filled with before makes room."""
        with (self.path / "filler").open("ab") as file:
            while True:
                size = max(1, file.tell() + self.free - blocks * BLOCK) // BLOCK * BLOCK
                if size <= file.tell():
                    file.truncate(size)
                    return
                try:
                    os.posix_fallocate(file.fileno(), 0, size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    continue  # the service took some of it meanwhile
                return

    def take_inodes(self) -> None:
        """Make files until there can be no more."""
        folder = self.path / "inodes"
        folder.mkdir()
        for number in range(os.statvfs(self.path).f_ffree):
            try:
                (folder / str(number)).touch()
            except OSError:
                return

    def empty(self) -> None:
        """Remove everything that it was filled with."""
        (self.path / "filler").unlink(missing_ok=True)
        shutil.rmtree(self.path / "inodes", ignore_errors=True)

    def remount(self, how: str) -> None:
        """Make it ``ro`` or ``rw``; nobody may have a file open for writing."""
        subprocess.run(["mount", "-o", f"remount,{how}", self.path], check=True)


@contextmanager
def small_disk(path: Path, size: str, inodes: int = 10_000) -> Iterator[Volume]:
    """Move a folder onto a disk of its own, and take that away again afterwards.

    Args:
        path: The folder, with everything in it.
        size: Such as ``24m``.
        inodes: How many files there can be.
    """
    kept = path.with_name(f"{path.name}-kept")
    path.rename(kept)
    path.mkdir(mode=0o700)
    options = f"size={size},nr_inodes={inodes},mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=True)
    try:
        shutil.copytree(kept, path, dirs_exist_ok=True)
        yield Volume(path)
    finally:
        # Lazily: a service that did not end in time still has files open.
        subprocess.run(["umount", "--lazy", path], check=True)
