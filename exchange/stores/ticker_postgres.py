"""Wake-ups between processes: best effort, and never in the way of data.

PostgreSQL takes a lock of the whole cluster when a transaction that notifies commits. So no transaction with
data in it notifies: one connection for each process does, twenty times a second at most, in transactions with
nothing else in them. The same connection listens. If it is lost, whoever waits looks once a second anyway.
"""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from exchange.stores.postgres import Connection, Postgres, Use
from exchange.stores.postgres_errors import REFUSALS
from protocol.errors import StoreFailed

CHANNEL = "almenara"
PAUSE_SECONDS = 0.05
RETRY_SECONDS = 2.0

log = structlog.get_logger()


class Ticker:
    """Says that something changed, and hears when others say so.

    Args:
        database: Gives the one connection.
    """

    def __init__(self, database: Postgres) -> None:
        self._database = database
        self._news = asyncio.Event()
        self._heard = asyncio.Event()
        self._ticking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._ticking = asyncio.get_running_loop().create_task(self._run())

    def tick(self) -> None:
        """Let the other processes look soon."""
        self._news.set()

    async def heard(self, seconds: float) -> None:
        """Return when another process has said that something changed, or after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        self._heard.clear()

    async def close(self) -> None:
        """Stop."""
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.wait([self._ticking])

    async def _run(self) -> None:
        while True:
            try:
                await self._tick()
            except (StoreFailed, *REFUSALS) as error:
                log.warning("store.wakeups_lost", exc_info=error)
            await asyncio.sleep(RETRY_SECONDS)

    async def _tick(self) -> None:
        connection = await self._database.connect(Use.PUSH)
        try:
            own = connection.get_server_pid()

            def hear(_: Connection, pid: int, *_more: object) -> None:
                if pid != own:
                    self._heard.set()

            await connection.add_listener(CHANNEL, hear)
            # What happened before anybody listened.
            self._heard.set()
            while True:
                await self._news.wait()
                self._news.clear()
                # Nothing is written, so that nothing waits for a standby.
                await connection.execute(f"NOTIFY {CHANNEL}")
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            connection.terminate()
