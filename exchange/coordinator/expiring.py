"""Writing into the log what of the community ends soon: once a day for each thing that is due."""

from __future__ import annotations

import asyncio

import structlog

from exchange.clock import Clock
from exchange.expiries import DAY_MS, GOVERNANCE, Expiry, board
from keys.roster import Roster

LOOK_SECONDS = 3600.0

log = structlog.get_logger()


class Expiring:
    """Looks at the board, for one coordinator.

    Args:
        roster: The trusted documents.
        clock: The time of day.
    """

    def __init__(self, roster: Roster, clock: Clock) -> None:
        self._roster = roster
        self._clock = clock
        self._told: set[tuple[str, int, int]] = set()

    async def run(self) -> None:
        """Look at once and then every hour; returns only by cancellation."""
        while True:
            try:
                self.look()
            except Exception as error:
                # A warning that fails must not stop what it warns about.
                log.error("expiry.look_failed", exc_info=error)
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Log what has passed a threshold, once a day and threshold."""
        now_ms = self._clock.now_ms()
        today = now_ms // DAY_MS
        self._told = {one for one in self._told if one[2] == today}
        for one in board(self._roster):
            days = one.due(now_ms)
            told = (one.id, days or 0, today)
            if days is None or told in self._told:
                continue
            self._told.add(told)
            self._log(one, one.days_left(now_ms))

    def _log(self, one: Expiry, days: int) -> None:
        kind = one.what.name.lower()
        if one.party == GOVERNANCE:
            log.warning("expiry.warning", kind=kind, key=one.id, number=days)
        else:
            log.warning("expiry.warning", kind=kind, key=one.id, number=days, state=one.party)
