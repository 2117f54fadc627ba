"""What processes share, on PostgreSQL. The contract is :class:`~exchange.stores.sharing_contract.Sharing`.

All times are the server's, taken when the statement runs: no process's clock counts.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from exchange.stores.mailbox_postgres import find_stale
from exchange.stores.postgres import Connection, Postgres, Use
from exchange.stores.sharing_contract import UNMARKED, Lease, Mark, Pulse, Question
from exchange.stores.ticker_postgres import Ticker
from protocol.errors import LeaseLost
from protocol.ledger.origins import Log

TAKE_SESSION = """
    INSERT INTO session AS s VALUES ($1, $2, 1, clock_timestamp() + make_interval(secs => $3))
    ON CONFLICT (state) DO UPDATE SET owner = excluded.owner, epoch = s.epoch + 1, until = excluded.until
    RETURNING epoch
"""

RENEW_SESSIONS = """
    WITH mine AS (
        SELECT s.state FROM session AS s
            JOIN unnest($1::text[], $2::bigint[]) AS x (state, epoch)
                ON s.state = x.state AND s.epoch = x.epoch
        ORDER BY s.state FOR UPDATE OF s
    )
    UPDATE session AS s SET until = clock_timestamp() + make_interval(secs => $3)
    FROM mine WHERE s.state = mine.state
"""

# A lease that has ended is not given back by itself: whoever asks next takes it over.
TAKE_LEASE = """
    INSERT INTO lease AS l VALUES ($1, $2, 1, clock_timestamp() + make_interval(secs => $3))
    ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, epoch = l.epoch + 1, until = excluded.until
    WHERE l.owner = excluded.owner OR l.until <= clock_timestamp()
    RETURNING epoch
"""

PULSE = """
    SELECT t.statements, t.documents,
        (SELECT json_object_agg(recipient, head)
            FROM mailbox_head WHERE recipient = ANY($1::text[])) AS heads,
        (SELECT json_object_agg(state, epoch) FROM session WHERE state = ANY($1::text[])) AS epochs,
        (SELECT json_object_agg(log, size) FROM (
            SELECT log, max(size) AS size FROM ledger_published GROUP BY log) AS p) AS published,
        (SELECT json_object_agg(log, json_build_array(size, at_ms, length(checkpoint)))
            FROM ledger_witnessed) AS witnessed,
        (SELECT json_object_agg(log, number) FROM question) AS asked,
        (SELECT json_object_agg(log, lines) FROM (
            SELECT log, count(*) AS lines FROM cosignature GROUP BY log) AS c) AS cosigned,
        (SELECT json_object_agg(log, reason) FROM halt) AS halted
    FROM turn AS t
"""


ASK = """
    INSERT INTO question AS q VALUES ($1, 1, $2)
    ON CONFLICT (log) DO UPDATE SET number = q.number + 1, checkpoint = excluded.checkpoint
    RETURNING number
"""

REGISTER = """
    INSERT INTO process VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
    ON CONFLICT (owner) DO UPDATE SET facts = excluded.facts, until = excluded.until
