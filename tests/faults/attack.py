"""What strangers and a mad member do to a coordinator: at a given rate, for a given time, on loopback only.

Addresses are those of 127.0.0.0/8, so that the attackers have as many as they like.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any

from tests.benchmarks.lean import ACCEPTED, REFUSED, Lean
from tests.benchmarks.presealed import Envelope

ADDRESSES_EACH = 16
"""A door lets in so many connections of one address."""


def addresses(count: int, *, net: int) -> Iterator[str]:
    """Yield so many loopback addresses of a net, again and again."""
    return cycle([f"127.{net}.{number // 250}.{number % 250 + 1}" for number in range(count)])


@asynccontextmanager
async def slow_sockets(port: int, count: int) -> AsyncIterator[int]:
    """Hold so many sockets that begin TLS and go on a byte a second; replaced when they are cut."""
    places = addresses(count // ADDRESSES_EACH + 1, net=1)
    held = [asyncio.create_task(_drip(port, next(places))) for _ in range(count)]
    try:
        yield count
    finally:
        await _end(held)


@asynccontextmanager
async def connecting(port: int, per_second: float) -> AsyncIterator[list[int]]:
    """Open and drop so many connections a second, from 50 addresses; the list tells how many it were."""
    counted = [0]
    task = asyncio.create_task(_connect(port, per_second, counted))
    try:
        yield counted
    finally:
        await _end([task])


class Flood:
    """A member that pushes as fast as its window allows, and asks again at once for what is refused.

    Args:
        lean: Its session.
        envelopes: What it pushes, in order; when they are through, it goes on with the last for ever.
    """

    def __init__(self, lean: Lean, envelopes: list[Envelope]) -> None:
        self._lean = lean
        self._next = iter(envelopes)
        self.accepted = 0
        self.refused = 0
        lean.listen(self._heard)
        self._push(lean.window)

    def _heard(self, messages: list[list[Any]]) -> None:
        accepted = sum(message[0] == ACCEPTED for message in messages)
        refused = sum(message[0] == REFUSED for message in messages)
        self.accepted += accepted
        self.refused += refused
        self._push(accepted + refused)

    def _push(self, count: int) -> None:
        frames = [one.frame for _, one in zip(range(count), self._next, strict=False)]
        if frames:
            self._lean.write(frames)


async def _drip(port: int, address: str) -> None:
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
            try:
                for byte in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03":
                    writer.write(bytes((byte,)))
                    await writer.drain()
                    await asyncio.sleep(1.0)
                while await reader.read(4096):
                    pass
            finally:
                writer.transport.abort()
        await asyncio.sleep(0.5)


async def _connect(port: int, per_second: float, counted: list[int]) -> None:
    loop = asyncio.get_running_loop()
    places, began = addresses(50, net=2), loop.time()
    while True:
        due = int((loop.time() - began) * per_second)
        while counted[0] < due:
            counted[0] += 1
            with socket.socket() as stranger:
                stranger.setblocking(False)
                with contextlib.suppress(OSError):
                    stranger.bind((next(places), 0))
                    stranger.connect(("127.0.0.1", port))
        await asyncio.sleep(0.02)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
