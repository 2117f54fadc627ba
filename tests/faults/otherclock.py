"""Giving one process another clock, while it runs: libfaketime, from the system or from `make setup`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

_NAME = "usr/lib/*/faketime/libfaketime.so.1"
RIGHT = "+0"


def library() -> Path | None:
    """Return libfaketime, or None if it is nowhere."""
    roots = (Path(sys.prefix) / "faketime", Path("/"))
    return next((path for root in roots for path in sorted(root.glob(_NAME))), None)


needed = pytest.mark.skipif(
    library() is None,
    reason="libfaketime is not here: `make setup` fetches it on Debian, or: sudo apt install faketime",
)
"""Marks what needs another clock."""


class OtherClock:
    """The clock of whatever is started with :attr:`settings`; only the time of day, not the monotonic clock.

    Args:
        path: The file in which it reads what its clock shows.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.set(RIGHT)
        self.settings = {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, shows: str) -> None:
        """Let the clock show something else from now on, such as ``+1h`` or ``@1970-01-02 00:00:00``."""
        new = self._path.with_suffix(".new")
        new.write_text(f"{shows}\n")
        new.replace(self._path)
