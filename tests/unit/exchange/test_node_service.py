"""The node as a service: it starts on what was set up, says what is missing, and stops cleanly."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import apsw
import pytest

from exchange.datadir import DataDir
from exchange.keystore import write_secret
from exchange.node.mirror import store_document
from exchange.node.prekeeper import store_prekeys
from exchange.node.secrets import NodeSecrets
from exchange.node.service import MIGRATIONS
from exchange.node.tokens import TokenRole, format_token, make_token, token_hash
from exchange.serve.node import run_node
from exchange.settings import NodeSettings
from exchange.stores.engine import Engine
from exchange.unsealer.client import Unsealer
from exchange.unsealer.messages import MadeKey
from protocol.errors import AlmenaraError, DataDirBusy, KeyfileError, SetupError
from tests.clocks import FixedClock
from tests.community import HUB, community
from tests.hubs import certificate
from tests.unsealers import launch_in, locked_in

VAULT_KEY = bytes(32)
MONITOR = make_token(TokenRole.MONITOR, "wall", bytes)


async def prepare(folder: Path) -> NodeSettings:
    """Lay out a node's data directory, as ``node init`` and ``join`` do."""
    place, everyone = DataDir(folder), community()
    place.create()
    for name, content in (("tls.crt", certificate("XAA").pem), ("tls.key", certificate("XAA").key_pem)):
        write_secret(place.keys / name, content.decode())
    write_secret(folder / "root-hash", everyone.id.hex() + "\n")
    write_secret(_made(folder / "access") / token_hash(MONITOR), "wall\n")
    _made(folder / "officers")
    engine = await Engine.open(place.database, MIGRATIONS, FixedClock(everyone.now_ms))
    prekeys = locked_in(folder, "XAA", everyone.members["XAA"].prekeys)
    await engine.write(lambda db: fill(db, prekeys))
    await engine.close()
    return NodeSettings(state="XAA", coordinator=HUB, data=folder, socket=folder / "s")


def fill(db: apsw.Connection, prekeys: list[MadeKey]) -> None:
    """Store the community's documents and the node's daily keys."""
    for document in community().documents:
        store_document(db, document)
    store_prekeys(db, prekeys)


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@asynccontextmanager
async def running(settings: NodeSettings) -> AsyncIterator[asyncio.Task[None]]:
    """Run the service until the test has seen enough."""
    stop, is_ready = asyncio.Event(), asyncio.Event()
    member = community().members["XAA"]
    secrets = NodeSecrets(signers=(member.node,), witnesses=(member.witness,), vault_key=VAULT_KEY)
    clock, unsealer = FixedClock(community().now_ms), Unsealer(launch_in(settings.data, "XAA"))
    task = asyncio.create_task(run_node(settings, secrets, unsealer, clock, stop=stop, ready=is_ready.set))
    waiting = asyncio.create_task(is_ready.wait())
    try:
        await asyncio.wait({task, waiting}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield task
    finally:
        waiting.cancel()
        stop.set()
        with contextlib.suppress(AlmenaraError):
            await asyncio.wait_for(task, 10)


async def ask(settings: NodeSettings, path: str, token: str | None = None) -> tuple[int, str]:
    """Ask the local interface; return status and text."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    connector = aiohttp.UnixConnector(str(settings.socket))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"http://localhost{path}", headers=headers) as answer,
    ):
        return answer.status, await answer.text()


async def test_a_node_that_was_set_up_starts_answers_and_stops(tmp_path: Path) -> None:
    """It is ready when the interface answers and the disk takes writes, and it lets go of everything."""
    settings = await prepare(tmp_path / "n")
    async with running(settings) as task:
        alive, ready = await ask(settings, "/livez"), await ask(settings, "/readyz")
    assert (alive[0], ready[0]) == (200, 200)
    assert task.exception() is None
    async with running(settings):
        assert (await ask(settings, "/readyz"))[0] == 200


async def test_a_node_without_its_coordinator_still_answers(tmp_path: Path) -> None:
    """Nobody listens at the coordinator's address: the node says so and goes on."""
    settings = await prepare(tmp_path / "n")
    async with running(settings) as task:
        status, text = await ask(settings, "/v1/node", format_token(MONITOR))
        without_token = await ask(settings, "/v1/node")
        assert not task.done()
    assert (status, without_token[0]) == (200, 401)
    assert '"connected":false' in text.replace(" ", "")
    assert VAULT_KEY.hex() not in text


async def test_a_node_that_has_not_joined_says_how_to(tmp_path: Path) -> None:
    """The error names the command."""
    settings = await prepare(tmp_path / "n")
    bare = NodeSettings(data=settings.data, socket=settings.socket)
    with pytest.raises(SetupError) as caught:
        async with running(bare):
            pass
    assert "join" in caught.value.hint


async def test_a_missing_root_hash_is_not_replaced_by_trust(tmp_path: Path) -> None:
    """Without the pinned hash nothing can be believed, so nothing starts."""
    settings = await prepare(tmp_path / "n")
    await asyncio.to_thread((settings.data / "root-hash").unlink)
    with pytest.raises(SetupError, match="root hash"):
        async with running(settings):
            pass


async def test_another_communitys_root_hash_does_not_start(tmp_path: Path) -> None:
    """A pinned hash that does not fit the stored documents means that one of them was altered."""
    settings = await prepare(tmp_path / "n")
    await asyncio.to_thread((settings.data / "root-hash").write_text, "00" * 32)
    with pytest.raises(SetupError, match="not trusted"):
        async with running(settings):
            pass


async def test_a_missing_certificate_is_named(tmp_path: Path) -> None:
    """The file that is missing stands in the error."""
    settings = await prepare(tmp_path / "n")
    await asyncio.to_thread((settings.data / "keys" / "tls.crt").unlink)
    with pytest.raises(KeyfileError, match=r"tls\.crt"):
        async with running(settings):
            pass


async def test_two_nodes_never_share_a_data_directory(tmp_path: Path) -> None:
    """The second is refused, and the first does not notice."""
    settings = await prepare(tmp_path / "n")
    async with running(settings) as first:
        with pytest.raises(DataDirBusy):
            async with running(settings):
                pass
        assert not first.done()
        assert (await ask(settings, "/readyz"))[0] == 200


async def test_a_failed_start_lets_go_of_the_data_directory(tmp_path: Path) -> None:
    """After the cause is put right the node starts, without anybody removing a lock."""
    settings = await prepare(tmp_path / "n")
    with pytest.raises(SetupError):
        async with running(NodeSettings(data=settings.data, socket=settings.socket)):
            pass
    async with running(settings):
        assert (await ask(settings, "/livez"))[0] == 200
