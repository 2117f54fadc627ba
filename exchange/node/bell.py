"""A bell: tells any number of waiting tasks that there may be something new to look at."""

from __future__ import annotations

import asyncio


class Bell:
    """Rings without memory. Listen *before* looking, then wait: no ring is missed.

    ::

        while True:
            rung = bell.listen()
            if not look():
                await rung.wait()
    """

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake everyone who listens now."""
        self._rung.set()
        self._rung = asyncio.Event()

    def listen(self) -> asyncio.Event:
        """Return what the next ring will set."""
        return self._rung
