"""A proxy before the coordinator that treats each connection as badly as networks do.

It sees TLS and understands nothing: it cuts after so many bytes, resets, stalls, hands on in single bytes,
delays, and closes one half. It runs in a thread of its own, so that a test may wait for real processes.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self

CHUNK = 65536
RESET = struct.pack("ii", 1, 0)


class Way(Enum):
    """The direction in which bytes go."""

    UP = "to the coordinator"
    DOWN = "from the coordinator"


class End(Enum):
    """What happens when a direction has carried its bytes."""

    CUT = "both halves are closed"
    RESET = "both sides are sent a reset"
    HALF = "only this direction is closed"
    STALL = "nothing passes any more, and nobody is told"


@dataclass(frozen=True)
class Treatment:
    """How one connection is treated.

    Args:
        way: The direction that ends.
        after: After how many bytes of that direction; None for never.
        end: How it ends.
        slice: Hand on at most so many bytes at once; None for as they come.
        delay_s: Hold everything for so long, in seconds.
    """

    way: Way = Way.UP
    after: int | None = None
    end: End = End.CUT
    slice: int | None = None
    delay_s: float = 0.0


KINDLY = Treatment()

Treat = Callable[[str], Treatment]
"""Given who connects, as far as it is known, return how to treat the connection."""


@dataclass
class Proxy:
    """Listens at one port and forwards to another.

    Args:
        port: Where those come who look for the coordinator.
        to: Where the coordinator is.
        who: Names who connected from a local port; by default nobody is known.

    Attributes:
        treat: Asked for each connection; may be changed while it runs.
        passed: The bytes that were handed on, by who connected and direction.
        ended: How many connections ended as their treatment says.
        heard: Everything that passed, if it is to be kept.
    """

    port: int
    to: int
    who: Callable[[int], str] = lambda _: ""
    treat: Treat = lambda _: KINDLY
    heard: bytearray | None = None
    passed: Counter[tuple[str, Way]] = field(default_factory=Counter)
    ended: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _ready: threading.Event = field(default_factory=threading.Event)
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._listen()))
        self._thread.start()
        assert self._ready.wait(10), "the proxy does not listen"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()

    def cut(self, whose: str = "") -> None:
        """Cut every connection of this moment, or those of one."""
        self._loop.call_soon_threadsafe(self._cancel, whose)

    def _cancel(self, whose: str = "") -> None:
        for task in tuple(self._tasks):
            if whose in ("", task.get_name()):
                task.cancel()

    async def _listen(self) -> None:
        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            who = self.who(writer.get_extra_info("peername")[1])
            task = self._loop.create_task(self._forward(who, reader, writer), name=who)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            # Also of a connection that was cut before its task began.
            task.add_done_callback(lambda _: writer.transport.abort())

        server = await asyncio.start_server(connected, "127.0.0.1", self.port)
        self._ready.set()
        await self._over.wait()
        server.close()
        self._cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # what was aborted is closed by the loop's next steps

    async def _forward(self, who: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        treatment = self.treat(who)
        with suppress(OSError):
            there, forth = await asyncio.open_connection("127.0.0.1", self.to)
            pipes = [
                self._loop.create_task(self._copy((who, Way.UP), reader, forth, treatment)),
                self._loop.create_task(self._copy((who, Way.DOWN), there, writer, treatment)),
            ]
            try:
                # A direction that closed by itself leaves the other open; one that was cut does not.
                await asyncio.gather(*pipes)
            except _Cut as cut:
                if cut.args[0] is End.RESET:
                    for one in (writer, forth):
                        reset_on_close(one)
            finally:
                for pipe in pipes:
                    pipe.cancel()
                forth.transport.abort()

    async def _copy(
        self,
        what: tuple[str, Way],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        treatment: Treatment,
    ) -> None:
        left = treatment.after if what[1] is treatment.way else None
        while left != 0:
            data = await reader.read(CHUNK if left is None else min(CHUNK, left))
            if not data:
                break
            if left is not None:
                left -= len(data)
            if treatment.delay_s:
                await asyncio.sleep(treatment.delay_s)
            await hand_on(data, writer, treatment.slice or len(data))
            self.passed[what] += len(data)
            if self.heard is not None:
                self.heard += data
        if left == 0:
            self.ended += 1
            await self._end(treatment.end)
        if writer.can_write_eof():
            writer.write_eof()

    async def _end(self, end: End) -> None:
        match end:
            case End.CUT | End.RESET:
                raise _Cut(end)
            case End.STALL:
                await self._over.wait()
            case End.HALF:
                return


async def hand_on(data: bytes, writer: asyncio.StreamWriter, step: int) -> None:
    """Write some bytes, at most ``step`` of them in each segment."""
    for at in range(0, len(data), step):
        writer.write(data[at : at + step])
        await writer.drain()
        if step < len(data):
            await asyncio.sleep(0)


class _Cut(Exception):
    """The connection is to be closed now; never leaves this module."""


def reset_on_close(writer: asyncio.StreamWriter) -> None:
    """Let a socket answer its closing with a reset."""
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def owner(port: int, pids: Iterable[tuple[str, int]]) -> str:
    """Return which of some processes owns the socket with a local port on loopback; empty if none does.

    Args:
        port: The local port.
        pids: Names and numbers of processes.
    """
    wanted = f"socket:[{inode_of(port)}]"
    for name, pid in pids:
        with suppress(OSError):
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{descriptor}") == wanted:
                        return name
    return ""


def inode_of(port: int) -> str:
    """Return the inode of the socket with a local port; one that is closing already has none."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return next((row[9] for row in rows if row[1].endswith(f":{port:04X}") and row[9] != "0"), "")
