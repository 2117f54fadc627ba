"""A whole coordinator on PostgreSQL, from its community file to a delivery."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from exchange.cli.exits import Exit
from exchange.coordinator.community import import_community
from exchange.coordinator.opening import opened, store_place
from exchange.coordinator.service import Coordinator
from exchange.settings import CoordinatorSettings
from exchange.setup.storing import migrate_store
from exchange.stores.opening import open_store
from keys import governance
from protocol import codec
from protocol.envelope import parse_delivery
from protocol.errors import SetupError
from protocol.ledger.origins import Log
from protocol.session.messages import Accepted, Submit
from tests.envelopes import id_of, sent
from tests.hubs import CLOCK, documents, everyone, no_passphrase, node, prepare, settings
from tests.postgres import fresh_database
from tests.stores import Servers
from tests.unit.exchange.test_setup_cli import Terminal


@pytest.fixture
async def shared(tmp_path: Path, servers: Servers) -> CoordinatorSettings:
    """Prepare a data directory, and a database with the community's documents."""
    server = servers.get(18)
    folder = tmp_path / "hub"
    await prepare(folder)
    address = server.address(await fresh_database(server))
    found = msgspec.structs.replace(settings(folder), store=address)
    store = await open_store(store_place(found), CLOCK)
    file = governance.community_file(documents())
    await import_community(store, file, everyone().id, everyone().verifier, CLOCK.now_ms())
    await store.close()
    return found


async def test_a_notice_goes_through_a_coordinator_on_postgres(
    shared: CoordinatorSettings, tmp_path: Path
) -> None:
    """Promised, delivered, published and witnessed; and still there for the next start."""
    one = sent(everyone(), to=("XBB",))
    for round_ in range(2):
        async with opened(shared, no_passphrase, CLOCK) as parts:
            coordinator = Coordinator(parts, shared, CLOCK, sweep_seconds=0.05)
            port = await coordinator.start()
            try:
                async with node(tmp_path, "XAA", port) as xaa, node(tmp_path, "XBB", port) as xbb:
                    answer = await xaa.ask(Submit(ref=1, submission=codec.encode(one)))
                    assert isinstance(answer, Accepted)
                    assert answer.index == 1
                    delivered = await xbb.deliver()
                    assert parse_delivery(delivered.content)[1].id == id_of(one)
                    if round_ == 0:
                        await asyncio.gather(xaa.until_witnessed(Log.ACK, 2), xbb.until_witnessed(Log.ACK, 2))
            finally:
                await coordinator.stop()


async def test_migrating_is_a_command_of_its_own_and_may_be_repeated(servers: Servers) -> None:
    """The second time there is nothing to do."""
    server = servers.get(18)
    address = server.address(await fresh_database(server))
    first = await migrate_store(address, None, CLOCK)
    assert first.applied[0] == "0001_first"
    again = await migrate_store(address, None, CLOCK)
    assert again.applied == ()
    assert again.at == first.at == len(first.applied)
    with pytest.raises(SetupError, match="is a file"):
        await migrate_store("", None, CLOCK)


def test_a_password_on_the_command_line_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a hint that says where it belongs."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "statement.key").touch()
    address = "postgresql://almenara:geheim@db1/exchange"
    code, error = Terminal(capsys).refused("coordinator", "migrate", "--data", tmp_path, "--store", address)
    assert code != Exit.OK
    assert "geheim" not in str(error)
    assert "store_password_file" in error["next"]
