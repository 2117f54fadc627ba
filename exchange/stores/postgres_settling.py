"""The barrier: what was read is durable once something of our own, written after it, is replicated.

PostgreSQL shows a row to others as soon as its own wait for the standby has ended, and that wait can end
because somebody cancelled it. Such a row is seen by all and may be on one disk only: a failover takes it
back.
But the standby acknowledges in the order of the log. So whoever has read something commits a marker of its
own; when that commit returns without the warning, everything read before is on the standby as well.

One marker serves all who wait, and so does any commit of ours that was sent after they had read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from protocol.errors import AlmenaraError, StoreFailed


class Settling:
    """Lets several who have read share one commit.

    Args:
        mark: Commits a marker, and raises if it is not replicated.
    """

    def __init__(self, mark: Callable[[], Awaitable[None]]) -> None:
        self._mark = mark
        self._begun = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._marking: asyncio.Task[None] | None = None

    async def settled(self) -> None:
        """Return once everything that was read before this call is durable.

        Raises:
            StoreFailed, OutcomeUnknown: it may not be.
        """
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[None] = loop.create_future()
        self._waiting.append((self._begun, settled))
        if self._marking is None or self._marking.done():
            self._marking = loop.create_task(self._run())
        await settled

    def begin(self) -> int:
        """Note that a commit is about to be sent; return its number."""
        self._begun += 1
        return self._begun

    def end(self, number: object) -> None:
        """Note that the commit of this number is replicated: who had read before it was sent may go on."""
        assert isinstance(number, int)  # noqa: S101 - from begin()
        for began, settled in self._waiting:
            if began < number and not settled.done():
                settled.set_result(None)
        self._drop_settled()

    async def close(self) -> None:
        """Stop; whoever still waits is refused."""
        if self._marking is not None:
            self._marking.cancel()
            await asyncio.wait([self._marking])
        self._fail(self._begun + 1, StoreFailed("the store is closed", hint="Start the service again."))

    async def _run(self) -> None:
        """Commit markers as long as somebody waits."""
        while self._waiting:
            before = self._begun + 1
            try:
                await self._mark()
            except AlmenaraError as error:
                self._fail(before, error)
            except Exception as fault:
                self._fail(before, StoreFailed(f"what was read cannot be made sure of: {fault!r}"))
            self._drop_settled()

    def _fail(self, before: int, error: AlmenaraError) -> None:
        for began, settled in self._waiting:
            if began < before and not settled.done():
                settled.set_exception(type(error)(error.message, hint=error.hint))
        self._drop_settled()

    def _drop_settled(self) -> None:
        self._waiting = [waits for waits in self._waiting if not waits[1].done()]
