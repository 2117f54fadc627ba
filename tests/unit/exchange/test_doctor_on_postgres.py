"""The doctor of a coordinator on PostgreSQL: the server is asked, and the anchor compared with it."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from exchange.clock import SystemClock
from exchange.coordinator.community import import_community
from exchange.coordinator.opening import opened, store_place
from exchange.coordinator.service import Coordinator
from exchange.datadir import DataDir
from exchange.doctor.anchoring import anchor_is_apart
from exchange.doctor.checks import examine
from exchange.doctor.machine import database_is_whole, engine_is_safe
from exchange.doctor.patient import Finding, Level, Patient
from exchange.doctor.servers import judged_safe, judged_whole
from exchange.settings import CoordinatorSettings
from exchange.stores.opening import open_store
from exchange.stores.postgres_looking import Condition
from keys import governance
from protocol.errors import SetupError, StoreFailed
from protocol.ledger.origins import Log
from tests.acceptance.ceremony import HUB, Founded
from tests.clocks import FixedClock
from tests.hubs import CLOCK, documents, everyone, no_passphrase, node, prepare, settings
from tests.ports import free_port
from tests.postgres import execute, fresh_database, running
from tests.stores import Servers
from tests.unit.exchange.test_setup_ledger import publish

WELL = Condition("18.1", "on", "ANY 1 (a, b)", 2, True, True, 100, 2**24, 0)


@pytest.fixture
async def address(servers: Servers) -> str:
    """Return the address of an empty database."""
    server = servers.get(18)
    return server.address(await fresh_database(server))


async def with_community(folder: Path, address: str) -> CoordinatorSettings:
    """Lay out a coordinator whose documents are in that database, and return its settings."""
    await prepare(folder)
    found = msgspec.structs.replace(settings(folder), store=address)
    DataDir(folder).database.unlink()
    store = await open_store(store_place(found), CLOCK)
    file = governance.community_file(documents())
    await import_community(store, file, everyone().id, everyone().verifier, CLOCK.now_ms())
    await store.close()
    return found


class Coordinators(Patient):
    """A place that nobody set up by commands: it is a coordinator's."""

    @property
    def is_node(self) -> bool:
        """It is none."""
        return False


def look(found: CoordinatorSettings) -> Coordinators:
    """Return such a place."""
    patient = Coordinators(found.data, SystemClock().now_ms())
    patient.__dict__["settings"] = found
    return patient


async def test_the_anchor_is_compared_with_the_server(address: str, tmp_path: Path) -> None:
    """Both agree; then the server is older than the anchor; then the anchor is gone."""
    found = await with_community(tmp_path / "hub", address)
    async with opened(found, no_passphrase, CLOCK) as parts:
        coordinator = Coordinator(parts, found, CLOCK, sweep_seconds=0.05)
        port = await coordinator.start()
        try:
            async with node(tmp_path, "XAA", port) as xaa:
                await publish(coordinator, xaa)
        finally:
            await coordinator.stop()

    async def anchoring() -> Finding:
        return await asyncio.to_thread(lambda: anchor_is_apart(look(found)))

    assert (await anchoring()).level is Level.OK
    await execute(address, "UPDATE ledger_signed SET size = 1 WHERE log = 'ack'")
    older = await anchoring()
    assert older.level is Level.PROBLEM
    assert "ack: 2 against 1" in older.message
    shutil.rmtree(found.anchor)
    gone = await anchoring()
    assert gone.level is Level.PROBLEM
    assert "other processes" in gone.fix
    assert "--members-have" in gone.fix


async def test_the_server_is_asked_and_nothing_is_changed(address: str, tmp_path: Path) -> None:
    """Its settings, its shape, the documents, the witnesses: read, and written to without a trace."""
    found = await with_community(tmp_path / "hub", address)

    def whole() -> tuple[Finding, Finding, int | None]:
        patient = look(found)
        assert patient.directory.documents.entry("XAA") is not None
        return engine_is_safe(patient), database_is_whole(patient), patient.witnessed_ms(Log.ACK)

    safe, sound, witnessed = await asyncio.to_thread(whole)
    assert safe.level is Level.WARNING, "a server of one machine"
    assert "synchronous_standby_names" in safe.fix
    assert sound.level is Level.OK
    assert "takes writes" in sound.message
    assert witnessed is None
    assert not found.anchor.exists()
    await execute(
        address, "DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM marker WHERE owner = 'doctor'); END $$"
    )


async def test_a_database_without_its_shape_and_one_without_rights_are_told_apart(
    address: str, tmp_path: Path
) -> None:
    """The first needs a command, the second its owner."""
    found = msgspec.structs.replace(settings(tmp_path), store=address)
    fresh = await asyncio.to_thread(lambda: database_is_whole(look(found)))
    assert fresh.level is Level.NOTE
    with pytest.raises(SetupError, match="shape") as refused:
        await asyncio.to_thread(lambda: look(found).signed_sizes())
    assert "coordinator migrate" in refused.value.hint
    await (await open_store(store_place(found), FixedClock(CLOCK.now_ms()))).close()
    other = address.replace("almenara@", "stranger@")
    await execute(address, "DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN")
    strange = msgspec.structs.replace(found, store=other)
    with pytest.raises(StoreFailed, match="42501") as denied:
        await asyncio.to_thread(lambda: look(strange).signed_sizes())
    assert "own its tables" in denied.value.hint


def test_a_server_that_is_away_or_does_not_flush_is_one_problem_and_stops_no_check(
    ceremony: Founded, tmp_path: Path
) -> None:
    """Every check that needs it refers to the first that said so."""
    world = ceremony.copy(tmp_path / "world")
    toml = world.data(HUB) / "almenara.toml"
    plain = toml.read_text()

    def problems(address: str) -> list[str]:
        toml.write_text(f'{plain}\nstore = "{address}"\n')
        results = list(examine(Patient(world.data(HUB), SystemClock().now_ms())))
        assert len(results) == 26
        return [one.finding.message for one in results if one.finding.level is Level.PROBLEM]

    (away,) = problems(f"postgresql://almenara@127.0.0.1:{free_port()}/exchange")
    assert "refused the work" in away
    with running(18, "fsync = off\n") as server:
        (careless,) = problems(server.address())
    assert "fsync is off" in careless


@pytest.mark.parametrize(
    ("condition", "level", "said"),
    [
        (WELL, Level.OK, "of which 2 are connected"),
        (replace(WELL, connected=None), Level.OK, "may not see"),
        (replace(WELL, connected=0), Level.PROBLEM, "nothing is accepted"),
        (replace(WELL, standbys=""), Level.WARNING, "one machine only"),
        (replace(WELL, full_pages=False), Level.PROBLEM, "full_page_writes"),
        (replace(WELL, checksums=False), Level.WARNING, "data_checksums"),
        (replace(WELL, waits="local"), Level.NOTE, "synchronous_commit is local"),
    ],
)
def test_a_server_is_judged_by_what_it_would_lose(condition: Condition, level: Level, said: str) -> None:
    """What loses accepted work is a problem; what may, a warning."""
    found = judged_safe(condition)
    assert found.level is level
    assert said in found.message


def test_what_a_database_lacks_is_named() -> None:
    """Steps, and connections."""
    assert judged_whole(WELL).level is Level.OK
    assert "3 new steps" in judged_whole(replace(WELL, steps=3)).message
    assert judged_whole(replace(WELL, connections=20)).level is Level.WARNING
