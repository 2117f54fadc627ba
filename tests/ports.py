"""Ports for services that a test starts: nobody else takes them, neither another worker nor the system.

A port that the system chooses is one of those that it also gives to outgoing connections, so between
choosing it and listening on it, or while a service is restarted, somebody may have it. These lie below,
and a locked file for each says that it is taken for as long as this process lives.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

FIRST, LAST = 10_000, 29_999
"""Below what Linux (32768 and up) and macOS (49152 and up) give to outgoing connections."""

_LOCKS = Path(tempfile.gettempdir()) / f"almenara-ports-{os.getuid()}"
_taken: list[int] = []
"""The open lock files of this process; the system unlocks them at its end, however it ends."""


def free_port() -> int:
    """Return a TCP port on loopback that nobody uses, and nobody here will until this process ends."""
    _LOCKS.mkdir(mode=0o700, exist_ok=True)
    for port in random.sample(range(FIRST, LAST + 1), LAST + 1 - FIRST):
        lock = os.open(_LOCKS / str(port), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            os.close(lock)
            continue
        _taken.append(lock)
        return port
    raise AssertionError("every port is taken")
