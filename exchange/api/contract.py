"""What the local interface asks of the node: who asks, what they want, what comes back.

The interface itself decides nothing about notices; it parses, asks the desk and encodes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal, Protocol

from exchange.node.requests import AnswerRequest, SubmitRequest
from exchange.node.tokens import Identity
from exchange.node.views import (
    AnswerView,
    ContentView,
    EventView,
    MemberView,
    NodeView,
    NoticeView,
    SchemaView,
    StatusView,
    SubmittedView,
    TranslationView,
)

Milestone = Literal["relayed", "received", "answered"]

Ready = Callable[[], Awaitable[None]]
"""Returns when the node can write to its store now; raises an AlmenaraError when it cannot."""


class Tokens(Protocol):
    """Those who may ask."""

    def identify(self, text: str) -> Identity:
        """Return whose token this is; raises NotAuthorized."""
        ...


class Desk(Protocol):
    """The node, as its local interface sees it."""

    async def submit(self, who: Identity, request: SubmitRequest, request_id: str) -> SubmittedView:
        """Accept a notice durably; the same id with the same content is accepted once."""
        ...

    async def inbox(
        self, who: Identity, *, unread: bool = False, limit: int = 100, before_ms: int | None = None
    ) -> tuple[NoticeView, ...]:
        """Return received notices, newest and most severe first."""
        ...

    async def outbox(self, who: Identity, *, limit: int = 100) -> tuple[NoticeView, ...]:
        """Return sent notices, newest first."""
        ...

    async def resolve(self, prefix: str) -> str:
        """Return the full id that begins so; raises NotFound, or BadRequest if several do."""
        ...

    async def notice(self, who: Identity, id: str) -> NoticeView:
        """Return what lists show; signs nothing."""
        ...

    async def open(self, who: Identity, id: str) -> ContentView:
        """Return the content; for a received notice an OPENED statement is signed once per officer."""
        ...

    async def answer(self, who: Identity, id: str, request: AnswerRequest) -> AnswerView:
        """Sign and record an officer's answer."""
        ...

    async def status(self, who: Identity, id: str) -> StatusView:
        """Return every delivery of a notice."""
        ...

    async def wait(self, who: Identity, id: str, state: Milestone, timeout_s: float) -> StatusView:
        """Return when every delivery has reached the milestone or failed, or the seconds are over."""
        ...

    async def node(self, who: Identity) -> NodeView:
        """Return the node's own condition."""
        ...

    async def members(self, who: Identity) -> tuple[MemberView, ...]:
        """Return the members of the community."""
        ...

    async def schemas(self, who: Identity) -> tuple[SchemaView, ...]:
        """Return the severity schemas known here."""
        ...

    async def translate(self, who: Identity, source: str, target: str) -> TranslationView:
        """Return a level in another schema's words."""
        ...

    def events(self, who: Identity, since: int) -> AsyncIterator[EventView]:
        """Yield every event after the number ``since``, stored ones first, then for ever as they happen."""
        ...
