"""The content of envelopes on PostgreSQL: one partition for each day on which something expires.

A partition is made before its day is first needed, by a transaction of its own, and dropped as a whole. It is
detached first in a way that waits for readers and blocks nobody: whoever reads it goes on to the end.
"""

from __future__ import annotations

import asyncpg

from exchange.stores.postgres import Postgres, Use
from protocol.errors import StoreFailed

DAY_MS = 86_400_000
GRACE_MS = DAY_MS
"""A day's content is kept for a day more: the last of it may have just been read."""


def day_of(expires_ms: int) -> int:
    """Return the day on which something expires, in days since 1970."""
    return expires_ms // DAY_MS


class ContentDays:
    """The partitions there are.

    Args:
        database: The open database.
    """

    def __init__(self, database: Postgres) -> None:
        self._database = database
        self._made: set[int] = set()

    async def make(self, days: set[int]) -> None:
        """Make the partitions of these days; several processes may at once.

        Raises:
            StoreFailed, OutcomeUnknown: try again.
        """
        for day in sorted(days - self._made):
            await self._make(day)
            self._made.add(day)

    async def _make(self, day: int) -> None:
        name = f"content_{day}"
        async with self._database.using(Use.READ) as connection:
            if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", name):
                return

        async def work(connection: asyncpg.Connection) -> None:
            # Attaching does not wait for readers of other days, as making it in place would.
            await connection.execute(f"CREATE TABLE IF NOT EXISTS {name} (LIKE content INCLUDING ALL)")
            attached = "SELECT 1 FROM pg_inherits WHERE inhrelid = $1::regclass"
            if await connection.fetchval(attached, name) is None:
                await connection.execute(
                    f"ALTER TABLE content ATTACH PARTITION {name} FOR VALUES FROM ({day}) TO ({day + 1})"
                )

        try:
            await self._database.write(work)
        except asyncpg.PostgresError:
            # Another process was quicker.
            async with self._database.using(Use.READ) as connection:
                if not await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", name):
                    raise StoreFailed(f"the partition {name} cannot be made") from None
