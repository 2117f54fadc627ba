"""The content of envelopes on PostgreSQL: one partition for each day on which something expires.

A partition is made before its day is first needed, by a transaction of its own, and dropped as a whole. It is
detached first in a way that waits for readers and blocks nobody: whoever reads it goes on to the end.
"""

from __future__ import annotations

import asyncpg

from exchange.stores.postgres import Postgres, Use
from exchange.stores.postgres_errors import REFUSALS, refusal
from protocol.errors import StoreFailed

DAY_MS = 86_400_000


def day_of(expires_ms: int) -> int:
    """Return the day on which something expires, in days since 1970."""
    return expires_ms // DAY_MS


# A recipient that has said anything about the envelope has it, even if a crash lost its last cursor.
UNSPOKEN = """
    NOT EXISTS (
        SELECT 1 FROM undelivered AS u WHERE u.recipient = m.recipient AND u.sequence = m.sequence
    ) AND NOT EXISTS (
        SELECT 1 FROM statement AS s WHERE s.envelope = e.id AND s.party = m.recipient
    )
"""

# Also one that was detached when its process ended before it was dropped.
OLDEST = """
    SELECT min(substr(relname, 9)::integer) FROM pg_class
    WHERE relkind = 'r' AND relname ~ '^content_[0-9]+$' AND pg_table_is_visible(oid)
"""

PENDING = """
    SELECT inhdetachpending FROM pg_inherits
    WHERE inhrelid = to_regclass($1) AND inhparent = 'content'::regclass
"""

# As the search for expired items has it: what nobody collected, could use, spoke of, or was told about.
OWED = f"""
    SELECT EXISTS (
        SELECT 1 FROM mailbox AS m
            JOIN envelope AS e ON e.number = m.envelope
            LEFT JOIN cursor AS c ON c.recipient = m.recipient
        WHERE m.day = $2 AND e.expires_ms <= $1 AND {UNSPOKEN}
            AND (m.sequence > coalesce(c.collected, 0) OR EXISTS (
                SELECT 1 FROM unusable AS r WHERE r.recipient = m.recipient AND r.sequence = m.sequence)))
"""  # noqa: S608  (all parts are constants)


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

    async def drop_one(self, before: int, now_ms: int) -> int:
        """Drop the oldest partition, if its day is before this one and nothing in it is owed to anybody.

        Args:
            before: A day.
            now_ms: The time now, milliseconds UTC.

        Returns:
            How many were dropped: one or none.

        Raises:
            StoreFailed, OutcomeUnknown: try again; what is half done is finished then.
        """
        connection = await self._database.connect(Use.ACCEPT)
        try:
            oldest = await connection.fetchval(OLDEST)
            if oldest is None or oldest >= before or await connection.fetchval(OWED, now_ms, oldest):
                return 0
            # First nobody looks for it any more; whoever has begun to read is waited for.
            await connection.execute("UPDATE content_from SET day = $1 WHERE day < $1", oldest + 1)
            name = f"content_{oldest}"
            pending = await connection.fetchval(PENDING, name)
            if pending is not None:
                ending = "FINALIZE" if pending else "CONCURRENTLY"
                await connection.execute(f"ALTER TABLE content DETACH PARTITION {name} {ending}")
            await connection.execute(f"DROP TABLE {name}")
            self._made.discard(oldest)
            return 1
        except REFUSALS as error:
            raise refusal(error, self._database.place.shown) from error
        finally:
            connection.terminate()

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
