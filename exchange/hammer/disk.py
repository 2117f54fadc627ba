"""What a flush to the disk costs here: no figure of a durable service means anything without it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from exchange.clock import Clock
from exchange.hammer.histogram import Histogram
from protocol.errors import SetupError

FLUSHES = 200
FLUSH_BYTES = 4096
MOST_SECONDS = 3.0


def flushes(folder: Path, clock: Clock) -> Histogram:
    """Return the times of up to 200 appends of 4 KiB that reach the disk, one after the other.

    Args:
        folder: On the disk to be measured; a file is made in it, and removed again.
        clock: Takes the times.

    Raises:
        SetupError: nothing can be written there.
    """
    path = folder / f".hammer-{secrets.token_hex(8)}"
    found = Histogram()
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            began = clock.monotonic()
            while len(found) < FLUSHES and clock.monotonic() - began < MOST_SECONDS:
                before = clock.monotonic()
                os.write(file, bytes(FLUSH_BYTES))
                os.fdatasync(file)
                found.record(clock.monotonic() - before)
        finally:
            os.close(file)
            path.unlink()
    except OSError as error:
        raise SetupError(
            f"the disk of {folder} cannot be measured: {error.strerror}",
            hint="Name a folder on the node's disk with --disk, or leave it out.",
        ) from error
    return found
