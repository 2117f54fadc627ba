"""A node with its view of the ledger, and a coordinator that the test plays."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from exchange.link.pump import Link
from exchange.node.answers import Answered
from exchange.node.ledger import Ledger, LedgerTimes
from exchange.stores.node_books import AlarmRow, read_alarms
from exchange.stores.node_ledger import count_promises, list_evidence
from keys.evidence import NO_STATEMENT_YET, Saying, make_statement
from protocol.session.messages import Accepted, ItemKind
from protocol.statement import SeenCheckpoint, StatementKind
from tests.ledgers import PlayedLedger, Wire
from tests.nodes import SENDER, TestNode, a_node

TIMES = LedgerTimes(look_s=0.01)


@dataclass
class Scene:
    """XAA's node with its ledger, and a coordinator that the test plays."""

    node: TestNode
    ledger: Ledger
    played: PlayedLedger
    wire: Wire
    folder: Path
    since_ms: int

    @property
    def link(self) -> Link:
        """The session's link."""
        return cast(Link, self.wire)

    async def relay(self, *, record: bool = True) -> bytes:
        """Send a notice, promise to relay it, and return its id."""
        await self.node.send()
        row = (await self.node.queue())[-1]
        relayed = self.node.relayed(row.subject)
        if record:
            self.played.record(relayed)
        self.node.answers.offer(Answered(row, Accepted(ref=1, index=0, statement=relayed)))
        await self.node.answers.next_round()
        return row.subject

    async def announce(
        self, played: PlayedLedger | None = None, by: tuple[str, ...] = ("XBB", "XCC")
    ) -> None:
        """Tell the node of the newest witnessed checkpoint."""
        await self.ledger.take(self.link, (played or self.played).announce(by=by))

    async def look(self, after_ms: int = 0) -> None:
        """Let time pass, and let the node look."""
        self.node.clock.advance(after_ms)
        await self.ledger.look(self.link, self.since_ms)

    async def alarms(self) -> dict[str, AlarmRow]:
        """Return the alarms that stand, by code."""
        return {row.code: row for row in await self.node.context.engine.read(read_alarms)}

    async def evidence(self) -> list[str]:
        """Return the texts of the evidence that is kept."""
        return [text.decode() for _, text in await self.node.context.engine.read(list_evidence)]

    async def open_promises(self) -> tuple[int, int]:
        """Return how many statements wait for the log, and how many for a quorum."""
        return await self.node.context.engine.read(count_promises)

    async def evidence_of(self, envelope: bytes) -> set[str]:
        """Return what is said of RELAYED in the matrix."""
        status = await self.node.desk.status(SENDER, envelope.hex())
        return {one.evidence.get("relayed", "") for one in status.deliveries}

    def seen_by_xbb(self, envelope: bytes, size: int, root: bytes, sequence: int = 0) -> bytes:
        """Return XBB's signed REJECTED of a notice, which says that it saw this checkpoint."""
        seen = SeenCheckpoint(origin=self.played.origin, size=size, root=root)
        return make_statement(
            Saying(kind=StatementKind.REJECTED, envelope=envelope, code="cannot-open", seen=seen),
            party="XBB",
            signer=self.node.everyone.members["XBB"].node,
            at_ms=self.node.clock.now_ms(),
            nonce=secrets.token_bytes(32),
            directory=self.node.context.directory.head(),
            chain=NO_STATEMENT_YET,
        ).data

    async def hear(self, statement: bytes) -> None:
        """Deliver a statement to the node."""
        await self.node.receive(statement, kind=ItemKind.STATEMENT)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """Return a node that is connected, and a log with five strangers' leaves."""
    async with a_node(tmp_path / "XAA", "XAA") as node:
        folder = tmp_path / "evidence"
        ledger = Ledger(node.context, node.link_state, folder, TIMES)
        played = PlayedLedger(node.everyone, node.clock)
        played.fill(5)
        yield Scene(node, ledger, played, Wire(), folder, node.clock.now_ms())
