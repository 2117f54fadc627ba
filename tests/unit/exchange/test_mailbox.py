"""Pushing a mailbox: in order, within the window, from the cursor, at least once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from exchange.coordinator.mailbox import FLUSH_BYTES, MOST_AHEAD, READ_ITEMS, Pusher
from exchange.stores.coordinator_sqlite import SqliteCoordinatorStore
from protocol.errors import PeerCode
from protocol.session.messages import Ahead, Collected, Deliver, ItemKind, Message, Unusable
from tests.community import community
from tests.coordinators import Inside, inside
from tests.envelopes import sent

EVERYONE = community()


class Other:
    """The other side of a session: takes a few deliveries at a time."""

    def __init__(self, window: int = 100) -> None:
        self.window = window
        self.got: list[int] = []
        self.ahead: list[bytes] = []
        self.collected = 0
        self.changed = asyncio.Event()

    def may_deliver(self, size: int) -> bool:
        """Whether less than the window is outstanding."""
        return len([one for one in self.got if one > self.collected]) < self.window

    def send(self, message: Message) -> None:
        """Take one delivery, or what goes ahead of its turn."""
        if isinstance(message, Ahead):
            self.ahead.append(message.content)
            return
        assert isinstance(message, Deliver)
        self.got.append(message.sequence)
        self.changed.set()

    async def flush(self) -> None:
        """Take everything at once."""

    async def has(self, number: int) -> list[int]:
        """Wait for so many deliveries and return their sequences."""
        async with asyncio.timeout(10):
            while len(self.got) < number:
                self.changed.clear()
                await self.changed.wait()
        return self.got


@asynccontextmanager
async def pushed(here: Inside, other: Other) -> AsyncIterator[Pusher]:
    """Push XBB's mailbox for as long as the block runs."""
    pusher = Pusher("XBB", other, here.store, here.cursors)
    task = asyncio.create_task(pusher.run())
    try:
        yield pusher
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def collect(pusher: Pusher, other: Other, sequence: int) -> None:
    """Let the other side report that it has dealt with everything up to here."""
    other.collected = sequence
    pusher.collected(Collected(sequence=sequence))


async def bring(here: Inside, number: int) -> None:
    """Relay so many notices to XBB."""
    for _ in range(number):
        await here.ask("XAA", sent(EVERYONE, to=("XBB",)))


async def test_items_are_pushed_in_order_and_new_ones_when_woken(tmp_path: Path) -> None:
    """What waits goes first; then each as it comes."""
    async with inside(tmp_path) as here:
        await bring(here, 3)
        other = Other()
        async with pushed(here, other) as pusher:
            assert await other.has(3) == [1, 2, 3]
            await bring(here, 1)
            pusher.wake()
            assert await other.has(4) == [1, 2, 3, 4]


async def test_no_more_is_pushed_than_the_window_allows(tmp_path: Path) -> None:
    """Collecting makes room."""
    async with inside(tmp_path) as here:
        await bring(here, 5)
        other = Other(window=2)
        async with pushed(here, other) as pusher:
            assert await other.has(2) == [1, 2]
            await asyncio.sleep(0.05)
            assert other.got == [1, 2]
            collect(pusher, other, 1)
            assert await other.has(3) == [1, 2, 3]
            collect(pusher, other, 3)
            assert await other.has(5) == [1, 2, 3, 4, 5]


async def test_a_new_session_goes_on_at_the_cursor(tmp_path: Path) -> None:
    """Also when the last report is not written down yet; what was not collected comes again."""
    async with inside(tmp_path) as here:
        await bring(here, 3)
        other = Other()
        async with pushed(here, other) as pusher:
            await other.has(3)
            collect(pusher, other, 2)
        again = Other()
        async with pushed(here, again):
            assert await again.has(1) == [3]


async def test_after_a_crash_what_was_written_stays_collected(tmp_path: Path) -> None:
    """A report that was lost with the process only delivers again; nothing is skipped."""
    async with inside(tmp_path) as here:
        await bring(here, 4)
        here.cursors.collected("XBB", 2)
        await here.cursors.flush()
        here.cursors.collected("XBB", 3)
    async with inside(tmp_path) as here:
        other = Other()
        async with pushed(here, other):
            got = await other.has(1)
            assert got[0] in (3, 4)
            await other.has(2 if got[0] == 3 else 1)
            assert other.got[-1] == 4


async def test_an_unusable_item_is_recorded_and_stays_in_its_place(tmp_path: Path) -> None:
    """The report is kept, the cursor moves by Collected only."""
    async with inside(tmp_path) as here:
        await bring(here, 1)
        other = Other()
        async with pushed(here, other) as pusher:
            await other.has(1)
            pusher.unusable(Unusable(sequence=1, code=PeerCode.TAMPERED))
        await here.cursors.flush()
        assert (await here.store.cursor("XBB")).collected == 0
        assert len(await here.store.mail("XBB", 0, limit=9, max_bytes=2**20)) == 1


