"""Migrations on PostgreSQL: one process at a time, each step whole or not at all, old and new side by side.

A step runs in one transaction with the record of itself, under a lock that goes with its connection: a kill
at any statement leaves whole steps only, and whoever comes next goes on from there.

A coordinator is renewed one process after another. So a step may add, and must leave what the program before
it needs; that program then goes on with a database that is ahead of it. A step that cannot do so says
``-- ends: NNNN`` on a line of its own: programs that know fewer steps than that are refused from then on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import asyncpg
import structlog

from exchange.stores.migrate import Migration, packaged, require_same_history
from exchange.stores.postgres import Connection, Postgres, Use
from exchange.stores.postgres_errors import REFUSALS, is_mistake, refusal
from protocol.errors import SetupError

MIGRATIONS = "exchange.stores.sql.coordinator_postgres"
LOCK = 4_127_300_533
"""The number of the advisory lock: any constant that no other program uses in this database."""

RECORD = """CREATE TABLE IF NOT EXISTS migration (
    number integer PRIMARY KEY,
    name text NOT NULL,
    sha256 bytea NOT NULL,
    applied_ms bigint NOT NULL,
    ends integer NOT NULL
)"""
ENDS = re.compile(r"^-- ends: ([0-9]{4})$", re.MULTILINE)

log = structlog.get_logger()


async def bring_up_to_date(
    database: Postgres,
    now_ms: int,
    migrations: Sequence[Migration] | None = None,
    tell: Callable[[Migration], None] = lambda _: None,
) -> int:
    """Bring a database to the newest shape and return how many steps that took.

    Args:
        database: The open database.
        now_ms: Recorded with each step, milliseconds UTC.
        migrations: All the program knows, in order; its own if None.
        tell: Told each step when it is durable.

    Raises:
        SetupError: the database was made by another program, or by one too new; or a step does not run.
        StoreFailed: the server is not there; start again when it is.
    """
    migrations = packaged(MIGRATIONS) if migrations is None else migrations
    connection = await database.connect(Use.ACCEPT)
    try:
        # Nothing to do is what there is to do nearly always, and needs no right to change anything.
        missing = await missing_steps(connection, migrations)
        if not missing:
            return 0
        await connection.execute("SET lock_timeout = 0")
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        await connection.execute(RECORD)
        missing = await missing_steps(connection, migrations)
        for migration in missing:
            await _apply(connection, migration, now_ms)
            log.info("store.migrated", number=migration.number)
            tell(migration)
        return len(missing)
    except REFUSALS as error:
        raise refusal(error, database.place.shown) from error
    finally:
        connection.terminate()


async def missing_steps(connection: Connection, migrations: Sequence[Migration]) -> Sequence[Migration]:
    """Return the steps that a database has yet to go through.

    Raises:
        SetupError: its past is another, or it went on without this program.
    """
    return _missing(await _history(connection), migrations)


async def _history(connection: Connection) -> list[tuple[int, str, bytes, int]]:
    """Return number, name, SHA-256 and reach of the steps that a database went through."""
    if await connection.fetchval("SELECT to_regclass('migration')") is None:
        return []
    rows = await connection.fetch("SELECT number, name, sha256, ends FROM migration ORDER BY number")
    return [tuple(row) for row in rows]


def _missing(
    applied: Sequence[tuple[int, str, bytes, int]], migrations: Sequence[Migration]
) -> Sequence[Migration]:
    """Return the steps that are still to be done; refuse a database that is not this program's.

    Raises:
        SetupError: its past is another, or it went on without this program.
    """
    known = len(migrations)
    ahead = applied[known:]
    if any(ends > known for *_, ends in ahead):
        raise SetupError(
            f"the database is at migration {len(applied)}, and this program knows only {known}",
            hint="Install the newer version of the program on this machine too.",
        )
    if ahead:
        log.warning("store.ahead", number=len(applied), needed=known)
    require_same_history([(number, name, sha) for number, name, sha, _ in applied[:known]], migrations)
    return migrations[len(applied) :]


async def _apply(connection: Connection, migration: Migration, now_ms: int) -> None:
    """Run one step and record it, both or neither.

    Raises:
        SetupError: a statement fails.
    """
    label = f"migration {migration.number:04d}_{migration.name}"
    found = ENDS.search(migration.sql)
    row = (migration.number, migration.name, migration.sha256, now_ms, int(found[1]) if found else 0)
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute("INSERT INTO migration VALUES ($1, $2, $3, $4, $5)", *row)
    except asyncpg.PostgresError as error:
        if not is_mistake(error):
            raise
        raise SetupError(
            f"{label} does not run: {error}",
            hint="The database's user must own its tables, and may need the right to make them.",
        ) from error
