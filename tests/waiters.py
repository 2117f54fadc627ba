"""Three states on one clock, whose keys come and go: for tests of what waits and is sealed again."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from exchange.node.summary import unlock_body
from exchange.node.views import DeliveryView, SubmittedView
from exchange.stores.node_books import destroy_prekeys
from exchange.stores.node_notices import find_body, find_notice
from keys.evidence import NO_STATEMENT_YET, Chain, Saying, make_statement
from protocol.envelope import Sealed, parse_submission
from protocol.notice import Body
from protocol.session.messages import ItemKind
from protocol.statement import StatementKind
from tests.clocks import FixedClock
from tests.community import CODES, DAY_MS, HUB
from tests.nodes import SENDER, TestNode, a_node, a_request, delivery_to

SILENT_MS = 80 * DAY_MS
"""After so long nobody who stayed silent has a key left, not even a tail key."""


@dataclass
class Three:
    """XAA sends to XBB and XCC; the test plays the coordinator."""

    xaa: TestNode
    xbb: TestNode
    xcc: TestNode
    clock: FixedClock

    def of(self, code: str) -> TestNode:
        """Return a state's node."""
        return {"XBB": self.xbb, "XCC": self.xcc}[code]

    async def submit(self, **changes: object) -> SubmittedView:
        """Let XAA's node accept a notice that waits for keys, unless ``changes`` say otherwise."""
        request = a_request(**({"wait_for_keys": True} | changes))
        return await self.xaa.desk.submit(SENDER, request, secrets.token_hex(8))

    async def publish(self, *codes: str) -> None:
        """Let states publish what keys they lack; XAA learns of it."""
        for code in codes:
            node = self.of(code)
            node.link_state.opened(0)
            await node.prekeeper.look()
            lists = [row.content for row in await node.queue() if row.kind == "publish"]
            for newest in lists[-1:]:
                self.xaa.context.directory.update(newest, self.clock.now_ms())

    async def lose_keys(self, code: str) -> None:
        """Let a state lose all its secret prekeys, as a restored machine does."""
        node = self.of(code)
        await node.context.engine.write(lambda db: destroy_prekeys(db, 2**62))

    async def queued(self) -> list[Sealed]:
        """Return the envelopes that XAA has to hand over, in order."""
        rows = [row for row in await self.xaa.queue() if row.kind == "submit"]
        return [parse_submission(row.content)[1] for row in rows]

    async def carry(self) -> list[Sealed]:
        """Relay everything that XAA hands over, deliver it, and bring the recipients' statements back."""
        rows = [row for row in await self.xaa.queue() if row.kind == "submit"]
        carried = []
        for row in rows:
            await self.xaa.accept(row)
            sealed = parse_submission(row.content)[1]
            carried.append(sealed)
            for addressee in sealed.header.recipients:
                await self.of(addressee.state).receive(delivery_to(addressee.state, row.content))
        for code in ("XBB", "XCC"):
            await self.bring_statements(code)
        return carried

    async def relay(self) -> list[bytes]:
        """Relay everything that XAA hands over, and deliver nothing; return the submissions."""
        rows = [row for row in await self.xaa.queue() if row.kind == "submit"]
        for row in rows:
            await self.xaa.accept(row)
        return [row.content for row in rows]

    async def bring_statements(self, code: str) -> None:
        """Bring to XAA whatever a state has said."""
        rows = [row for row in await self.of(code).queue() if row.kind == "attest"]
        if rows:
            await self.xaa.receive(*(row.content for row in rows), kind=ItemKind.STATEMENT)

    async def say(
        self,
        party: str,
        kind: StatementKind,
        envelope: bytes,
        *,
        code: str | None = None,
        about: str | None = None,
    ) -> None:
        """Bring XAA a statement that the test makes, without a decryption proof."""
        hub = party == HUB
        signer = self.xaa.everyone.hub if hub else self.xaa.everyone.members[party].node
        made = make_statement(
            Saying(kind=kind, envelope=envelope, code=code, about=about),
            party=party,
            signer=signer,
            at_ms=self.clock.now_ms(),
            nonce=secrets.token_bytes(32),
            directory=self.xaa.context.directory.head(),
            chain=self.xaa.hub_chain[-1] if hub else Chain(*NO_STATEMENT_YET),
        )
        if hub:
            self.xaa.hub_chain.append(made.chain)
        await self.xaa.receive(made.data, kind=ItemKind.STATEMENT)

    async def undelivered(self, envelope: bytes, *codes: str) -> None:
        """Let the coordinator say that these did not collect an envelope in time."""
        for code in codes:
            await self.say(HUB, StatementKind.UNDELIVERED, envelope, code="expired", about=code)

    async def at(self, id_: str) -> dict[str, DeliveryView]:
        """Return where a notice stands at each recipient."""
        status = await self.xaa.desk.status(SENDER, id_)
        return {one.recipient: one for one in status.deliveries}

    async def states(self, id_: str) -> dict[str, str]:
        """Return the state of a notice at each recipient."""
        return {code: one.state for code, one in (await self.at(id_)).items()}

    async def alarms(self) -> list[str]:
        """Return the codes of XAA's alarms."""
        return [alarm.code for alarm in (await self.xaa.desk.node(SENDER)).alarms]

    async def body(self, envelope: bytes) -> Body:
        """Return the body of one of XAA's envelopes."""
        context = self.xaa.context
        row = await context.engine.read(lambda db: find_notice(db, envelope))
        assert row is not None
        content_id = row.content_id
        locked = await context.engine.read(lambda db: find_body(db, content_id))
        return unlock_body(context.vault, content_id, locked)

    async def shown(self, code: str) -> list[str]:
        """Return the subjects that a state's officer sees, the newest first."""
        node = self.of(code)
        return [notice.subject for notice in await node.desk.inbox(node.officer)]


@asynccontextmanager
async def three(folder: Path) -> AsyncIterator[Three]:
    """Open the three nodes on one clock."""
    clock = FixedClock()
    async with AsyncExitStack() as stack:
        xaa, xbb, xcc = [
            await stack.enter_async_context(a_node(folder / code, code, clock)) for code in CODES
        ]
        yield Three(xaa, xbb, xcc, clock)