async def test_reports_are_written_together_without_being_asked(tmp_path: Path) -> None:
    """A hundred reports cost one write, which follows soon."""
    async with inside(tmp_path) as here:
        await bring(here, 1)
        assert isinstance(here.store, SqliteCoordinatorStore)
        before = here.store.stats().writes
        for _ in range(100):
            here.cursors.collected("XBB", 1)
        for _ in range(1000):
            await asyncio.sleep(0.01)
            if (await here.store.cursor("XBB")).collected:
                break
        assert (await here.store.cursor("XBB")).collected == 1
        assert here.store.stats().writes == before + 1


async def test_the_same_item_is_reported_once_in_a_session(tmp_path: Path) -> None:
    """A member that repeats its report without end fills neither memory nor log."""
    async with inside(tmp_path) as here:
        await here.ask("XAA", sent(EVERYONE, to=("XBB",)))
        async with pushed(here, Other()) as pusher:
            told = [pusher.unusable(Unusable(sequence=1, code=PeerCode.TAMPERED)) for _ in range(3)]
        assert told == [True, False, False]


async def test_what_is_offered_in_its_place_is_not_read_again(tmp_path: Path) -> None:
    """Whoever has been pushed everything gets it from memory; in order, once."""
    async with inside(tmp_path) as here:
        other = Other()
        async with pushed(here, other) as pusher:
            await here.ask("XAA", sent(EVERYONE))
            pusher.wake()
            await other.has(1)
            reads = here.store.stats().reads  # type: ignore[attr-defined]
            await until_idle(pusher)
            for sequence in range(2, 40):
                pusher.offer(sequence, ItemKind.STATEMENT, lambda: b"said")
            assert await other.has(39) == list(range(1, 40))
            assert here.store.stats().reads - reads <= 1  # type: ignore[attr-defined]


async def test_an_offer_behind_a_hole_is_read_from_the_store(tmp_path: Path) -> None:
    """Another process may have stored what comes before it; nothing is skipped."""
    async with inside(tmp_path) as here:
        other = Other()
        async with pushed(here, other) as pusher:
            await until_idle(pusher)
            for _ in range(3):
                await here.ask("XAA", sent(EVERYONE))
            pusher.offer(3, ItemKind.ENVELOPE, lambda: b"never made")
            assert await other.has(3) == [1, 2, 3]


async def test_more_than_is_held_is_read_from_the_store(tmp_path: Path) -> None:
    """A recipient that takes nothing costs bounded memory."""
    async with inside(tmp_path) as here:
        other = Other(window=0)
        made: list[int] = []
        async with pushed(here, other) as pusher:
            await until_idle(pusher)
            for sequence in range(1, 200):
                pusher.offer(sequence, ItemKind.STATEMENT, lambda: made.append(1) or b"said")  # type: ignore[func-returns-value]
            assert len(made) == READ_ITEMS


async def until_idle(pusher: Pusher) -> None:
    """Return once the pusher has read everything and waits for offers."""
    async with asyncio.timeout(10):
        while pusher._expected is None:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)


def offered(pusher: Pusher, sequence: int, sender: str, *, is_urgent: bool = False, size: int = 5) -> None:
    """Offer an envelope of a sender."""
    content = f"{sequence}".encode().ljust(size)
    pusher.offer(sequence, ItemKind.ENVELOPE, lambda: content, sender=sender, is_urgent=is_urgent)


async def test_what_is_urgent_goes_ahead_of_what_others_have_sent(tmp_path: Path) -> None:
    """Only if nothing of its own sender waits; it comes again in its turn."""
    async with inside(tmp_path) as here:
        other = Other(window=1)
        async with pushed(here, other) as pusher:
            await until_idle(pusher)
            for sequence in range(1, 6):
                offered(pusher, sequence, "XAA")
            await other.has(1)
            offered(pusher, 6, "XCC", is_urgent=True)
            offered(pusher, 7, "XAA", is_urgent=True)
            offered(pusher, 8, "XCC", is_urgent=True)
            assert [data.strip() for data in other.ahead] == [b"6"]
            other.window = 100
            pusher.collected(Collected(sequence=1))
            assert await other.has(8) == list(range(1, 9))


async def test_what_is_next_does_not_go_ahead_of_itself(tmp_path: Path) -> None:
    """An urgent item for whoever has everything is delivered once."""
    async with inside(tmp_path) as here:
        other = Other()
        async with pushed(here, other) as pusher:
            await until_idle(pusher)
            offered(pusher, 1, "XCC", is_urgent=True)
            await other.has(1)
            assert not other.ahead


async def test_nothing_goes_ahead_of_what_another_process_may_have_stored(tmp_path: Path) -> None:
    """It could be of the same sender."""
    async with inside(tmp_path) as here:
        other = Other(window=0)
        async with pushed(here, other) as pusher:
            await until_idle(pusher)
            offered(pusher, 3, "XCC", is_urgent=True)
            assert not other.ahead


async def test_little_goes_ahead_as_it_fills_no_window(tmp_path: Path) -> None:
    """So many items, and none that is large, until the other side has taken something else."""
    async with inside(tmp_path) as here:
        other = Other(window=0)
        async with pushed(here, other) as pusher:
            await until_idle(pusher)
            offered(pusher, 1, "XAA")
            offered(pusher, 2, "XBC", is_urgent=True, size=FLUSH_BYTES + 1)
            for number in range(20):
                offered(pusher, 3 + number, f"XD{number}", is_urgent=True)
            assert len(other.ahead) == MOST_AHEAD
