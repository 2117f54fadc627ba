"""Every engine that keeps the coordinator's contract, for tests that all of them must pass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from exchange.clock import Clock
from exchange.stores.coordinator_postgres import PostgresCoordinatorStore
from exchange.stores.coordinator_sqlite import SqliteCoordinatorStore
from exchange.stores.postgres_place import parse_place
from tests.postgres import EMPTY, Server, execute, fresh_database, running

ENGINES = ("sqlite", "postgres18", "postgres15")
Store: TypeAlias = SqliteCoordinatorStore | PostgresCoordinatorStore


class Servers:
    """The database servers of one test session, each started when it is first asked for."""

    def __init__(self) -> None:
        self._running: dict[int, tuple[Server, Iterator[Server]]] = {}
        self._clean: dict[Server, list[str]] = {}

    async def lend(self, server: Server) -> str:
        """Return the name of a database that is empty, or as its migrations made it."""
        clean = self._clean.setdefault(server, [])
        return clean.pop() if clean else await fresh_database(server)

    async def take_back(self, server: Server, name: str) -> None:
        """Empty a database that nobody is connected to any more."""
        await execute(server.address(name), EMPTY)
        self._clean[server].append(name)

    def get(self, version: int) -> Server:
        """Return the server of a version; the test is skipped if it is not here."""
        if version not in self._running:
            contexts = _held(version)
            self._running[version] = (next(contexts), contexts)
        return self._running[version][0]

    def stop(self) -> None:
        """Stop those that were started."""
        for _, contexts in self._running.values():
            next(contexts, None)


def _held(version: int) -> Iterator[Server]:
    with running(version) as server:
        yield server


class Stores:
    """Opens the store of one test, as often as it is told to: several are several processes.

    Args:
        engine: One of :data:`ENGINES`.
        folder: For an engine that needs one.
        servers: For an engine that needs one.
        clock: The time.
    """

    def __init__(self, engine: str, folder: Path, servers: Servers, clock: Clock) -> None:
        self.engine = engine
        self._folder = folder
        self._servers = servers
        self._clock = clock
        self._server = None if engine == "sqlite" else servers.get(int(engine.removeprefix("postgres")))
        self._database = ""
        self._opened: list[Store] = []

    async def open(self) -> Store:
        """Open the store; it may be open already, but not on SQLite."""
        store: Store
        if self._server is None:
            store = await SqliteCoordinatorStore.open(self._folder / "almenara.db", self._clock)
        else:
            self._database = self._database or await self._servers.lend(self._server)
            place = parse_place(self._server.address(self._database), None)
            store = await PostgresCoordinatorStore.open(place, self._clock)
        self._opened.append(store)
        return store

    async def close(self) -> None:
        """Close what was opened."""
        for store in self._opened:
            await store.close()
        if self._server is not None and self._database:
            await self._servers.take_back(self._server, self._database)
