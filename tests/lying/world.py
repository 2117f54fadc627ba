"""A community of real processes whose coordinator lies."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from exchange.node.requests import AnswerRequest, SubmitRequest
from exchange.node.views import AnswerView, ContentView, LedgerView, LogView
from tests.acceptance.ceremony import HUB, Founded
from tests.acceptance.world import World, short_folder
from tests.lying.lies import Lies

HONEST = Lies()
BOUND_S = 60.0
"""Every lie is told of within this time, in seconds."""


class LyingWorld(World):
    """As :class:`World`, with a coordinator that tells these lies from its next start on."""

    lies: Lies = HONEST

    ledger_port: int | None = None

    def alarms(self, code: str) -> dict[str, str]:
        """Return what a node tells its people now: each alarm's code and sentence."""
        return {alarm.code: alarm.message for alarm in self.node(code).alarms}

    def until_told(self, code: str, *alarms: str, seconds: float = BOUND_S) -> float:
        """Return after how many seconds a node tells its people of one of these; fail if it does not."""
        began = time.monotonic()
        wanted = set(alarms)
        self.until(
            lambda: bool(wanted & set(self.alarms(code))),
            f"one of {sorted(wanted)} at {code}; there is {self.alarms(code)}",
            seconds,
        )
        return time.monotonic() - began

    def ledger(self, code: str) -> LogView:
        """Return the log of statements as a node has verified it."""
        shown = self.client(code).ask("GET", "/v1/ledger", LedgerView)
        return next(one for one in shown.logs if one.log == "ack")

    def witnessed(self, code: str) -> int:
        """Return how many leaves a quorum has cosigned, as far as a node knows; 0 for none."""
        return self.ledger(code).witnessed_size or 0

    def until_witnessed(self, code: str, id_: str) -> None:
        """Return once a quorum has cosigned every statement about a notice that both recipients answered."""
        self.status(code, id_, "received")
        self.until(lambda: self._is_witnessed(code, id_), f"everything about {id_[:12]} to be witnessed")

    def _is_witnessed(self, code: str, id_: str) -> bool:
        proofs = [one.evidence for one in self.status(code, id_).deliveries]
        return all(one and all("witnessed," in word for word in one.values()) for one in proofs)

    def send(self, code: str, request_id: str, *to: str) -> str:
        """Send a notice and return its id."""
        request = SubmitRequest(to=to, severity="ppd-41:severe", subject=request_id, text="All about it.")
        return self.submit(code, request, f"notice-{request_id}").id

    def accept(self, code: str, id_: str) -> None:
        """Open a notice as this state's officer, and accept it."""
        self.client(code).ask("POST", f"/v1/notices/{id_}/open", ContentView)
        answer = AnswerRequest(answer="accepted")
        self.client(code).ask("POST", f"/v1/notices/{id_}/answer", AnswerView, body=answer)

    def evidence(self, code: str) -> list[Path]:
        """Return the files of evidence that a node has written."""
        return sorted((self.data(code) / "evidence").glob("*.txt"))

    def _command(self, name: str, shift_ms: int) -> Sequence[str | Path]:
        if name != HUB:
            return super()._command(name, shift_ms)
        return [sys.executable, "-m", "tests.lying", "coordinator", "run", "--data", self.data(name)]

    def _address(self, name: str) -> dict[str, str]:
        address = super()._address(name)
        if name == HUB:
            address["ALMENARA_TEST_LIES"] = msgspec.json.encode(self.lies).decode()
            address["ALMENARA_WITNESS_S"] = "1"
            if self.ledger_port is not None:
                address["ALMENARA_LEDGER_PORT"] = str(self.ledger_port)
        return address


@contextmanager
def lying_world(founded: Founded, lies: Lies) -> Iterator[LyingWorld]:
    """Give a copy of a community with a coordinator that will lie, and end its processes afterwards."""
    with short_folder() as folder:
        world = LyingWorld(founded.copy(folder))
        world.lies = lies
        try:
            yield world
        finally:
            world.end()
