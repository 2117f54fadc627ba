"""The inside of a coordinator on a real store, without its sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from exchange.coordinator.admission import Admission
from exchange.coordinator.announcing import Announcer
from exchange.coordinator.budget import Allowance, Budgets
from exchange.coordinator.cursors import Cursors
from exchange.coordinator.following import Following
from exchange.coordinator.judging import Judge
from exchange.coordinator.promises import Promises
from exchange.coordinator.relay import Relay
from exchange.coordinator.undelivered import Sweeper
from exchange.coordinator.verifying import Verifying
from exchange.coordinator.waiting import Answer, Brought
from exchange.stores.contract import CoordinatorStore
from exchange.stores.coordinator_sqlite import SqliteCoordinatorStore
from exchange.stores.ledger_contract import LedgerStore
from protocol import codec
from protocol.envelope import Submission
from protocol.session.messages import Attest, Submit
from tests.clocks import FixedClock
from tests.community import HUB, Community, community

Wrap = Callable[[CoordinatorStore], CoordinatorStore]


@dataclass
class Inside:
    """A relay that runs, on a store in a folder, with a clock that the test moves."""

    everyone: Community
    clock: FixedClock
    store: CoordinatorStore
    relay: Relay
    cursors: Cursors
    sweeper: Sweeper
    woken: list[str]
    admission: Admission
    following: Following
    _refs: count[int] = field(default_factory=lambda: count(1))

    def bring(self, party: str, what: Submission | bytes) -> asyncio.Future[Answer]:
        """Bring a submission or a signed statement, and return what will be the answer."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        ref = next(self._refs)
        request: Submit | Attest
        if isinstance(what, Submission):
            request = Submit(ref=ref, submission=codec.encode(what))
        else:
            request = Attest(ref=ref, statement=what)
        self.relay.bring(Brought(party, request, answer.set_result))
        return answer

    def ask(self, party: str, what: Submission | bytes) -> Awaitable[Answer]:
        """Bring something, to be awaited with a limit."""
        return asyncio.wait_for(self.bring(party, what), 10)


@asynccontextmanager
async def inside(
    folder: Path,
    *,
    clock: FixedClock | None = None,
    allowance: Allowance | None = None,
    wrap: Wrap = lambda store: store,
) -> AsyncIterator[Inside]:
    """Open the store in a folder and run a relay on it; both are stopped at the end."""
    clock = clock or FixedClock(community().now_ms)
    opened = await SqliteCoordinatorStore.open(folder / "almenara.db", clock)
    store = wrap(opened)
    try:
        async with at_work(store, opened.ledger, clock, allowance) as here:
            yield here
    finally:
        await store.close()


@asynccontextmanager
async def at_work(
    store: CoordinatorStore, ledger: LedgerStore, clock: FixedClock, allowance: Allowance | None = None
) -> AsyncIterator[Inside]:
    """Run a relay on an open store. Several may run on one, as several processes do."""
    everyone = community()
    directory = everyone.directory()
    woken: list[str] = []

    def wake(states: Iterable[str]) -> None:
        woken.extend(sorted(states))

    admission = Admission(directory, everyone.verifier, Budgets(allowance or Allowance()), clock)
    promises = Promises(HUB, lambda: everyone.hub, directory)
    announcer = Announcer(ledger, "hub.example/almenara/dir")
    following = Following(store, directory, 0, clock)
    verifying = Verifying(everyone.verifier)
    judge = Judge(admission, verifying)
    relay = Relay(store, judge, promises, announcer, following, clock, wake, lambda: None)
    cursors = Cursors(store, clock, pause_seconds=0.01)
    running = [asyncio.create_task(relay.run()), asyncio.create_task(cursors.run())]
    try:
        sweeper = Sweeper(store, cursors, relay, clock, grace_ms=0)
        yield Inside(everyone, clock, store, relay, cursors, sweeper, woken, admission, following)
    finally:
        for task in running:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        verifying.close()


def beside(here: Inside) -> AbstractAsyncContextManager[Inside]:
    """Run a second relay on the store of a first one."""
    assert isinstance(here.store, SqliteCoordinatorStore)
    return at_work(here.store, here.store.ledger, here.clock)
