"""Silence is never a state: what expired before a recipient collected it is said to its sender."""

from __future__ import annotations

import asyncio

import structlog

from exchange.clock import Clock
from exchange.coordinator.cursors import Cursors
from exchange.coordinator.relay import Relay
from exchange.stores.contract import CoordinatorStore
from protocol.errors import ServiceError

SWEEP_SECONDS = 30.0
SWEEP_ITEMS = 256
GRACE_MS = 2_000
"""Other processes write what was collected after a moment too: for so long, nothing is called undelivered."""

log = structlog.get_logger()


class Sweeper:
    """Looks for expired items from time to time. The items stay in their mailboxes.

    Args:
        store: Knows what is uncollected.
        cursors: What was collected and is not written down yet.
        relay: Makes the statements, as the only writer of the coordinator's chain.
        clock: Says what has expired.
        grace_ms: How long after that it is declared, at the earliest.
    """

    def __init__(
        self,
        store: CoordinatorStore,
        cursors: Cursors,
        relay: Relay,
        clock: Clock,
        *,
        grace_ms: int = GRACE_MS,
    ) -> None:
        self._store = store
        self._cursors = cursors
        self._relay = relay
        self._clock = clock
        self._grace_ms = grace_ms

    async def sweep(self) -> int:
        """Declare everything undelivered that has expired by now; return how many items that were.

        Raises:
            StoreFailed, OutcomeUnknown: sweep again; what was declared is not declared twice.
        """
        # What was collected in time must not be called undelivered because it is not written yet.
        await self._cursors.flush()
        count = 0
        while items := await self._store.expired(self._clock.now_ms() - self._grace_ms, limit=SWEEP_ITEMS):
            await self._relay.declare_undelivered(items)
            count += len(items)
        if count:
            log.warning("envelope.undelivered", count=count)
        gone = 0
        while pieces := await self._store.discard_content(self._clock.now_ms()):
            gone += pieces
        if gone:
            log.info("content.discarded", count=gone)
        return count

    async def run(self, seconds: float = SWEEP_SECONDS) -> None:
        """Sweep every so many seconds until cancelled."""
        while True:
            try:
                await self.sweep()
            except ServiceError as error:
                log.error("undelivered.sweep_failed", code=error.code, exc_info=error)
            except Exception as fault:
                # A fault of our own in one sweep must not end the coordinator.
                log.error("undelivered.sweep_failed", exc_info=fault)
            await asyncio.sleep(seconds)
