"""What one process does for all of a coordinator, under a lease: taken by whoever is there, lost by silence.

A lease is renewed every two seconds and ends after six by the store's clock. Whoever has it relies on it
for six seconds from the moment at which it asked, by its own steady clock, and stops working then: before
another one can begin. Who stood still and does not know how late it is, is refused what it writes, by the
epoch that the lease had. So another process is at work within ten seconds of a death.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

import structlog

from exchange.stores.sharing_contract import Lease, Sharing
from protocol.errors import AlmenaraError, LeaseLost, ServiceError, SetupError

LEASE_SECONDS = 6.0
RENEW_SECONDS = 2.0
LOOK_SECONDS = 1.0
"""How often to look whether a lease is free."""
FAILED_SECONDS = 2.0
STAND_BACK_SECONDS = 30.0
"""After this process found that it is not fit for a duty: others have time to take it."""
RELEASE_SECONDS = 2.0

Work = Callable[[Lease], Awaitable[None]]

log = structlog.get_logger()


class Duty:
    """One thing that one process does. Start :meth:`run` once.

    Args:
        name: The name of its lease.
        sharing: Where leases are.
        owner: This process.
        work: Does it until it is cancelled; whatever must not be torn apart is finished before it ends.
        fit: Whether this process may do it now; if not any more, it gives the lease back.
    """

    def __init__(
        self, name: str, sharing: Sharing, owner: str, work: Work, fit: Callable[[], bool] = lambda: True
    ) -> None:
        self.name = name
        self._sharing = sharing
        self._owner = owner
        self._work = work
        self._fit = fit
        self._until = 0.0
        self.lease: Lease | None = None
        """The lease, while this process has it."""

    async def take(self) -> bool:
        """Take the lease if nobody has it, and return whether this process has it now.

        Raises:
            StoreFailed, OutcomeUnknown: it does not.
        """
        if self.lease is None:
            asked = now()
            self.lease = await self._sharing.take_lease(self.name, self._owner, seconds=LEASE_SECONDS)
            self._until = asked + LEASE_SECONDS
            if self.lease is not None:
                log.info("duty.taken", action=self.name, number=self.lease.epoch)
        return self.lease is not None

    async def run(self) -> None:
        """Do it whenever nobody else does, until cancelled; then give the lease back."""
        while True:
            pause = LOOK_SECONDS
            try:
                if self._fit() and await self.take():
                    await self._serve()
            except LeaseLost:
                log.warning("duty.lost", action=self.name)
            except SetupError as error:
                log.error("duty.refused", action=self.name, code=error.code, exc_info=error)
                pause = STAND_BACK_SECONDS
            except AlmenaraError as error:
                log.error("duty.failed", action=self.name, code=error.code, exc_info=error)
                pause = FAILED_SECONDS
            except Exception as fault:
                # A fault of our own: another process may do better, and this one goes on with the rest.
                log.error("duty.failed", action=self.name, exc_info=fault)
                pause = STAND_BACK_SECONDS
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - spreads out who asks

    async def release(self) -> None:
        """Give the lease back, so that another has it at once; best effort, for it ends by itself."""
        lease, self.lease = self.lease, None
        if lease is None:
            return
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._sharing.release_lease(lease)
        except (ServiceError, TimeoutError) as error:
            log.warning("duty.not_released", action=self.name, exc_info=error)
        else:
            log.info("duty.released", action=self.name, number=lease.epoch)

    async def _serve(self) -> None:
        assert self.lease is not None  # noqa: S101 - run() has it
        working = asyncio.ensure_future(self._work(self.lease))
        renewing = asyncio.ensure_future(self._renew(self.lease))
        try:
            while not working.done() and self._fit():
                timeout = min(LOOK_SECONDS, self._until - now())
                await asyncio.wait({working, renewing}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if renewing.done() or now() >= self._until:
                    self.lease = None
                    raise LeaseLost(f"another process does {self.name} now, or will in a moment")
            if working.done():
                working.result()
        finally:
            renewing.cancel()
            working.cancel()
            await asyncio.gather(working, renewing, return_exceptions=True)
            await self.release()

    async def _renew(self, lease: Lease) -> None:
        """Renew the lease again and again; return when it was taken over."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            asked = now()
            with contextlib.suppress(ServiceError):
                # After an error it is not known, and the time that is left runs on.
                if not await self._sharing.renew_lease(lease, seconds=LEASE_SECONDS):
                    return
                self._until = asked + LEASE_SECONDS


def now() -> float:
    """Return the event loop's time."""
    return asyncio.get_running_loop().time()
