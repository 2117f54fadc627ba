"""What we use of aiohttp without its promise is where we expect it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import aiohttp
import pytest
from aiohttp import http_parser, web

from exchange.link.guard import GuardedConnection
from exchange.link.internals import Socket, require_compiled_parsers, transport_of
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
