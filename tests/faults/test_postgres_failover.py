"""Failovers of a real pair of PostgreSQL servers: nothing accepted is lost, nothing unsure is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest

from exchange.coordinator.anchor import Anchor
from exchange.coordinator.heads import Head
from exchange.coordinator.sequencer import Sequencer
from exchange.stores.contract import NewEnvelope, NewStatement
from exchange.stores.coordinator_postgres import PostgresCoordinatorStore
from exchange.stores.ledger_contract import EMPTY, Extent, SignedExtent
from exchange.stores.postgres_place import parse_place
from protocol.errors import OutcomeUnknown, SetupError, StoreFailed
from protocol.ledger.origins import Log
from tests.clocks import FixedClock
from tests.community import HUB, community, note_secret
from tests.faults.found import Found, Tell
from tests.faults.postgres_pair import Pair, pair_of_servers, until
from tests.postgres import execute
from tests.unit.exchange.test_coordinator_store import envelope, statement
from tests.unit.exchange.test_sequencer import KEYS

EVERYONE = community()
WRITERS = 4
RECOVERED_S = 30.0

T = TypeVar("T")


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """Run a primary with its synchronous standby."""
    with pair_of_servers() as pair:
        await pair.start()
        yield pair


async def opened(pair: Pair) -> PostgresCoordinatorStore:
    """Open a store that knows both servers."""
    place = parse_place(pair.address(), None)
    return await PostgresCoordinatorStore.open(place, FixedClock(EVERYONE.now_ms))


@dataclass
class Book:
    """What writers were told, kept apart from any database."""

    accepted: set[bytes] = field(default_factory=set)
    unknown: set[bytes] = field(default_factory=set)
    last: float = field(default_factory=time.monotonic)
    gap: float = 0.0
    grown: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, count: int) -> None:
        """Wait until so many were accepted."""
        async with asyncio.timeout(RECOVERED_S * 2):
            while len(self.accepted) < count:
                self.grown.clear()
                await self.grown.wait()

    def accept(self, name: bytes) -> None:
        """Note that a statement was accepted."""
        now = time.monotonic()
        self.accepted.add(name)
        self.gap, self.last = max(self.gap, now - self.last), now
        self.grown.set()


async def write(store: PostgresCoordinatorStore, book: Book, stop: asyncio.Event) -> None:
    """Record one statement after another, each again under its id until it is accepted."""
    while not stop.is_set():
        one = statement(bytes(32))
        while one.id not in book.accepted:
            try:
                await record(store, one)
                book.accept(one.id)
            except OutcomeUnknown:
                book.unknown.add(one.id)
            except StoreFailed:
                await asyncio.sleep(0.02)


async def record(store: PostgresCoordinatorStore, one: NewStatement) -> None:
    """Record a statement as the relay does: what is known is answered, what is new is written in the turn."""
    if (await store.known([], [one.id])).statements:
        return
    async with store.turn() as turn:
        if not (await turn.known([], [one.id])).statements:
            await turn.commit([one], None)


async def stored(store: PostgresCoordinatorStore) -> list[bytes]:
    """Return the ids of all statements, in the order of their indexes, which must have no gaps."""
    async with store._database.using(next(iter(store._database._pools))) as connection:
        rows = await connection.fetch("SELECT idx, id FROM statement ORDER BY idx")
        counted = await connection.fetchval("SELECT statements FROM turn")
    assert [row["idx"] for row in rows] == list(range(len(rows)))
    assert counted == len(rows)
    return [row["id"] for row in rows]


async def judged(store: PostgresCoordinatorStore, book: Book, faults: int) -> Found:
    """Compare what was told with what is there."""
    there = await stored(store)
    return Found(
        "failovers of PostgreSQL",
        faults,
        ok=len(book.accepted & set(there)),
        lost=len(book.accepted - set(there)),
        duplicated=len(there) - len(set(there)),
        recovered=len(book.unknown & set(there)),
        unknown=len(book.unknown - set(there)),
    )


async def campaign(pair: Pair, failovers: int) -> tuple[Found, list[float]]:
    """Write through so many failovers; return what was found, and the longest pause of each."""
    stores = [await opened(pair) for _ in range(2)]
    book, stop, gaps = Book(), asyncio.Event(), []
    writers = [asyncio.create_task(write(stores[number % 2], book, stop)) for number in range(WRITERS)]
    try:
        for number in range(failovers):
            await book.until(len(book.accepted) + 40)
            book.gap = 0.0
            await pair.fail_over()
            await book.until(len(book.accepted) + 40)
            gaps.append(book.gap)
            if number < failovers - 1:
                await pair.bring_back()
        stop.set()
        await asyncio.gather(*writers)
        return await judged(stores[0], book, failovers), gaps
    finally:
        stop.set()
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        for store in stores:
            await store.close()


async def test_nothing_accepted_is_lost_when_the_primary_dies_and_comes_back(
    pair: Pair, tell: Tell, record_property: Callable[[str, object], None]
) -> None:
    """Killed, promoted, rewound, followed, killed again: each statement once, in one row of indexes."""
    found, gaps = await campaign(pair, 2)
    tell(found)
    record_property("figure", f"failover of PostgreSQL: no answer for {max(gaps):.2f} s at most")
    found.require_truth()
    assert max(gaps) < RECOVERED_S


@pytest.mark.long
async def test_two_hundred_failovers_lose_nothing(
    pair: Pair, tell: Tell, record_property: Callable[[str, object], None]
) -> None:
    """The same, long enough to meet the rare orders of events."""
    found, gaps = await campaign(pair, 200)
    tell(found)
    middle = sorted(gaps)[len(gaps) // 2]
    record_property(
        "figure", f"200 failovers: no answer for {middle:.2f} s (median), {max(gaps):.2f} s (most)"
    )
    found.require_truth()


async def ghost(pair: Pair, store: PostgresCoordinatorStore, new: NewEnvelope) -> None:
    """Leave a row that is committed here and not on the frozen standby, as an impatient operator would."""
    committing = asyncio.create_task(store.commit([new], None))
    connection = await asyncpg.connect(pair.primary.address())
    try:
        query = """SELECT pg_cancel_backend(pid) FROM pg_stat_activity
            WHERE wait_event = 'SyncRep' AND query = 'COMMIT'"""
        await until(lambda: connection.fetch(query))
    finally:
        await connection.close()
    with pytest.raises(OutcomeUnknown):
        await committing


async def waits(work: Awaitable[T], seconds: float = 0.7) -> asyncio.Future[T]:
    """Return work that has not ended after a while."""
    future = asyncio.ensure_future(work)
    done, _ = await asyncio.wait([future], timeout=seconds)
    assert not done, "it did not wait"
    return future


async def test_a_row_that_is_not_on_the_standby_is_told_to_nobody(pair: Pair) -> None:
    """Other sessions see it; it is not pushed, not answered as known and not signed for."""
    one, other = await opened(pair), await opened(pair)
    try:
        new = envelope(to=("XBB",))
        await pair.freeze_standby()
        await ghost(pair, one, new)
        raw = await asyncpg.connect(pair.primary.address())
        assert await raw.fetchval("SELECT count(*) FROM statement") == 1, "the row is seen by all"
        await raw.close()
        pushed = await waits(other.mail("XBB", 0, limit=9, max_bytes=2**20))
        known = await waits(other.known([new.id], []))
        signed = SignedExtent(Extent(1, bytes(32)), b"note")
        swapped = await waits(other.ledger.swap(Log.ACK, EMPTY, signed, new.relayed.id))
        pair.thaw_standby()
        assert [item.sequence for item in await pushed] == [1]
        assert new.id in (await known).envelopes
        assert await swapped
    finally:
        await one.close()
        await other.close()


async def test_a_row_that_a_failover_takes_back_was_never_told(pair: Pair) -> None:
    """The sender that was told unknown brings it again; nothing was signed over it."""
    one, other = await opened(pair), await opened(pair)
    try:
        new = envelope(to=("XBB",))
        await pair.freeze_standby()
        await ghost(pair, one, new)
        signed = SignedExtent(Extent(1, bytes(32)), b"note")
        told: list[asyncio.Future[Any]] = [
            await waits(other.mail("XBB", 0, limit=9, max_bytes=2**20)),
            await waits(other.known([new.id], [])),
            await waits(other.ledger.swap(Log.ACK, EMPTY, signed, new.relayed.id)),
        ]
        await pair.fail_over()
        for outcome in await asyncio.gather(*told, return_exceptions=True):
            assert isinstance(outcome, StoreFailed | OutcomeUnknown)
        assert await again(lambda: other.mail("XBB", 0, limit=9, max_bytes=2**20)) == ()
        assert await again(lambda: other.ledger.signed(Log.ACK)) is None
        assert (await again(lambda: other.known([new.id], []))).envelopes == {}
        assert await again(lambda: one.commit([new], None)) == (0,)
    finally:
        await one.close()
        await other.close()


async def test_a_standby_that_misses_rows_is_refused_by_the_anchor(pair: Pair, tmp_path: Path) -> None:
    """Nobody waited for it; what it lacks was signed, and to sign on from it would fork the ledger."""
    anchor = Anchor(tmp_path / "anchor")
    anchor.open()
    store = await opened(pair)
    try:
        await execute(pair.primary.address(), "ALTER SYSTEM SET synchronous_standby_names = ''")
        await execute(pair.primary.address(), "SELECT pg_reload_conf()")
        await record(store, statement(bytes(32)))
        await sequencer_of(store, anchor).step()
        await pair.freeze_standby()
        await record(store, statement(bytes(32)))
        await sequencer_of(store, anchor).step()
        await pair.fail_over()
        assert len(await again(lambda: stored(store))) == 1, "an accepted row was lost"
        with pytest.raises(SetupError, match="older copy"):
            await sequencer_of(store, anchor).recover()
    finally:
        await store.close()
        anchor.close()


async def test_a_standby_is_never_asked(pair: Pair) -> None:
    """Named first, and behind, it is passed over; alone, it is refused: what is read was committed."""
    await execute(pair.standby.address(), "SELECT pg_wal_replay_pause()")
    place = parse_place(pair.standby.address("postgres", pair.primary), None)
    assert place.hosts[0][1] == pair.standby.port
    store = await PostgresCoordinatorStore.open(place, FixedClock(EVERYONE.now_ms))
    try:
        for number in range(1, 4):
            await store.commit([envelope(to=("XBB",))], None)
            assert len(await store.mail("XBB", 0, limit=9, max_bytes=2**20)) == number
            assert len(await store.statements(0, 9)) == number
    finally:
        await store.close()
    alone = parse_place(pair.standby.address(), None)
    with pytest.raises(StoreFailed):
        await PostgresCoordinatorStore.open(alone, FixedClock(EVERYONE.now_ms))


def sequencer_of(store: PostgresCoordinatorStore, anchor: Anchor) -> Sequencer:
    """Return a sequencer as the service makes it."""
    clock, secret = FixedClock(EVERYONE.now_ms), note_secret(HUB)
    return Sequencer(Head(Log.ACK), KEYS, secret, store.ledger, anchor, clock, lambda: None)


async def again(work: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call until the new primary answers."""
    async with asyncio.timeout(RECOVERED_S):
        while True:
            try:
                return await work()
            except (StoreFailed, OutcomeUnknown):
                await asyncio.sleep(0.05)
