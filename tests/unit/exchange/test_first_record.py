"""A stranger costs nothing before its first TLS record is whole, and what it sent is still there then."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from exchange.link.first_record import has_first_record

HELLO = b"\x16\x03\x01\x00\x0a" + b"0123456789"


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """An accepted TCP connection and its other end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
        theirs.setblocking(False)
        with ours, theirs:
            yield theirs, ours


async def test_a_whole_record_is_seen_and_left_where_it_is(pair: tuple[socket.socket, socket.socket]) -> None:
    """However it is cut on its way."""
    theirs, ours = pair
    waiting = asyncio.create_task(has_first_record(theirs, 10.0))
    for byte in HELLO:
        assert not waiting.done()
        ours.send(bytes((byte,)))
        await asyncio.sleep(0)
    ours.send(b"and more")
    assert await waiting
    assert theirs.recv(100) == HELLO + b"and more"


@pytest.mark.parametrize(
    "sent", [b"", b"\x16", HELLO[:-1], b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\xff\xff" + bytes(100)]
)
async def test_whoever_goes_or_sends_something_else_is_not_waited_for(
    pair: tuple[socket.socket, socket.socket], sent: bytes
) -> None:
    """It ends as soon as the other side has ended."""
    theirs, ours = pair
    ours.send(sent)
    ours.shutdown(socket.SHUT_WR)
    assert not await asyncio.wait_for(has_first_record(theirs, 60.0), 10.0)


async def test_whoever_drips_has_its_time(pair: tuple[socket.socket, socket.socket]) -> None:
    """And not longer."""
    theirs, ours = pair
    ours.send(HELLO[:7])
    assert not await has_first_record(theirs, 0.05)
