"""What the node no longer takes, so that it keeps what it has taken: a full queue, a full disk, a rush.

Refusing in time is safe for whoever asks: nothing was stored, and the same request may come again under
the same id. A disk that is written full stops receipts and answers too.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from exchange.clock import Clock
from exchange.stores.engine import Engine
from exchange.stores.node_queue import queue_length
from protocol.errors import Overloaded

MOST_QUEUED = 50_000
"""Things that wait for the coordinator: a day of a crisis without a link, and 600 MB of usual notices."""

LEAST_FREE_BYTES = 256 * 2**20
MOST_AT_ONCE = 1_024
"""Requests under way: each holds its content in memory until it is stored."""

LOOK_SECONDS = 1.0


class Shedding:
    """Looks how full the node is, at most once a second.

    Args:
        engine: Its store.
        clock: Says when to look again.
        queued: How many things may wait for the coordinator.
        free: How many bytes of the disk must be left.
        at_once: How many requests may be under way.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        *,
        queued: int = MOST_QUEUED,
        free: int = LEAST_FREE_BYTES,
        at_once: int = MOST_AT_ONCE,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._queued = queued
        self._free = free
        self._at_once = at_once
        self._under_way = 0
        self._looked: float | None = None
        self._full = ""

    @asynccontextmanager
    async def taking(self) -> AsyncIterator[None]:
        """Take one request in the block.

        Raises:
            Overloaded: there is no room for it now.
            StoreFailed: the store cannot be read.
        """
        await self._look()
        if self._full:
            raise Overloaded(self._full)
        if self._under_way >= self._at_once:
            raise Overloaded(f"{self._under_way} requests are under way already")
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def _look(self) -> None:
        now = self._clock.monotonic()
        if self._looked is not None and now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        waiting = await self._engine.read(queue_length)
        free = free_bytes(self._engine.path)
        self._full = ""
        if waiting >= self._queued:
            self._full = f"{waiting} things wait for the coordinator already"
        elif free < self._free:
            self._full = f"the disk has only {free // 2**20} MiB left"


def free_bytes(path: Path) -> int:
    """Return how much of the disk below a path is left; plenty if nobody can tell."""
    try:
        status = os.statvfs(path.parent)
    except OSError:
        return LEAST_FREE_BYTES
    return status.f_bavail * status.f_frsize
