"""Several processes of one coordinator over one store, as services in one event loop, with real TLS.

On PostgreSQL each has connections of its own. SQLite's store keeps sessions and leases in memory, so there
all share one object: the same contract, without a server. Real processes are tested in
``tests/faults/test_several_coordinators.py``.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec
import pytest

from exchange.coordinator import duties, lookout
from exchange.coordinator.anchor import Anchor
from exchange.coordinator.community import import_community, stored_documents
from exchange.coordinator.opening import Parts, opened
from exchange.coordinator.own_keys import OwnKeys, read_certificates, read_signers
from exchange.coordinator.service import Coordinator
from exchange.settings import CoordinatorSettings
from exchange.stores.opening import StorePlace, open_store
from keys import governance
from keys.signer import Verifier
from tests.hubs import CLOCK, documents, everyone, no_passphrase, prepare, settings
from tests.ledger_services import SOON

FASTER = 3


@dataclass
class Process:
    """One process.

    Attributes:
        parts: What it is made of.
        coordinator: Its service.
        port: Where nodes reach it.
        data: Its data directory.
    """

    parts: Parts
    coordinator: Coordinator
    port: int
    data: Path
    running: bool = True

    async def stop(self) -> None:
        """Let it take its leave, as on SIGTERM."""
        if self.running:
            self.running = False
            await self.coordinator.stop()

    async def die(self) -> None:
        """End it as a kill does: nothing is handed over or written, and its connections break."""
        self.running = False
        inside = self.coordinator
        for link in tuple(inside._server._links):
            link._transport.abort()
        # A lease is not given back by the dead.
        for duty in (inside._sweeping, *inside._ledger._duties.values(), *inside._ledger._rounds.values()):
            duty.lease = None
            duty.release = nothing  # type: ignore[method-assign]
        for task in inside._tasks.values():
            task.cancel()
        await asyncio.gather(*inside._tasks.values(), return_exceptions=True)
        await inside._server.shut()
        await inside._room.stop(0)


async def nothing() -> None:
    """Do nothing."""


@pytest.fixture
def faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let leases be shorter than in the field, and look more often."""
    for module, names in (
        (duties, ("LEASE_SECONDS", "RENEW_SECONDS", "LOOK_SECONDS", "FAILED_SECONDS")),
        (lookout, ("LOOK_SECONDS",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name) / FASTER)


def quick_settings(folder: Path, name: str, store: str = "") -> CoordinatorSettings:
    """Return the settings of a process whose checkpoints and rounds follow each other soon."""
    return msgspec.structs.replace(
        settings(folder), process=name, checkpoint_s=SOON, witness_s=SOON, store=store
    )


class Company:
    """The processes of one coordinator.

    Args:
        folder: Where their data directories are.
        store: The address of their database, or nothing for SQLite.
    """

    def __init__(self, folder: Path, store: str, stack: AsyncExitStack) -> None:
        self._folder = folder
        self._store = store
        self._stack = stack
        self._first: Parts | None = None

    async def start(self, name: str) -> Process:
        """Start one more process, with keys copied from the first one."""
        return await self._stack.enter_async_context(
            process(self.lay_out(name), name, await self.parts(name))
        )

    def lay_out(self, name: str) -> Path:
        """Make a data directory, unless it is there, as an operator copies it from another machine."""
        data = self._folder / name
        first = next(self._folder.glob("*/root-hash")).parent
        if not data.exists():
            data.mkdir(mode=0o700)
            shutil.copytree(first / "keys", data / "keys")
            shutil.copy(first / "root-hash", data / "root-hash")
        return data

    async def parts(self, name: str) -> Parts:
        """Open what a process is made of."""
        data = self.lay_out(name)
        if self._store or self._first is None:
            opening = opened(quick_settings(data, name, self._store), no_passphrase, CLOCK)
        else:
            opening = beside(self._first, data)
        parts = await self._stack.enter_async_context(opening)
        self._first = self._first or parts
        return parts


@asynccontextmanager
async def several(folder: Path, store: str, *names: str) -> AsyncIterator[tuple[Company, list[Process]]]:
    """Run one coordinator as several processes."""
    await prepare(folder / names[0])
    if store:
        database = await open_store(StorePlace(Path(), store), CLOCK)
        file = governance.community_file(documents())
        await import_community(database, file, everyone().id, everyone().verifier, CLOCK.now_ms())
        await database.close()
    async with AsyncExitStack() as stack:
        company = Company(folder, store, stack)
        yield company, [await company.start(name) for name in names]


@asynccontextmanager
async def beside(parts: Parts, data: Path) -> AsyncIterator[Parts]:
    """Return what another process over the same store is made of: all but the store is its own."""
    verifier = Verifier()
    directory, held = await stored_documents(parts.store, everyone().id, verifier, CLOCK.now_ms())
    signers = read_signers(data / "keys", no_passphrase)
    anchor = Anchor(data / "anchor")
    anchor.open()
    try:
        yield replace(
            parts,
            anchor=anchor,
            directory=directory,
            documents=held,
            verifier=verifier,
            keys=OwnKeys(directory, parts.keys.code, signers, partial(read_certificates, data / "keys")),
            access=data / "access",
        )
    finally:
        anchor.close()


@asynccontextmanager
async def process(data: Path, name: str, parts: Parts) -> AsyncIterator[Process]:
    """Run one process."""
    coordinator = Coordinator(parts, quick_settings(data, name), CLOCK, sweep_seconds=0.05)
    port = await coordinator.start()
    running = Process(parts, coordinator, port, data)
    try:
        yield running
    finally:
        await running.stop()
