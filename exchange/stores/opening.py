"""Which store a coordinator has: the database file of its data directory, or a PostgreSQL that it shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from exchange.clock import Clock
from exchange.stores.coordinator_sqlite import SqliteCoordinatorStore
from exchange.stores.postgres_place import is_postgres, parse_place
from protocol.errors import SetupError

if TYPE_CHECKING:
    from exchange.stores.coordinator_postgres import PostgresCoordinatorStore

AnyStore: TypeAlias = "SqliteCoordinatorStore | PostgresCoordinatorStore"


@dataclass(frozen=True, slots=True)
class StorePlace:
    """Where a coordinator's store is.

    Attributes:
        file: The database file of its data directory.
        address: ``postgresql://...`` without a password, or nothing for that file.
        password_file: A file with the password, or None.
    """

    file: Path
    address: str = ""
    password_file: Path | None = None

    @property
    def is_shared(self) -> bool:
        """Whether it is a server that several processes may use."""
        return self.address != ""


async def open_store(place: StorePlace, clock: Clock) -> AnyStore:
    """Open a coordinator's store, and make it, or bring it to the newest shape.

    Args:
        place: Where it is. A file's folder must be locked for this process.
        clock: The source of time.

    Raises:
        SetupError: the address is none, or has a password in it; or what is there is another program's.
        StoreFailed: the disk refuses, or the server cannot be reached.
        KeyfileError: the password's file cannot be used.
    """
    if not place.is_shared:
        return await SqliteCoordinatorStore.open(place.file, clock)
    if not is_postgres(place.address):
        raise SetupError(
            "the setting store names no database that this program knows",
            hint="Leave it empty for a file in the data directory, or write postgresql://USER@HOST/DATABASE",
        )
    # Only now: who has a file needs no driver.
    from exchange.stores.coordinator_postgres import PostgresCoordinatorStore

    return await PostgresCoordinatorStore.open(parse_place(place.address, place.password_file), clock)
