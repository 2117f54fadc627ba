"""What recipients have collected, written down lazily: losing a little of it only delivers again."""

from __future__ import annotations

import asyncio

import structlog

from exchange.clock import Clock
from exchange.stores.contract import CoordinatorStore, MailPlace, Reported
from protocol.errors import PeerCode, ServiceError

PAUSE_SECONDS = 0.25
RETRY_SECONDS = 2.0

log = structlog.get_logger()


class Cursors:
    """Gathers cursor moves and reports of unusable items, and writes them several at once.

    Args:
        store: Where they are kept.
        clock: Gives the times of reports.
        pause_seconds: How long to gather before a write.
    """

    def __init__(
        self, store: CoordinatorStore, clock: Clock, *, pause_seconds: float = PAUSE_SECONDS
    ) -> None:
        self._store = store
        self._clock = clock
        self._pause = pause_seconds
        self._moves: dict[str, int] = {}
        self._reports: list[Reported] = []
        self._some = asyncio.Event()
        self._writing = asyncio.Lock()

    async def start(self, recipient: str) -> int:
        """Return the sequence after which this recipient's deliveries go on; waits for pending moves.

        Raises:
            StoreFailed, OutcomeUnknown: the store cannot be read or written.
        """
        if recipient in self._moves:
            await self.flush()
        return (await self._store.cursor(recipient)).collected

    def collected(self, recipient: str, sequence: int) -> None:
        """Note that everything up to ``sequence`` is dealt with."""
        self._moves[recipient] = max(sequence, self._moves.get(recipient, 0))
        self._some.set()

    def unusable(self, recipient: str, sequence: int, code: PeerCode) -> None:
        """Note that one item could not be used."""
        self._reports.append(Reported(MailPlace(recipient, sequence), code, self._clock.now_ms()))
        self._some.set()

    async def flush(self) -> None:
        """Write what was noted; durable on return.

        Raises:
            StoreFailed, OutcomeUnknown: it stays noted, and writing it twice does no harm.
        """
        async with self._writing:
            moves, reports = dict(self._moves), tuple(self._reports)
            self._some.clear()
            if not moves and not reports:
                return
            try:
                await self._store.collect(moves, reports)
            except ServiceError:
                self._some.set()
                raise
            del self._reports[: len(reports)]
            for recipient, sequence in moves.items():
                if self._moves[recipient] == sequence:
                    del self._moves[recipient]

    async def run(self) -> None:
        """Write what was noted, again and again, until cancelled."""
        while True:
            await self._some.wait()
            await asyncio.sleep(self._pause)
            try:
                await self.flush()
            except ServiceError as error:
                log.error("cursor.write_failed", code=error.code, exc_info=error)
                await asyncio.sleep(RETRY_SECONDS)
