"""What recipients have collected, written down lazily: losing a little of it only delivers again.

It is written under the epoch of the recipient's session, and refused once the node is connected anew: whoever
serves it now has begun where the cursor stood then.
"""

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
        self._epochs: dict[str, int] = {}
        """Of the sessions in which the recipients of moves and reports have said so."""
        self._reports: list[Reported] = []
        self._some = asyncio.Event()
        self._writing = asyncio.Lock()

    async def start(self, recipient: str) -> int:
        """Return the sequence after which this recipient's deliveries go on; waits for pending moves.

        Raises:
            StoreFailed, OutcomeUnknown: the store cannot be read or written.
        """
        await self.write(recipient)
        return (await self._store.cursor(recipient)).collected

    async def write(self, recipient: str) -> None:
        """Write what was noted of one recipient; durable on return. Raises as :meth:`flush`."""
        if recipient in self._moves:
            await self.flush()

    def collected(self, recipient: str, sequence: int, epoch: int | None = None) -> None:
        """Note that everything up to ``sequence`` is dealt with, as was said in a session of this epoch."""
        self._said_in(recipient, epoch)
        self._moves[recipient] = max(sequence, self._moves.get(recipient, 0))
        self._some.set()

    def unusable(self, recipient: str, sequence: int, code: PeerCode, epoch: int | None = None) -> None:
        """Note that one item could not be used, as was said in a session of this epoch."""
        self._said_in(recipient, epoch)
        self._reports.append(Reported(MailPlace(recipient, sequence), code, self._clock.now_ms()))
        self._some.set()

    def _said_in(self, recipient: str, epoch: int | None) -> None:
        if epoch is not None:
            self._epochs[recipient] = epoch

    async def flush(self) -> None:
        """Write what was noted; durable on return.

        Raises:
            StoreFailed, OutcomeUnknown: it stays noted, and writing it twice does no harm.
        """
        async with self._writing:
            moves, reports, epochs = dict(self._moves), tuple(self._reports), dict(self._epochs)
            self._some.clear()
            if not moves and not reports:
                return
            try:
                stale = await self._store.collect(moves, reports, epochs)
            except ServiceError:
                self._some.set()
                raise
            del self._reports[: len(reports)]
            for recipient, sequence in moves.items():
                if self._moves[recipient] == sequence:
                    del self._moves[recipient]
            for recipient in sorted(stale):
                log.info("cursor.stale", state=recipient)
            self._forget_epochs()

    def _forget_epochs(self) -> None:
        """Keep the epochs of those alone of whom something is still noted."""
        noted = self._moves.keys() | {report.place.recipient for report in self._reports}
        self._epochs = {name: epoch for name, epoch in self._epochs.items() if name in noted}

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
