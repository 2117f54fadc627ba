"""What befalls one PostgreSQL: connections cut or used up, locks, killed migrations, an old copy of it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from exchange.coordinator.anchor import Anchor
from exchange.coordinator.lookout import LOOK_SECONDS
from exchange.stores import postgres
from exchange.stores.coordinator_postgres import PostgresCoordinatorStore
from exchange.stores.migrate import Migration, packaged
from exchange.stores.migrate_postgres import MIGRATIONS, bring_up_to_date
from exchange.stores.postgres import Postgres, Use
from exchange.stores.postgres_place import parse_place
from protocol.errors import OutcomeUnknown, SetupError, StoreFailed
from tests.clocks import FixedClock
from tests.community import community
from tests.faults.found import Found, Tell
from tests.faults.postgres_pair import until
from tests.faults.test_postgres_failover import Book, sequencer_of, stored, write
from tests.postgres import Server, execute, fresh_database, running
from tests.stores import Servers
from tests.unit.exchange.test_coordinator_store import envelope, statement

NOW_MS = community().now_ms
OTHERS = """SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""

LISTENING = f"{OTHERS} AND query LIKE 'LISTEN %'"


@pytest.fixture
async def address(servers: Servers) -> str:
    """Return the address of an empty database."""
    server = servers.get(18)
    return server.address(await fresh_database(server))


@asynccontextmanager
async def several(address: str, count: int) -> AsyncIterator[list[PostgresCoordinatorStore]]:
    """Open a database several times, as several processes do."""
    clock, stores = FixedClock(NOW_MS), list[PostgresCoordinatorStore]()
    try:
        for _ in range(count):
            stores.append(await PostgresCoordinatorStore.open(parse_place(address, None), clock))
        yield stores
    finally:
        for store in stores:
            await store.close()


async def test_connections_that_are_cut_all_the_time_lose_and_double_nothing(
    address: str, tell: Tell
) -> None:
    """Whoever is told unknown brings it again under its id; every answer was true."""
    book = Book()
    chance = random.Random(1)
    cuts, stop = 40, asyncio.Event()
    async with several(address, 2) as stores:
        writing = [asyncio.create_task(write(stores[number % 2], book, stop)) for number in range(4)]
        cutter = await asyncpg.connect(address)
        for _ in range(cuts):
            pids = [row["pid"] for row in await cutter.fetch(OTHERS)]
            await cutter.execute("SELECT pg_terminate_backend($1)", chance.choice(pids))
            await asyncio.sleep(0.05)
        await cutter.close()
        stop.set()
        await asyncio.gather(*writing)
        there = await stored(stores[0])
    found = Found(
        "cut PostgreSQL connections",
        cuts,
        ok=len(book.accepted & set(there)),
        lost=len(book.accepted - set(there)),
        duplicated=len(there) - len(set(there)),
        recovered=len(book.unknown & set(there)),
    )
    tell(found)
    found.require_truth()


def test_more_calls_than_connections_wait_or_are_refused_and_none_hangs() -> None:
    """What waits is bounded in time, and the server's limit is named with a hint."""
    with running(18, "max_connections = 12\nsuperuser_reserved_connections = 0\n") as server:
        asyncio.run(_exhaust(server))


async def _exhaust(server: Server) -> None:
    async with several(server.address(), 1) as (store,):
        await store.commit([envelope(to=("XBB",))], None)
        others = await _take_all(server)
        calls = [store.mail("XBB", 0, limit=1, max_bytes=2**20) for _ in range(50)]
        async with asyncio.timeout(30):
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(one, tuple | StoreFailed | OutcomeUnknown) for one in outcomes)
        with pytest.raises(StoreFailed, match="no connection left"):
            await PostgresCoordinatorStore.open(parse_place(server.address(), None), FixedClock(NOW_MS))
        for other in others:
            await other.close()
        assert len(await store.mail("XBB", 0, limit=9, max_bytes=2**20)) == 1


async def _take_all(server: Server) -> list[Any]:
    """Return so many connections that none is left."""
    taken: list[Any] = []
    while True:
        try:
            taken.append(await asyncpg.connect(server.address()))
        except asyncpg.TooManyConnectionsError:
            return taken


async def test_opposite_orders_of_recipients_never_wait_for_each_other(address: str) -> None:
    """Places are taken in the turn, cursors in one order: no deadlock, and no call is refused."""
    states = [f"X{letter}{letter}" for letter in "BCDEFGH"]
    async with several(address, 2) as stores:
        await stores[0].commit([envelope(to=tuple(states))], None)
        for _ in range(10):
            await asyncio.gather(
                stores[0].collect(dict.fromkeys(states, 1), []),
                stores[1].collect(dict.fromkeys(reversed(states), 1), []),
                stores[0].commit([envelope(to=tuple(states))], None),
                stores[1].commit([envelope(to=tuple(reversed(states)))], None),
            )
        assert (await stores[0].cursor("XBB")).head == 21


async def test_a_lower_place_never_comes_after_a_higher_one_was_seen(address: str) -> None:
    """While one has the turn, the other waits: a reader sees places in their order, without gaps."""
    async with several(address, 2) as (one, two):
        async with one.turn() as turn:
            second = asyncio.create_task(two.commit([envelope(to=("XBB",))], None))
            done, _ = await asyncio.wait([second], timeout=0.3)
            assert not done
            assert await two.mail("XBB", 0, limit=9, max_bytes=2**20) == ()
            await turn.commit([envelope(to=("XBB",))], None)
        assert await second == (1,)
        assert [item.sequence for item in await two.mail("XBB", 0, limit=9, max_bytes=2**20)] == [1, 2]


