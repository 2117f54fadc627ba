"""Waiting for company: under load a round is begun a moment later, so that one signature serves more.

A round costs a signature, two verifications elsewhere and a flush of the disk, however few are in it. What
comes alone never waits: only who has just dealt with several at once waits for the next ones.
"""

from __future__ import annotations

import asyncio

SEVERAL = 4
"""A round of so many says that more are coming."""

ENOUGH = 128
"""With so many nobody waits for more."""

LINGER_SECONDS = 0.02
"""How long at most; what people see of a burst is seconds."""


class Company:
    """Remembers how many were in the last round.

    Args:
        seconds: How long to wait for the next one.
    """

    def __init__(self, seconds: float = LINGER_SECONDS) -> None:
        self._seconds = seconds
        self._last = 0

    async def gather(self, waiting: int) -> None:
        """Let the next round grow, if the last one was large and there is room.

        Args:
            waiting: How many wait now.
        """
        if self._last >= SEVERAL and waiting < ENOUGH:
            await asyncio.sleep(self._seconds)

    def had(self, count: int) -> None:
        """Remember how many were in a round."""
        self._last = count