"""

FORGET = "DELETE FROM process WHERE until < clock_timestamp() - interval '1 hour'"


class PostgresSharing:
    """Sessions, leases, cosignatures and halts.

    Args:
        database: The open database.
        ticker: Wakes the other processes.
    """

    def __init__(self, database: Postgres, ticker: Ticker) -> None:
        self._database = database
        self._ticker = ticker

    async def take_session(self, state: str, owner: str, *, seconds: float) -> int:
        """Take a node's session over, under its next epoch."""
        epoch: int = await self._database.write(
            lambda connection: connection.fetchval(TAKE_SESSION, state, owner, seconds), Use.PUSH
        )
        self._ticker.tick()
        return epoch

    async def renew_sessions(self, epochs: Mapping[str, int], *, seconds: float) -> frozenset[str]:
        """Renew sessions, and return those that were taken over."""
        if not epochs:
            return frozenset()

        async def work(connection: Connection) -> frozenset[str]:
            await connection.execute(RENEW_SESSIONS, list(epochs), list(epochs.values()), seconds)
            return await find_stale(connection, epochs)

        return await self._database.write(work, Use.PUSH)

    async def end_session(self, state: str, epoch: int) -> None:
        """End a session that was not taken over."""
        query = "UPDATE session SET until = '-infinity' WHERE state = $1 AND epoch = $2"
        await self._database.write(lambda connection: connection.execute(query, state, epoch), Use.PUSH)
        self._ticker.tick()

    async def sessions(self) -> Mapping[str, str]:
        """Return which nodes are connected, each with its process."""
        async with self._database.using(Use.PUSH) as connection:
            query = "SELECT state, owner FROM session WHERE until > clock_timestamp()"
            return dict(await connection.fetch(query))

    async def take_lease(self, name: str, owner: str, *, seconds: float) -> Lease | None:
        """Take a lease that is free, that has ended, or that this owner has."""
        epoch = await self._database.write(
            lambda connection: connection.fetchval(TAKE_LEASE, name, owner, seconds)
        )
        return None if epoch is None else Lease(name, owner, epoch)

    async def renew_lease(self, lease: Lease, *, seconds: float) -> bool:
        """Renew a lease that was not taken over."""
        query = """UPDATE lease SET until = clock_timestamp() + make_interval(secs => $3)
            WHERE name = $1 AND epoch = $2"""
        done = await self._database.write(
            lambda connection: connection.execute(query, lease.name, lease.epoch, seconds)
        )
        return bool(done == "UPDATE 1")

    async def release_lease(self, lease: Lease) -> None:
        """Give a lease back."""
        query = "UPDATE lease SET until = '-infinity' WHERE name = $1 AND epoch = $2"
        await self._database.write(lambda connection: connection.execute(query, lease.name, lease.epoch))
        self._ticker.tick()

    async def leases(self) -> tuple[Lease, ...]:
        """Return the leases that are held."""
        query = "SELECT name, owner, epoch FROM lease WHERE until > clock_timestamp() ORDER BY name"
        async with self._database.using(Use.READ) as connection:
            return tuple(Lease(*row) for row in await connection.fetch(query))

    async def register(self, owner: str, facts: bytes, *, seconds: float) -> None:
        """Let others see a process; those that are gone for long are forgotten."""

        async def work(connection: Connection) -> None:
            await connection.execute(REGISTER, owner, facts, seconds)
            await connection.execute(FORGET)

        await self._database.write(work)

    async def deregister(self, owner: str) -> None:
        """Let nobody see a process any more."""
        query = "DELETE FROM process WHERE owner = $1"
        await self._database.write(lambda connection: connection.execute(query, owner))

    async def processes(self) -> Mapping[str, bytes]:
        """Return which processes are there."""
        query = "SELECT owner, facts FROM process WHERE until > clock_timestamp()"
        async with self._database.using(Use.READ) as connection:
            return dict(await connection.fetch(query))

    async def ask(self, log: Log, checkpoint: bytes, lease: Lease | None = None) -> int:
        """Let every process ask its nodes, and forget earlier cosignatures."""

        async def work(connection: Connection) -> int:
            await require_lease(connection, lease)
            number: int = await connection.fetchval(ASK, log.value, checkpoint)
            await connection.execute("DELETE FROM cosignature WHERE log = $1", log.value)
            return number

        number = await self._database.write(work)
        self._ticker.tick()
        return number

    async def question(self, log: Log) -> Question | None:
        """Return what is asked."""
        query = "SELECT number, checkpoint FROM question WHERE log = $1"
        async with self._database.using(Use.PUSH) as connection:
            row = await connection.fetchrow(query, log.value)
        return None if row is None else Question(*row)

    async def save_cosignature(self, log: Log, size: int, state: str, body: bytes) -> None:
        """Keep a witness's signature lines."""
        query = """INSERT INTO cosignature VALUES ($1, $2, $3, $4)
            ON CONFLICT (log, size, state) DO UPDATE SET body = excluded.body"""
        await self._database.write(
            lambda connection: connection.execute(query, log.value, size, state, body), Use.PUSH
        )
        self._ticker.tick()

    async def cosignatures(self, log: Log, size: int) -> Mapping[str, bytes]:
        """Return the signature lines for a checkpoint."""
        async with self._database.using(Use.PUSH) as connection:
            query = "SELECT state, body FROM cosignature WHERE log = $1 AND size = $2"
            return dict(await connection.fetch(query, log.value, size))

    async def halt(self, log: Log, reason: str) -> None:
        """Note why nothing further is signed; the first reason stands."""

        async def work(connection: Connection) -> None:
            # A swap under way ends first; the next one sees this.
            await lock_log(connection, log)
            await connection.execute(
                "INSERT INTO halt VALUES ($1, $2) ON CONFLICT DO NOTHING", log.value, reason
            )

        await self._database.write(work)
        self._ticker.tick()

    async def lift_halts(self) -> None:
        """Forget why nothing was signed."""
        await self._database.write(lambda connection: connection.execute("DELETE FROM halt"))
        self._ticker.tick()

    async def pulse(self, states: Collection[str]) -> Pulse:
        """Return what changed."""
        async with self._database.using(Use.PUSH) as connection:
            row = await connection.fetchrow(PULSE, list(states))
        heads, epochs = decoded(row["heads"]), decoded(row["epochs"])
        published, asked, cosigned = (decoded(row[name]) for name in ("published", "asked", "cosigned"))
        witnessed, halted = decoded(row["witnessed"]), decoded(row["halted"])
        return Pulse(
            statements=row["statements"],
            documents=row["documents"],
            heads={state: number(heads, state) for state in states},
            epochs={state: number(epochs, state) for state in states},
            published={log: number(published, log.value) for log in Log},
            witnessed={log: Mark(*witnessed.get(log.value, UNMARKED)) for log in Log},
            asked={log: number(asked, log.value) for log in Log},
            cosigned={log: number(cosigned, log.value) for log in Log},
            halted={Log(name): str(reason) for name, reason in halted.items()},
        )

    async def changed(self, seconds: float) -> None:
        """Return when another process may have changed something, or after so many seconds."""
        await self._ticker.heard(seconds)


async def lock_log(connection: Connection, log: Log) -> None:
    """Let nobody else change what is signed, laid out or halted of a log until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('almenara ' || $1))", log.value)


async def require_lease(connection: Connection, lease: Lease | None) -> None:
    """Return only if a lease was not taken over, and let nobody take it over until the transaction ends.

    Raises:
        LeaseLost: another process has it.
    """
    if lease is None:
        return
    query = "SELECT epoch FROM lease WHERE name = $1 FOR SHARE"
    if await connection.fetchval(query, lease.name) != lease.epoch:
        raise LeaseLost(f"another process has the lease {lease.name} by now")


def decoded(found: str | None) -> Mapping[str, Any]:
    """Return what a subquery has put together; nothing if it found nothing."""
    return {} if found is None else json.loads(found)


def number(found: Mapping[str, Any], name: str) -> int:
    """Return a number, or 0 if it was not found."""
    return int(found.get(name, 0))
