"""A line of so many bytes a second between a member and the coordinator, with hardly any buffer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

BUFFER_BYTES = 8 * 1024
PIECE_BYTES = 2 * 1024


@asynccontextmanager
async def slow_line(port: int, bytes_per_second: float) -> AsyncIterator[int]:
    """Listen, and pass on to ``port``; what comes back is slow. Yields where to connect."""
    loop = asyncio.get_running_loop()
    lines: set[asyncio.Task[None]] = set()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)

    async def accept() -> None:
        while True:
            near, _ = await loop.sock_accept(listener)
            task = loop.create_task(_line(near, port, bytes_per_second))
            lines.add(task)
            task.add_done_callback(lines.discard)

    accepting = loop.create_task(accept())
    try:
        yield listener.getsockname()[1]
    finally:
        for task in (accepting, *lines):
            task.cancel()
        await asyncio.gather(accepting, *lines, return_exceptions=True)
        listener.close()


async def _line(near: socket.socket, port: int, bytes_per_second: float) -> None:
    loop = asyncio.get_running_loop()
    with near, socket.socket() as far:
        near.setblocking(False)
        far.setblocking(False)
        # Before it connects: the window that is offered follows from it.
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        await loop.sock_connect(far, ("127.0.0.1", port))
        back = loop.create_task(_pass_on(far, near, bytes_per_second))
        with contextlib.suppress(OSError):
            await _pass_on(near, far, None)
        back.cancel()
        await asyncio.gather(back, return_exceptions=True)


async def _pass_on(source: socket.socket, sink: socket.socket, bytes_per_second: float | None) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    while data := await loop.sock_recv(source, PIECE_BYTES if bytes_per_second else 65536):
        await loop.sock_sendall(sink, data)
        if bytes_per_second is not None:
            due = max(due, loop.time() - 0.05) + len(data) / bytes_per_second
            await asyncio.sleep(max(0.0, due - loop.time()))
