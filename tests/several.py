"""Several processes of one coordinator over one store, as services in one event loop, with real TLS.

The store is SQLite's, whose sessions and leases are in memory: what processes share is the same contract as
on PostgreSQL, where real processes are tested (``tests/acceptance/test_several_coordinators.py``).
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec
import pytest

from exchange.coordinator import duties, lookout
from exchange.coordinator.anchor import Anchor
from exchange.coordinator.community import stored_documents
from exchange.coordinator.opening import Parts, opened
from exchange.coordinator.own_keys import OwnKeys, read_certificates, read_signers
from exchange.coordinator.service import Coordinator
from exchange.settings import CoordinatorSettings
from keys.signer import Verifier
from tests.hubs import CLOCK, everyone, no_passphrase, prepare, settings
from tests.ledger_services import SOON

FASTER = 10


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
    """Let leases be a tenth as long as in the field, and look as often."""
    for module, names in (
        (duties, ("LEASE_SECONDS", "RENEW_SECONDS", "LOOK_SECONDS", "FAILED_SECONDS")),
        (lookout, ("LOOK_SECONDS",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name) / FASTER)


def quick_settings(folder: Path, name: str) -> CoordinatorSettings:
    """Return the settings of a process whose checkpoints and rounds follow each other soon."""
    return msgspec.structs.replace(settings(folder), process=name, checkpoint_s=SOON, witness_s=SOON)


@asynccontextmanager
async def several(
    folder: Path, *names: str, change: Callable[[Parts], Parts] = lambda parts: parts
) -> AsyncIterator[list[Process]]:
    """Run one coordinator as several processes, the first of which has the store's file."""
    first = folder / names[0]
    await prepare(first)
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(opened(quick_settings(first, names[0]), no_passphrase, CLOCK))
        processes = [await stack.enter_async_context(process(first, names[0], change(parts)))]
        for name in names[1:]:
            data = folder / name
            data.mkdir(mode=0o700)
            shutil.copytree(first / "keys", data / "keys")
            beside_parts = await stack.enter_async_context(beside(parts, data))
            processes.append(await stack.enter_async_context(process(data, name, change(beside_parts))))
        yield processes


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