async def test_a_process_that_stands_still_in_its_turn_loses_it(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another goes on; the late commit of the first writes nothing."""
    monkeypatch.setattr(postgres, "IDLE_MS", 300)
    async with several(address, 2) as (one, two):
        with pytest.raises(StoreFailed):
            await _stand_still(one, two)
        assert len(await stored(two)) == 1


async def _stand_still(one: PostgresCoordinatorStore, two: PostgresCoordinatorStore) -> None:
    """Have the turn until another has had it too, and then commit."""
    async with one.turn() as turn:
        assert await two.commit([statement(bytes(32))], None) == (0,)
        await turn.commit([statement(bytes(32))], None)


async def test_a_listening_connection_that_is_silently_dead_costs_a_second_at_most(address: str) -> None:
    """Its server's process stands still: no wake-up comes, and whoever waits looks by itself."""
    async with several(address, 2) as (one, two):
        watcher = await asyncpg.connect(address)
        await until(lambda: watcher.fetchval(f"SELECT count(*) = 2 FROM ({LISTENING}) AS l"))
        await one.sharing.changed(LOOK_SECONDS)
        ears = [row["pid"] for row in await watcher.fetch(LISTENING)]
        for pid in ears:
            os.kill(pid, signal.SIGSTOP)
        try:
            began = asyncio.get_running_loop().time()
            await two.commit([envelope(to=("XBB",))], None)
            await one.sharing.changed(LOOK_SECONDS)
            pulse = await one.sharing.pulse(["XBB"])
            assert pulse.heads["XBB"] == 1
            assert asyncio.get_running_loop().time() - began < 3 * LOOK_SECONDS
        finally:
            for pid in ears:
                os.kill(pid, signal.SIGCONT)
        await watcher.close()


async def test_a_long_transaction_of_somebody_else_stops_nothing(address: str) -> None:
    """An idle transaction that holds back the clean-up makes neither turns nor deliveries wait."""
    async with several(address, 1) as (store,):
        idle = await asyncpg.connect(address)
        await idle.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM statement")
        for _ in range(20):
            await store.commit([envelope(to=("XBB",))], None)
            await store.collect({"XBB": 1}, [])
        assert len(await store.mail("XBB", 0, limit=99, max_bytes=2**24)) == 20
        await idle.close()


# Migrations.


async def migrated(address: str, migrations: tuple[Migration, ...]) -> int:
    """Bring a database to the shape that these migrations make."""
    database = await Postgres.open(parse_place(address, None), {Use.ACCEPT: 1})
    try:
        return await bring_up_to_date(database, NOW_MS, migrations)
    finally:
        await database.close()


def killed_at_each_statement(migration: Migration) -> Iterator[Migration]:
    """Yield the migration with its process killed after each of its statements."""
    parts = migration.sql.split(";\n")
    for count in range(1, len(parts)):
        dying = ";\n".join([*parts[:count], "SELECT pg_terminate_backend(pg_backend_pid())", *parts[count:]])
        yield Migration(migration.number, migration.name, dying)


async def test_a_migration_that_is_killed_at_any_statement_begins_anew(address: str) -> None:
    """Nothing of it is left; the next run does all of it."""
    (first, *_) = packaged(MIGRATIONS)
    dying = list(killed_at_each_statement(first))
    assert len(dying) > 20
    for one in dying:
        with pytest.raises((StoreFailed, OutcomeUnknown)):
            await migrated(address, (one,))
    assert await migrated(address, (first,)) == 1
    assert await migrated(address, (first,)) == 0


async def test_two_that_migrate_at_once_take_turns(address: str) -> None:
    """The second finds it done."""
    (first, *_) = packaged(MIGRATIONS)
    assert sorted(await asyncio.gather(*(migrated(address, (first,)) for _ in range(3)))) == [0, 0, 1]


async def test_the_program_before_goes_on_after_a_migration_unless_that_ends_it(address: str) -> None:
    """Processes are renewed one after another; a step that breaks older ones says so: they are refused."""
    known = packaged(MIGRATIONS)
    number = len(known) + 1
    more = Migration(number, "more", "ALTER TABLE statement ADD COLUMN mark integer NOT NULL DEFAULT 0;")
    async with several(address, 1) as (old,):
        await migrated(address, (*known, more))
        await old.commit([envelope(to=("XBB",)), statement(bytes(32))], None)
    async with several(address, 1) as (old,):
        assert await old.commit([envelope(to=("XBB",))], None) == (2,)
    last = Migration(number + 1, "last", f"-- ends: {number + 1:04d}\nSELECT 1;")
    await migrated(address, (*known, more, last))
    with pytest.raises(SetupError, match="knows only"):
        async with several(address, 1):
            raise AssertionError


# The whole database, restored from last night.


async def test_a_database_restored_from_last_night_is_refused_by_the_anchor(
    servers: Servers, tmp_path: Path
) -> None:
    """Signing on would make a second version of the log."""
    server = servers.get(18)
    today = await fresh_database(server)
    anchor = Anchor(tmp_path / "anchor")
    anchor.open()
    try:
        for night in range(2):
            async with several(server.address(today), 1) as (store,):
                await store.commit([statement(bytes(32))], None)
                await sequencer_of(store, anchor).step()
            if night == 0:
                await execute(server.address(), f"CREATE DATABASE {today}_old TEMPLATE {today}")
        async with several(server.address(today), 1) as (store,):
            await sequencer_of(store, anchor).recover()
        async with several(server.address(f"{today}_old"), 1) as (store,):
            with pytest.raises(SetupError, match="older copy"):
                await sequencer_of(store, anchor).recover()
    finally:
        anchor.close()
