"""A bundle in a directory: the only part of the audit that touches the disk, and it only reads."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from exchange.audit.verify.parts import Found

MAX_DEPTH = 12
"""How deep folders may lie in each other; a bundle's own lie at most nine deep."""


class Folder:
    """The files below a directory, none of them reached through a link.

    Args:
        path: The directory.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> Iterator[Found]:
        """Yield every file with its size; a link, a device or a folder too deep has the size None."""
        waiting = [(self._path, "", 0)]
        while waiting:
            folder, prefix, depth = waiting.pop()
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = prefix + entry.name
                    if entry.is_dir(follow_symlinks=False) and depth < MAX_DEPTH:
                        waiting.append((Path(entry.path), f"{name}/", depth + 1))
                    elif entry.is_file(follow_symlinks=False):
                        yield Found(name, entry.stat(follow_symlinks=False).st_size)
                    else:
                        yield Found(name, None)

    def read(self, name: str, limit: int) -> bytes | None:
        """Return at most ``limit`` + 1 bytes of a file; None if it is no regular file below the directory."""
        try:
            descriptor = self._open(name)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            # A pipe or a device would never end, or never begin.
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            return file.read(limit + 1)

    def _open(self, name: str) -> int:
        """Open a file step by step, following no link on the way."""
        *folders, last = name.split("/")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        here = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for step in folders:
                if step in ("", ".", ".."):
                    raise FileNotFoundError(name)
                there = os.open(step, flags | os.O_DIRECTORY, dir_fd=here)
                os.close(here)
                here = there
            return os.open(last, flags, dir_fd=here)
        finally:
            os.close(here)
