"""Reaching a node that runs, from a command that changes what it stands on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from exchange.cli.client import NodeClient
    from exchange.settings import NodeSettings
    from exchange.setup.amending import Alarm, Reach

TRIES = 3
_PAUSE_S = 1.0
_T = TypeVar("_T")


def reach(settings: NodeSettings) -> Reach:
    """Return how to reach the node of these settings over its socket."""
    from exchange.cli.client import NodeClient

    return lambda token: RunningNode(NodeClient(settings.socket, token))


class RunningNode:
    """A node that runs."""

    def __init__(self, client: NodeClient) -> None:
        self._client = client

    async def documents(self) -> tuple[list[bytes], bool]:
        """Return all its documents in order, and whether none of them waits for the coordinator."""
        from exchange.node.paper_views import DocumentsView
        from protocol.text import parse_base64

        query = {"history": "true"}
        found = await _asked(lambda: self._client.ask("GET", "/v1/documents", DocumentsView, query=query))
        shown = found.documents
        documents = [parse_base64(one.document or "", what="document") for one in shown]
        return documents, all(one.handed_over for one in shown)

    async def alarms(self) -> list[Alarm]:
        """Return its alarms."""
        from exchange.node.views import NodeView
        from exchange.setup.amending import Alarm

        view = await _asked(lambda: self._client.ask("GET", "/v1/node", NodeView))
        return [Alarm(one.code, one.message, one.next) for one in view.alarms]

    async def hand_in(self, data: bytes) -> None:
        """Hand in a signed document; one whose outcome is unknown is handed in again, which is safe."""
        from exchange.node.paper_views import DocumentView
        from exchange.node.requests import DocumentRequest
        from protocol.text import format_base64

        body = DocumentRequest(document=format_base64(data))
        await _asked(lambda: self._client.ask("POST", "/v1/documents", DocumentView, body=body))


async def _asked(ask: Callable[[], _T]) -> _T:
    from protocol.errors import OutcomeUnknown, StoreFailed, Unreachable

    for left in reversed(range(TRIES)):
        try:
            return await asyncio.to_thread(ask)
        except (OutcomeUnknown, StoreFailed, Unreachable):
            if not left:
                raise
            await asyncio.sleep(_PAUSE_S)
    raise AssertionError("the last try returns or raises")
