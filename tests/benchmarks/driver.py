"""The load: notices submitted over the sender's local interface, and the receipts that come back.

One W is one notice of 2 KiB to three recipients, from the request until the sender's node has
verified and stored the RECEIVED statements of all three.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.benchmarks.processes import RECIPIENTS, Stage

NOTICE_BYTES = 2048
PATIENCE_SECONDS = 60.0
_SITE = "http://almenara"


@dataclass
class _Flight:
    """One notice on its way."""

    received: set[str] = field(default_factory=set)
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Driver:
    """Sends through one node and follows its events.

    Args:
        http: Speaks to the node, with its token.
    """

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self._flights: dict[str, _Flight] = {}
        self._last = ""
        self._notice = json.dumps(
            {
                "to": RECIPIENTS,
                "severity": "ppd-41:severe",
                "subject": "Ransomware at a power distributor",
                "text": "Two control rooms are affected. ".ljust(NOTICE_BYTES, "."),
            }
        ).encode()

    async def one(self) -> float:
        """Do one W and return its seconds."""
        started = time.perf_counter()
        key = secrets.token_hex(16)
        try:
            told = await self._submit(key)
        except aiohttp.ClientOSError:
            # The node had closed a connection that was idle; the same key is safe to repeat.
            told = await self._submit(key)
        flight = self._flights.setdefault(told["id"], _Flight())
        await asyncio.wait_for(flight.done.wait(), PATIENCE_SECONDS)
        del self._flights[told["id"]]
        self._last = told["id"]
        return time.perf_counter() - started

    async def _submit(self, key: str) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        async with self._http.post(f"{_SITE}/v1/notices", data=self._notice, headers=headers) as answer:
            told: dict[str, str] = await answer.json()
            if answer.status not in (200, 201):
                raise RuntimeError(f"the node refused a notice: {told}")
            return told

    async def many(self, count: int, in_flight: int) -> None:
        """Do ``count`` Ws with at most ``in_flight`` under way."""
        left = iter(range(count))

        async def keep_on() -> None:
            for _ in left:
                await self.one()

        await asyncio.gather(*(keep_on() for _ in range(in_flight)))

    async def paced(self, per_second: float, count: int) -> list[float]:
        """Do ``count`` Ws, one begun every so often whether the others are done or not; return their seconds.

        Counted from when each was due: a service that falls behind cannot hide it by being asked later.
        """
        began = time.perf_counter()

        async def one_at(due: float) -> float:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await self.one()
            return time.perf_counter() - due

        return list(await asyncio.gather(*(one_at(began + n / per_second) for n in range(count))))

    async def proof(self) -> dict[str, Any]:
        """Return the receipt of the notice that was sent last, as the node gives it out now."""
        async with self._http.get(f"{_SITE}/v1/notices/{self._last}/proof") as answer:
            told: dict[str, Any] = await answer.json()
            return told if answer.status == 200 else {"statements": 0, "pending": []}

    async def follow(self) -> None:
        """Follow the node's events until cancelled."""
        endless = aiohttp.ClientTimeout(total=None)
        async with self._http.get(f"{_SITE}/v1/events", timeout=endless) as stream:
            async for line in stream.content:
                if line.startswith(b"data:"):
                    self._note(json.loads(line[5:]))

    def _note(self, event: dict[str, str]) -> None:
        if event["event"] == "notice.received":
            flight = self._flights.setdefault(event["id"], _Flight())
            flight.received.add(event["state"])
            if flight.received == set(RECIPIENTS):
                flight.done.set()


@asynccontextmanager
async def driving(stage: Stage) -> AsyncIterator[Driver]:
    """Yield a driver once the sender's node answers and a first W has gone all the way."""
    connector = aiohttp.UnixConnector(str(stage.socket), limit=0)
    headers = {"Authorization": f"Bearer {stage.token}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as http:
        await _until_there(stage.socket, http)
        driver = Driver(http)
        following = asyncio.create_task(driver.follow())
        try:
            await driver.one()
            yield driver
        finally:
            following.cancel()


async def _until_there(path: Path, http: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                async with http.get(f"{_SITE}/livez"):
                    return
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.1)
