"""Nothing is spent on a stranger before its whole first TLS record is there.

TLS costs some hundred kilobytes for a connection, from its first byte on. So the kernel holds what comes
until a ClientHello is complete: who says nothing, drips, or is gone again has cost a file descriptor.
"""

from __future__ import annotations

import asyncio
import socket

HEADER_BYTES = 5
MOST_RECORD_BYTES = 16_384 + 256
"""RFC 8446, section 5.1; a ClientHello has a few hundred."""

HANDSHAKE_RECORD = 0x16


async def has_first_record(connection: socket.socket, seconds: float) -> bool:
    """Wait for a whole TLS handshake record without taking it; False if none comes in time.

    Args:
        connection: An accepted, non-blocking TCP socket.
        seconds: How long to wait at most.
    """
    try:
        async with asyncio.timeout(seconds):
            head = await _peek(connection, HEADER_BYTES)
            size = int.from_bytes(head[3:5], "big")
            if len(head) < HEADER_BYTES or head[0] != HANDSHAKE_RECORD or size > MOST_RECORD_BYTES:
                return False
            return len(await _peek(connection, HEADER_BYTES + size)) == HEADER_BYTES + size
    except (TimeoutError, OSError):
        return False


async def _peek(connection: socket.socket, size: int) -> bytes:
    """Return the first bytes once so many are there, or fewer if no more will come; they stay there."""
    loop = asyncio.get_running_loop()
    # The kernel says that there is something to read only when there is so much of it (socket(7)).
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
    try:
        there: asyncio.Future[None] = loop.create_future()
        loop.add_reader(connection, _tell, there)
        try:
            await there
        finally:
            loop.remove_reader(connection)
        return connection.recv(size, socket.MSG_PEEK)
    finally:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)


def _tell(there: asyncio.Future[None]) -> None:
    if not there.done():
        there.set_result(None)
