"""A node with its courier and a scripted coordinator, over real TLS, not yet connected."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from protocol.envelope import parse_submission
from protocol.session.messages import (
    Message,
    Submit,
)
from tests.couriers import ScriptedHub, a_hub, until
from tests.nodes import TestNode, a_node


@dataclass(frozen=True)
class Place:
    """XAA's node with a scripted coordinator, and where files may lie."""

    node: TestNode
    hub: ScriptedHub
    folder: Path

    async def queue_is(self, length: int) -> None:
        """Wait until so much is queued."""

        async def reached() -> bool:
            return len(await self.node.queue()) == length

        await until(reached)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """Return a node and a coordinator, not yet connected."""
    async with a_node(tmp_path / "XAA", "XAA") as node, a_hub(tmp_path, node) as hub:
        yield Place(node, hub, tmp_path)


def envelope_of(request: Message) -> bytes:
    """Return the id of a submitted envelope."""
    assert isinstance(request, Submit), request
    return parse_submission(request.submission)[1].id
