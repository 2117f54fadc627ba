"""A shared store brought to the newest shape by its operator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exchange.clock import Clock
from exchange.stores.postgres_place import is_postgres, parse_place
from protocol.errors import SetupError


@dataclass(frozen=True, slots=True)
class Migrated:
    """Which steps were done, by name, and the number of the last one that the database has."""

    applied: tuple[str, ...]
    at: int


async def migrate_store(address: str, password_file: Path | None, clock: Clock) -> Migrated:
    """Do the steps that a shared database has not gone through; each is durable before the next.

    Raises:
        SetupError: there is no such database, or it is another program's.
        StoreFailed: it cannot be reached.
        KeyfileError: the password's file cannot be used.
    """
    if not is_postgres(address):
        raise SetupError(
            "this coordinator's store is a file, which is brought up to date whenever it is opened",
            hint="For a database that processes share, name it with --store or the setting store.",
        )
    from exchange.stores.migrate import packaged
    from exchange.stores.migrate_postgres import MIGRATIONS, bring_up_to_date
    from exchange.stores.postgres import Postgres, Use

    applied: list[str] = []
    migrations = packaged(MIGRATIONS)
    database = await Postgres.open(parse_place(address, password_file), {Use.ACCEPT: 1})
    try:
        await bring_up_to_date(
            database,
            clock.now_ms(),
            migrations,
            lambda one: applied.append(f"{one.number:04d}_{one.name}"),
        )
    finally:
        await database.close()
    return Migrated(tuple(applied), len(migrations))
