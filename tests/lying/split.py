"""Two versions of one ledger: some members are shown the one, the others the other.

Two coordinators run in one process, with the same keys and each with a store of its own. Whatever
one is brought, the other is brought too, so that notices and answers go on reaching everybody; a visitor
is led to the version that it is meant to see.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import msgspec

from exchange.clock import Clock
from exchange.coordinator.opening import Parts, opened
from exchange.coordinator.relay import Relay
from exchange.coordinator.sequencer import Sequencer
from exchange.coordinator.service import Coordinator
from exchange.coordinator.waiting import Brought
from exchange.link.pump import Link
from exchange.settings import CoordinatorSettings
from exchange.stores.coordinator_sqlite import SqliteCoordinatorStore
from keys.keyfile import ProtectionProvider
from protocol.digest import certificate_id
from tests.lying.lies import Lies
from tests.lying.store import LyingStore


@asynccontextmanager
async def lying(
    settings: CoordinatorSettings, provider: ProtectionProvider, clock: Clock, lies: Lies
) -> AsyncIterator[Coordinator]:
    """Run a coordinator that tells these lies; it listens when this yields."""
    if lies.deaf:
        # A liar has its own sequencer: this one hears no witness.
        Sequencer.halt = lambda *_args, **_more: None  # type: ignore[method-assign]
    async with AsyncExitStack() as stack:
        first = await _opened(stack, settings, provider, clock, lies)
        shown = Coordinator(first, settings, clock)
        if lies.split:
            await _show_another(stack, shown, first, settings, provider, clock, lies)
        await shown.start()
        stack.push_async_callback(shown.stop)
        yield shown


async def _opened(
    stack: AsyncExitStack,
    settings: CoordinatorSettings,
    provider: ProtectionProvider,
    clock: Clock,
    lies: Lies,
) -> Parts:
    parts = await stack.enter_async_context(opened(settings, provider, clock))
    assert isinstance(parts.store, SqliteCoordinatorStore)
    return replace(parts, store=LyingStore(parts.store, lies))


async def _show_another(
    stack: AsyncExitStack,
    shown: Coordinator,
    first: Parts,
    settings: CoordinatorSettings,
    provider: ProtectionProvider,
    clock: Clock,
    lies: Lies,
) -> None:
    data = settings.data.with_name(settings.data.name + "-other")
    if not data.exists():
        shutil.copytree(settings.data, data)
    aside = msgspec.structs.replace(settings, data=data, anchor=data / "anchor", port=0, ledger_port=None)
    hidden = Coordinator(await _opened(stack, aside, provider, clock, lies), aside, clock)
    _tell_both(shown._relay, hidden._relay)
    led_aside = {certificate_id(der) for code in lies.split for der in first.directory.certificates(code)}
    to_shown, to_hidden = shown._server._handler, hidden._server._handler

    async def lead(link: Link, certificate: bytes) -> None:
        await (to_hidden if link.peer_certificate in led_aside else to_shown)(link, certificate)

    shown._server._handler = lead
    await hidden.start()
    stack.push_async_callback(hidden.stop)


def _tell_both(one: Relay, other: Relay) -> None:
    """Let what either relay is brought be brought to both; only the one that was asked answers."""
    honest = {relay: relay.bring for relay in (one, other)}

    def telling(mine: Relay, theirs: Relay) -> None:
        def bring(brought: Brought) -> None:
            honest[mine](brought)
            honest[theirs](Brought(brought.party, brought.request, lambda _: None))

        mine.bring = bring  # type: ignore[method-assign]

    telling(one, other)
    telling(other, one)
