"""A running node of the demonstration, asked over its local HTTP interface as any script would."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from pathlib import Path

from exchange.api.routes import Health, Notices
from exchange.cli.client import NodeClient
from exchange.clock import pause
from exchange.demo import stix
from exchange.demo.cast import Script, State
from exchange.keystore import read_secret
from exchange.node.requests import AnswerRequest, AttachmentRequest, SubmitRequest
from exchange.node.views import (
    AnswerView,
    ContentView,
    EventView,
    LedgerView,
    NodeView,
    NoticeView,
    StatusView,
    SubmittedView,
)
from protocol.errors import ServiceError, Unreachable
from protocol.text import format_base64

LOOK_S = 0.02
STATUS_WAIT_S = 60


class RunningNode:
    """One state's node, with its duty officer at the desk.

    Nothing here gives up by itself: whoever calls sets a deadline (:mod:`exchange.demo.deadline`).

    Args:
        state: Whose node it is.
        data: Its data directory.
        token_file: The officer's token.
    """

    def __init__(self, state: State, data: Path, token_file: Path) -> None:
        self.state = state
        self.code = state.code
        self.data = data
        self.token_file = token_file
        self._socket = data / "api.sock"
        self._seen = 0

    def wait_until_ready(self, require_running: Callable[[], None]) -> None:
        """Return when the node can take a notice; raises what ``require_running`` raises."""
        while True:
            require_running()
            with contextlib.suppress(Unreachable):
                self._client().ask("GET", "/readyz", Health)
                return
            pause(LOOK_S)

    def submit(
        self, script: Script, to: tuple[str, ...], bundle: bytes, *, refers_to: str | None = None
    ) -> SubmittedView:
        """Send a notice with its STIX bundle."""
        file = AttachmentRequest(
            name=stix.FILE_NAME, media_type=stix.MEDIA_TYPE, content=format_base64(bundle)
        )
        request = SubmitRequest(
            to=to,
            severity=script.severity,
            subject=script.subject,
            text=script.text,
            tlp=script.tlp,
            kind=script.kind,
            refers_to=refers_to,
            language=script.language,
            attachments=(file,),
        )
        return self._client().ask(
            "POST", "/v1/notices", SubmittedView, body=request, request_id=secrets.token_hex(16)
        )

    def inbox(self) -> tuple[NoticeView, ...]:
        """Return the received notices."""
        return self._client().ask("GET", "/v1/inbox", Notices).notices

    def open(self, id_: str) -> ContentView:
        """Read a notice; the officer signs OPENED."""
        return self._client().ask("POST", f"/v1/notices/{id_}/open", ContentView)

    def answer(self, id_: str, request: AnswerRequest) -> AnswerView:
        """Sign the officer's answer."""
        return self._client().ask("POST", f"/v1/notices/{id_}/answer", AnswerView, body=request)

    def status(self, id_: str, wait: str | None = None) -> StatusView:
        """Return every delivery of a sent notice, once all have reached ``wait``."""
        query = {"wait": wait, "timeout": None if wait is None else STATUS_WAIT_S}
        return self._client().ask(
            "GET", f"/v1/notices/{id_}/status", StatusView, query=query, timeout_s=STATUS_WAIT_S + 5
        )

    def ledger(self) -> LedgerView:
        """Return the ledger as the node has verified it."""
        return self._client().ask("GET", "/v1/ledger", LedgerView)

    def condition(self) -> NodeView:
        """Return the node's own condition."""
        return self._client().ask("GET", "/v1/node", NodeView)

    def event(self, name: str, *, about: str, by: str | None = None) -> EventView:
        """Return the first event of a name about a notice, as soon as there is one.

        Args:
            name: Such as ``inbox.received``.
            about: The id of the notice.
            by: The state that it must concern, or None for any.

        Raises:
            ServiceError: the node ended the stream.
        """
        for event in self._client().events(0):
            self._seen = max(self._seen, event.number)
            if event.event == name and event.id == about and by in (None, event.state):
                return event
        raise ServiceError(f"the node of {self.code} ended its event stream while {name} was awaited")

    def events_so_far(self, name: str) -> tuple[EventView, ...]:
        """Return every event of a name, from the first one up to the last one seen."""
        found = []
        for event in self._client().events(0):
            if event.event == name:
                found.append(event)
            if event.number >= self._seen:
                break
        return tuple(found)

    def _client(self) -> NodeClient:
        return NodeClient(self._socket, read_secret(self.token_file).strip())
