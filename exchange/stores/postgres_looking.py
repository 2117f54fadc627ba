"""A look at a coordinator's PostgreSQL from outside its service; nothing is changed by it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from exchange.stores.migrate import packaged
from exchange.stores.migrate_postgres import MIGRATIONS, missing_steps
from exchange.stores.postgres import Connection, Postgres, Use
from exchange.stores.postgres_errors import REFUSALS, state_of
from exchange.stores.postgres_place import PostgresPlace
from protocol.errors import SetupError, StoreFailed


@dataclass(frozen=True, slots=True)
class Condition:
    """How a database and its server are.

    Attributes:
        version: The server's, such as ``18.1``.
        waits: What ``synchronous_commit`` is for this user before the program sets it.
        standbys: What ``synchronous_standby_names`` is; nothing if commits wait for no standby.
        connected: How many standbys are connected that a commit waits for; None if this user may not see it.
        full_pages: Whether a page that a power cut tore can be mended (``full_page_writes``).
        checksums: Whether damaged pages are noticed (``data_checksums``).
        connections: How many may be open at once (``max_connections``).
        bytes: How large the database is.
        steps: How many migrations it lacks.
    """

    version: str
    waits: str
    standbys: str
    connected: int | None
    full_pages: bool
    checksums: bool
    connections: int
    bytes: int
    steps: int


SETTINGS = """SELECT current_setting('server_version') AS version,
    (SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit') AS waits,
    current_setting('synchronous_standby_names') AS standbys,
    current_setting('full_page_writes') = 'on' AS full_pages,
    current_setting('data_checksums') = 'on' AS checksums,
    current_setting('max_connections')::int AS connections,
    pg_database_size(current_database()) AS bytes"""
STANDBYS = """SELECT CASE WHEN pg_has_role('pg_monitor', 'MEMBER')
        OR current_setting('is_superuser') = 'on'
    THEN count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) END FROM pg_stat_replication"""


async def condition(place: PostgresPlace) -> Condition:
    """Return how a database is, after a write to it that was taken back again.

    Raises:
        StoreFailed: it cannot be reached, or takes no writes.
        SetupError: it is not this program's, or is one too new; or its server does not flush.
        KeyfileError: the password's file cannot be used.
    """
    async with _connected(place) as connection:
        settings = dict(await connection.fetchrow(SETTINGS))
        connected = await connection.fetchval(STANDBYS)
        steps = len(await missing_steps(connection, packaged(MIGRATIONS)))
        if steps == 0:
            await connection.execute("BEGIN")
            try:
                await connection.execute("INSERT INTO marker VALUES ('doctor', 1, now())")
            finally:
                await connection.execute("ROLLBACK")
    return Condition(**settings, connected=connected, steps=steps)


async def documents(place: PostgresPlace) -> tuple[bytes, ...]:
    """Return all signed documents in order.

    Raises:
        StoreFailed, SetupError, KeyfileError: see :func:`condition`.
    """
    async with _connected(place) as connection:
        return tuple(row["data"] for row in await connection.fetch("SELECT data FROM document ORDER BY idx"))


async def signed_sizes(place: PostgresPlace) -> dict[str, int]:
    """Return the size of each log's newest signed checkpoint.

    Raises:
        StoreFailed, SetupError, KeyfileError: see :func:`condition`.
    """
    async with _connected(place) as connection:
        return {
            row["log"]: row["size"] for row in await connection.fetch("SELECT log, size FROM ledger_signed")
        }


async def witnessed_ms(place: PostgresPlace, log: str) -> int | None:
    """Return when a quorum cosigned a log's newest witnessed checkpoint, milliseconds UTC, or None.

    Raises:
        StoreFailed, SetupError, KeyfileError: see :func:`condition`.
    """
    query = "SELECT at_ms FROM ledger_witnessed WHERE log = $1"
    async with _connected(place) as connection:
        found: int | None = await connection.fetchval(query, log)
        return found


@asynccontextmanager
async def _connected(place: PostgresPlace) -> AsyncIterator[Connection]:
    """Lend one connection, to the server that takes writes."""
    database = await Postgres.open(place, {Use.READ: 1})
    try:
        async with database.using(Use.READ) as connection:
            yield connection
    except REFUSALS as error:
        # What is left is the statement's own fault: the shape is missing, or the user's right to read.
        if state_of(error) == "42P01":
            raise SetupError(
                f"the database {place.shown} has not been brought to its shape",
                hint="almenara coordinator migrate --data DIR",
            ) from error
        raise StoreFailed(
            f"the database {place.shown} did not let itself be read "
            f"({type(error).__name__} {state_of(error)})",
            hint="The database's user must own its tables: see deploy/postgresql.md",
        ) from error
    finally:
        await database.close()
