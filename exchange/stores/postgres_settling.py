"""The barrier: what was read is durable once something of our own, written after it, is replicated.

PostgreSQL shows a row to others as soon as its own wait for the standby has ended, and that wait can end
because somebody cancelled it. Such a row is seen by all and may be on one disk only: a failover takes it
back. But the standby acknowledges in the order of the log. So whoever has read something commits a marker of
its own *on the same server*; when that commit returns without the warning, everything read before is on the
standby as well. A marker on another server says nothing: that may be the standby, which never had the row.

One marker serves all who wait, and so does any commit of ours that was sent after they had read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from protocol.errors import AlmenaraError, StoreFailed


@dataclass(slots=True)
class _Waiter:
    """Somebody who has read from a server, after so many commits had been sent."""

    begun: int
    server: str
    done: asyncio.Future[None]


class Settling:
    """Lets several who have read share one commit.

    Args:
        mark: Commits a marker, and raises if it is not replicated.
    """

    def __init__(self, mark: Callable[[], Awaitable[None]]) -> None:
        self._mark = mark
        self._begun = 0
        self._waiting: list[_Waiter] = []
        self._marking: asyncio.Task[None] | None = None

    async def settled(self, server: str) -> None:
        """Return once everything that was read from a server before this call is durable.

        Raises:
            StoreFailed, OutcomeUnknown: it may not be.
        """
        loop = asyncio.get_running_loop()
        waiter = _Waiter(self._begun, server, loop.create_future())
        self._waiting.append(waiter)
        if self._marking is None or self._marking.done():
            self._marking = loop.create_task(self._run())
        await waiter.done

    def begin(self) -> int:
        """Note that a commit is about to be sent; return its number."""
        self._begun += 1
        return self._begun

    def end(self, number: int, server: str) -> None:
        """Note that the commit of this number is replicated: who had read before it was sent may go on."""
        for waiter in self._waiting:
            if waiter.begun < number and not waiter.done.done():
                if waiter.server == server:
                    waiter.done.set_result(None)
                else:
                    waiter.done.set_exception(
                        StoreFailed(
                            "what was read came from a server that is not the primary any more",
                            hint="Nothing is wrong with the request: ask again.",
                        )
                    )
        self._drop_done()

    async def close(self) -> None:
        """Stop; whoever still waits is refused."""
        if self._marking is not None:
            self._marking.cancel()
            await asyncio.wait([self._marking])
        self._fail(StoreFailed("the store is closed", hint="Start the service again."))

    async def _run(self) -> None:
        """Commit markers as long as somebody waits."""
        while self._waiting:
            try:
                await self._mark()
            except AlmenaraError as error:
                self._fail(error)
            except Exception as fault:
                self._fail(StoreFailed(f"what was read cannot be made sure of: {fault!r}"))
            self._drop_done()

    def _fail(self, error: AlmenaraError) -> None:
        """Refuse all who wait: where they read from may be gone."""
        for waiter in self._waiting:
            if not waiter.done.done():
                waiter.done.set_exception(type(error)(error.message, hint=error.hint))
        self._drop_done()

    def _drop_done(self) -> None:
        self._waiting = [waiter for waiter in self._waiting if not waiter.done.done()]
