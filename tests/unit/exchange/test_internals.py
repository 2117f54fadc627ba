"""What we use of aiohttp without its promise is where we expect it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import aiohttp
import pytest
from aiohttp import http_parser, web

from exchange.link.guard import GuardedConnection
from exchange.link.internals import PIECE_BYTES, Outlet, Socket, require_compiled_parsers, transport_of
from protocol.errors import SetupError
from tests.links import world


async def test_the_connection_under_both_kinds_of_websocket_is_found(tmp_path: Path) -> None:
    """The client's and the server's WebSocket show it at the same place."""
    async with world(tmp_path) as here, here.session(here.xaa) as link:
        assert isinstance(link._socket, aiohttp.ClientWebSocketResponse)
        assert transport_of(link._socket).get_extra_info("ssl_object") is not None


def test_a_moved_connection_is_reported_with_the_next_step() -> None:
    """An aiohttp that keeps it elsewhere stops the start, with a sentence."""
    with pytest.raises(SetupError, match="this release of aiohttp") as caught:
        transport_of(cast(Socket, SimpleNamespace(_writer=None)))
    assert "requirements.lock" in caught.value.hint


def test_the_guard_overrides_what_exists() -> None:
    """A renamed method would leave our deadline unused without a sound."""
    for name in ("connection_made", "connection_lost", "handle_error"):
        assert callable(getattr(web.RequestHandler, name))
        assert getattr(GuardedConnection, name) is not getattr(web.RequestHandler, name)


def test_the_compiled_parsers_are_in_use_here() -> None:
    """The packages we lock are complete."""
    require_compiled_parsers()


def test_without_the_compiled_parsers_nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp's slow parsers read some requests in other ways."""
    monkeypatch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
    with pytest.raises(SetupError, match="compiled"):
        require_compiled_parsers()


def outlet(*, masks: bool) -> Outlet:
    bare = object.__new__(Outlet)
    bare._masks = masks
    return bare


@pytest.mark.parametrize("masks", [False, True])
def test_messages_that_wait_are_written_in_few_pieces_and_come_apart_again(masks: bool) -> None:
    """With and without a mask, in all three lengths of a frame's head."""
    sizes = (0, 125, 126, 65535, 65536, 70_000)
    sent = [bytes([number]) * size for number, size in enumerate(sizes)]
    pieces = list(outlet(masks=masks).pieces(sent))
    assert len(pieces) < len(sent)
    assert list(cut(b"".join(pieces), masks)) == sent


def cut(piece: bytes, masks: bool) -> Iterator[bytes]:
    """Read frames as RFC 6455 has them."""
    while piece:
        assert piece[0] == 0x82
        assert bool(piece[1] & 0x80) is masks
        size, at = piece[1] & 0x7F, 2
        if size > 125:
            wide = 2 if size == 126 else 8
            size, at = int.from_bytes(piece[2 : 2 + wide], "big"), 2 + wide
        mask = piece[at : at + 4] if masks else bytes(4)
        at += 4 if masks else 0
        covered = piece[at : at + size]
        yield bytes(byte ^ mask[number % 4] for number, byte in enumerate(covered))
        piece = piece[at + size :]


def test_a_piece_ends_where_it_is_full() -> None:
    """What is behind it waits until the other side has taken it."""
    pieces = list(outlet(masks=False).pieces([bytes(PIECE_BYTES), b"a", b"b"]))
    assert [len(piece) for piece in pieces] == [10 + PIECE_BYTES, 6]


def test_a_writer_that_moved_is_reported_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """An aiohttp that writes in another way stops the start, with a sentence."""
    monkeypatch.setattr("exchange.link.internals.transport_of", lambda _: None)
    with pytest.raises(SetupError, match="how a WebSocket writes"):
        Outlet(cast(Socket, SimpleNamespace(_writer=None)))
