"""Looking what the other processes of this coordinator have changed: when one says so, and each second."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from exchange.clock import Clock
from exchange.coordinator.following import Following
from exchange.coordinator.sessions import Sessions
from exchange.stores.sharing_contract import Pulse, Sharing
from protocol.errors import AlmenaraError

LOOK_SECONDS = 1.0

Taker = Callable[[Pulse], Awaitable[None]]

log = structlog.get_logger()


class Lookout:
    """Passes on what changed. Start :meth:`run` once.

    Args:
        sharing: What the processes share.
        sessions: Whose mailboxes are pushed here.
        following: The documents.
        ledger: Takes what changed of the ledger.
        clock: The time of day, for people.
    """

    def __init__(
        self, sharing: Sharing, sessions: Sessions, following: Following, ledger: Taker, clock: Clock
    ) -> None:
        self._sharing = sharing
        self._sessions = sessions
        self._following = following
        self._ledger = ledger
        self._clock = clock
        self._trouble: dict[str, str] = {}
        self.looked_ms: int | None = None
        """When everything was seen, the last time that this went well."""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._sharing.changed(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Look once. What fails is looked at again the next time; nothing else waits for it."""
        try:
            pulse = await self._sharing.pulse(self._sessions.epochs.keys())
        except AlmenaraError as error:
            self._say("pulse", error)
            return
        self._say("pulse", None)
        self._sessions.dismiss_replaced(pulse.epochs)
        self._sessions.reach(pulse.heads)
        # First the documents: what follows is judged by them.
        well = await self._try("documents", self._documents, pulse)
        well &= await self._try("ledger", self._ledger, pulse)
        if well:
            self.looked_ms = self._clock.now_ms()

    async def _documents(self, pulse: Pulse) -> None:
        if pulse.documents > self._following.held:
            await self._following.catch_up()

    async def _try(self, what: str, take: Taker, pulse: Pulse) -> bool:
        try:
            await take(pulse)
        except AlmenaraError as error:
            self._say(what, error)
            return False
        except Exception as fault:
            # A fault of our own in one look must not end the coordinator.
            log.error("lookout.fault", action=what, exc_info=fault)
            return False
        self._say(what, None)
        return True

    def _say(self, what: str, error: AlmenaraError | None) -> None:
        """Log trouble when it begins and when it ends: it is looked at once a second."""
        before, code = self._trouble.get(what), None if error is None else error.code
        if code == before:
            return
        if code is None:
            self._trouble.pop(what, None)
            log.info("lookout.well", action=what)
        else:
            self._trouble[what] = code
            log.error("lookout.failed", action=what, code=code, exc_info=error)
