"""The load itself: each notice is sent when it is due, and its times are taken from there.

Requests go over the node's ordinary local interface, with a sender's token, as any program's would. Every
notice is marked as an exercise. Each is asked for once: what became of it is an outcome, not a retry.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import msgspec

from exchange.api.problems import Problem
from exchange.clock import Clock
from exchange.hammer.histogram import Histogram
from exchange.hammer.profiles import Due
from exchange.hammer.target import Target
from exchange.node.requests import SubmitRequest
from exchange.node.views import EventView, SubmittedView

SITE = "http://almenara"
MOST_OPEN = 4096
"""So many requests may be unanswered; what is due beyond that is counted as held back, not as sent."""

ANSWER_SECONDS = 30.0
CONTENT_BYTES = 2048
PROGRESS_SECONDS = 1.0


@dataclass(slots=True)
class Measured:
    """What is known so far.

    Attributes:
        due: How many notices were to be sent until now.
        held_back: How many of them were not: too many requests were unanswered.
        accepted: How many the node has stored.
        busy: How many it refused for now, with 503 and Retry-After: nothing was taken.
        rejected: How many it refused, by its code.
        unknown: Of how many nobody can say what became of them, by the reason.
        deliveries: How many recipients were to get something that was accepted.
        times: Seconds from when a notice was due until it was accepted; until it was relayed; until a
            recipient had it; until all had it.
        seconds: How long it took, without the wait at the end.
    """

    due: int = 0
    held_back: int = 0
    accepted: int = 0
    busy: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    deliveries: int = 0
    times: dict[str, Histogram] = field(
        default_factory=lambda: {name: Histogram() for name in ("accepted", "relayed", "received", "all")}
    )
    seconds: float = 0.0


@dataclass(slots=True)
class _Flight:
    """One accepted notice that is not everywhere yet."""

    due: float
    missing: set[str]
    relayed: bool = False


class Load:
    """One run. Use :meth:`run` once; :attr:`measured` may be read at any time.

    Args:
        socket: The node's Unix socket.
        token: A sender's token.
        target: Who gets the notices.
        clock: Takes the times.
    """

    def __init__(self, socket: Path, token: str, target: Target, clock: Clock) -> None:
        self.measured = Measured()
        self._socket = socket
        self._headers = {"Authorization": f"Bearer {token}"}
        self._target = target
        self._clock = clock
        self._bodies = {point: self._body(level) for point, level in target.levels.items()}
        self._flights: dict[str, _Flight] = {}
        self._early: dict[str, list[EventView]] = {}
        """Events of notices whose acceptance was not answered yet."""
        self._open: set[asyncio.Task[None]] = set()
        self._quiet = asyncio.Event()
        self._began = 0.0

    async def run(
        self,
        dues: Sequence[Due],
        *,
        patience: float,
        stop: asyncio.Event,
        progress: Callable[[Measured], None],
    ) -> None:
        """Send everything, then wait for what is under way.

        Args:
            dues: What is due, in order.
            patience: How many seconds to wait at the end for what has not arrived.
            stop: Set by whoever has seen enough.
            progress: Told how far it is, about once a second.

        Raises:
            ClientError: the node's events cannot be followed.
        """
        connector = aiohttp.UnixConnector(str(self._socket), limit=0)
        async with aiohttp.ClientSession(connector=connector, headers=self._headers) as http:
            since = await self._newest_event(http)
            following = asyncio.create_task(self._follow(http, since))
            telling = asyncio.create_task(self._tell(progress))
            try:
                await self._send_all(http, dues, stop)
                self.measured.seconds = self._clock.monotonic() - self._began
                await self._settle(patience, stop)
            finally:
                for task in (following, telling, *self._open):
                    task.cancel()
                await asyncio.gather(following, telling, *self._open, return_exceptions=True)

    async def _send_all(self, http: aiohttp.ClientSession, dues: Sequence[Due], stop: asyncio.Event) -> None:
        self._began = self._clock.monotonic()
        for due in dues:
            left = self._began + due.at - self._clock.monotonic()
            if left > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), left)
            if stop.is_set():
                return
            self.measured.due += 1
            if len(self._open) >= MOST_OPEN:
                self.measured.held_back += 1
                continue
            task = asyncio.create_task(self._send(http, due))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def _settle(self, patience: float, stop: asyncio.Event) -> None:
        """Wait until everything is everywhere, for at most so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while (self._open or self._flights) and not stop.is_set():
                    self._quiet.clear()
                    waits = [asyncio.ensure_future(self._quiet.wait()), asyncio.ensure_future(stop.wait())]
                    try:
                        await asyncio.wait([*waits, *self._open], return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        for wait in waits:
                            wait.cancel()

    async def _send(self, http: aiohttp.ClientSession, due: Due) -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": secrets.token_hex(16)}
        body = self._bodies.get(due.point) or next(iter(self._bodies.values()))
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        try:
            async with http.post(
                f"{SITE}/v1/notices", data=body, headers=headers, timeout=timeout
            ) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            _count(self.measured.unknown, type(error).__name__)
            return
        if response.status < 300:
            self._accepted(msgspec.json.decode(answer, type=SubmittedView), self._began + due.at)
        elif response.status == 503 and aiohttp.hdrs.RETRY_AFTER in response.headers:
            self.measured.busy += 1
        else:
            code = _code(answer)
            _count(self.measured.unknown if response.status >= 500 else self.measured.rejected, code)

    def _accepted(self, told: SubmittedView, due: float) -> None:
        measured = self.measured
        measured.accepted += 1
        measured.times["accepted"].record(self._clock.monotonic() - due)
        missing = set(self._target.recipients) - {one.state for one in told.skipped}
        measured.deliveries += len(missing)
        self._flights[told.id] = _Flight(due, missing)
        for event in self._early.pop(told.id, ()):
            self._note(event)

    # Events.

    async def _newest_event(self, http: aiohttp.ClientSession) -> int:
        """Return the number of the last event so far, or 0; whatever is there is passed over."""
        newest = 0
        with contextlib.suppress(TimeoutError):
            async with http.get(f"{SITE}/v1/events", timeout=aiohttp.ClientTimeout(total=None)) as stream:
                stream.raise_for_status()
                while True:
                    line = await asyncio.wait_for(stream.content.readline(), 0.5)
                    if not line:
                        break
                    if line.startswith(b"id: "):
                        newest = int(line[4:])
        return newest

    async def _follow(self, http: aiohttp.ClientSession, since: int) -> None:
        """Follow the node's events from now on, also over a break of the connection."""
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                url, endless = f"{SITE}/v1/events?since={since}", aiohttp.ClientTimeout(total=None)
                async with http.get(url, timeout=endless) as stream:
                    async for line in stream.content:
                        if line.startswith(b"data: "):
                            event = msgspec.json.decode(line[6:], type=EventView)
                            since = event.number
                            self._note(event)
            await asyncio.sleep(0.2)

    def _note(self, event: EventView) -> None:
        if event.id is None or event.event not in ("notice.relayed", "notice.received"):
            return
        flight = self._flights.get(event.id)
        if flight is None:
            if self._open and len(self._early) < MOST_OPEN:
                self._early.setdefault(event.id, []).append(event)
            return
        passed = self._clock.monotonic() - flight.due
        if event.event == "notice.relayed":
            if not flight.relayed:
                flight.relayed = True
                self.measured.times["relayed"].record(passed)
        elif event.state in flight.missing:
            flight.missing.discard(event.state)
            self.measured.times["received"].record(passed)
        if not flight.missing:
            self.measured.times["all"].record(passed)
            del self._flights[event.id]
            self._quiet.set()

    async def _tell(self, progress: Callable[[Measured], None]) -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            progress(self.measured)

    def _body(self, level: str) -> bytes:
        request = SubmitRequest(
            to=self._target.recipients,
            severity=level,
            subject="Exercise: load on a test community",
            text="This notice belongs to a test of the load that this community carries. ".ljust(
                CONTENT_BYTES, "."
            ),
            exercise=True,
            life_ms=3_600_000,
        )
        return msgspec.json.encode(request)


def _count(where: dict[str, int], name: str) -> None:
    where[name] = where.get(name, 0) + 1


def _code(answer: bytes) -> str:
    try:
        return msgspec.json.decode(answer, type=Problem).code
    except msgspec.DecodeError:
        return "no-problem"
