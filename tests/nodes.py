"""Nodes of the fictitious community without a network: real stores, real keys, a set clock.

The test plays the coordinator: it takes what a node would hand over and offers what would be
delivered. Whole processes and sockets are the business of tests/acceptance.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from exchange.node.answers import Answered, Answers
from exchange.node.bell import Bell
from exchange.node.context import NodeContext
from exchange.node.desk import Desk
from exchange.node.expiring import Expiring
from exchange.node.health import Health
from exchange.node.inbox import Inbox
from exchange.node.keykeeper import Keykeeper
from exchange.node.link_state import LinkState
from exchange.node.mirror import Mirror
from exchange.node.officers import Officers, officer_key_path
from exchange.node.openings import Openings
from exchange.node.outbox import Outbox
from exchange.node.papers import Papers
from exchange.node.prekeeper import Prekeeper, store_prekeys
from exchange.node.receipts import Receipts
from exchange.node.records import Item, Outcome
from exchange.node.requests import SubmitRequest
from exchange.node.resealer import Resealer
from exchange.node.schemas import SchemaBook
from exchange.node.sealer import Sealer
from exchange.node.signing import NodeKeys
from exchange.node.tokens import Identity, TokenRole
from exchange.stores.engine import Engine
from exchange.stores.node_queue import OutgoingRow, read_queue
from exchange.unsealer.client import Unsealer
from keys.evidence import NO_STATEMENT_YET, Chain, Saying, make_statement
from keys.keyfile import KeyKind, KeyRecord, format_secret
from keys.protection import Token
from keys.vault import Vault
from protocol import codec
from protocol.envelope import deliver, parse_submission
from protocol.session.messages import Accepted, ItemKind
from protocol.statement import StatementKind
from tests.clocks import FixedClock
from tests.community import HUB, Community, community, seed_of
from tests.unsealers import launch_in, locked_in

MONITOR = Identity(TokenRole.MONITOR, "display", bytes(32))
SENDER = Identity(TokenRole.SENDER, "script", b"s" * 32)


def officer_identity(code: str) -> Identity:
    """Return the token of the one officer of a state."""
    return Identity(TokenRole.OFFICER, f"officer of {code}", code.encode().ljust(32, b"."))


def a_request(**changes: object) -> SubmitRequest:
    """Return a request that is accepted, unless ``changes`` spoil it."""
    plain: dict[str, object] = {
        "to": ("XBB", "XCC"),
        "severity": "ppd-41:severe",
        "subject": "Ransomware at a power distributor",
        "text": "Two control rooms are affected.",
    }
    return SubmitRequest(**(plain | changes))  # type: ignore[arg-type]


@dataclass(frozen=True)
class TestNode:
    """One node's parts, and what the test needs to play everybody else."""

    __test__ = False
    everyone: Community
    folder: Path
    context: NodeContext
    clock: FixedClock
    outbox: Outbox
    inbox: Inbox
    answers: Answers
    officers: Officers
    prekeeper: Prekeeper
    resealer: Resealer
    link_state: LinkState
    desk: Desk
    mirror: Mirror
    keykeeper: Keykeeper
    caught_up: list[int]
    hub_chain: list[Chain]

    @property
    def officer(self) -> Identity:
        """The node's officer."""
        return officer_identity(self.context.state)

    async def queue(self) -> list[OutgoingRow]:
        """Return what waits for the coordinator, most urgent first."""
        return await self.context.engine.read(lambda db: read_queue(db, 1000, ()))

    async def send(self, **changes: object) -> bytes:
        """Accept a notice and return the submission's bytes."""
        view = await self.desk.submit(SENDER, a_request(**changes), secrets.token_hex(8))
        return next(row.content for row in await self.queue() if row.subject.hex() == view.id)

    async def accept(self, row: OutgoingRow) -> None:
        """Answer a submission as the coordinator does: with its signed RELAYED."""
        self.answers.offer(Answered(row, Accepted(ref=1, index=0, statement=self.relayed(row.subject))))
        await self.answers.next_round()

    def relayed(self, envelope: bytes) -> bytes:
        """Return the coordinator's signed promise for an envelope."""
        saying = Saying(kind=StatementKind.RELAYED, envelope=envelope)
        made = make_statement(
            saying,
            party=HUB,
            signer=self.everyone.hub,
            at_ms=self.clock.now_ms(),
            nonce=secrets.token_bytes(32),
            directory=self.context.directory.head(),
            chain=self.hub_chain[-1],
        )
        self.hub_chain.append(made.chain)
        return made.data

    async def bring_prekeys(self) -> None:
        """Store the secret halves of the prekeys that the community knows, as the set-up did."""
        state = self.context.state
        prekeys = locked_in(self.folder, state, self.everyone.members[state].prekeys)
        await self.context.engine.write(lambda db: store_prekeys(db, prekeys))

    async def receive(self, *contents: bytes, kind: ItemKind = ItemKind.ENVELOPE) -> list[Outcome]:
        """Offer mailbox items and return what became of them."""
        for number, content in enumerate(contents):
            self.inbox.offer(Item(sequence=number, kind=kind, content=content))
        outcomes: list[Outcome] = []
        while len(outcomes) < len(contents):
            outcomes += await self.inbox.next_round()
        return outcomes


def delivery_to(code: str, submission: bytes) -> bytes:
    """Return what the coordinator delivers to one recipient."""
    parsed, sealed = parse_submission(submission)
    states = [addressee.state for addressee in sealed.header.recipients]
    return codec.encode(deliver(parsed, states.index(code)))


@asynccontextmanager
async def a_node(folder: Path, code: str, clock: FixedClock | None = None) -> AsyncIterator[TestNode]:
    """Open the node of a state in a folder; opening it again continues where it was."""
    everyone = community()
    clock = clock or FixedClock(everyone.now_ms)
    await asyncio.to_thread(folder.mkdir, mode=0o700, exist_ok=True)
    engine = await Engine.open(folder / "node.db", "exchange.stores.sql.node", clock)
    unsealer = Unsealer(launch_in(folder, code))
    await unsealer.start()
    listening = asyncio.create_task(unsealer.run())
    try:
        node = await _assemble(folder, code, clock, everyone, engine, unsealer)
        await node.bring_prekeys()
        yield node
    finally:
        listening.cancel()
        await unsealer.close()
        await engine.close()


async def _assemble(
    folder: Path, code: str, clock: FixedClock, everyone: Community, engine: Engine, unsealer: Unsealer
) -> TestNode:
    member, directory = everyone.members[code], everyone.directory()
    context = NodeContext(
        state=code,
        coordinator=HUB,
        clock=clock,
        engine=engine,
        vault=Vault(code.encode().ljust(32, b"!")),
        directory=directory,
        verifier=everyone.verifier,
        unsealer=unsealer,
        keys=NodeKeys(code, directory, [member.node], [member.witness]),
        outgoing=Bell(),
        events=Bell(),
    )
    _write_officer_key(folder, code, everyone)
    schemas, link_state = SchemaBook(context.directory, code), LinkState(clock)
    receipts = Receipts(context)
    caught_up: list[int] = []

    async def catch_up() -> None:
        caught_up.append(clock.now_ms())

    sealer = Sealer(context)
    outbox = Outbox(context, schemas, link_state, sealer)
    officers = Officers(context, folder, link_state)
    mirror, keykeeper = (
        await Mirror.open(context),
        Keykeeper(context, folder, None, Expiring(context, link_state)),
    )
    papers = Papers(context, mirror, keykeeper.look)
    return TestNode(
        everyone=everyone,
        folder=folder,
        context=context,
        clock=clock,
        outbox=outbox,
        inbox=Inbox(context, Openings(context), receipts, catch_up, link_state),
        answers=Answers(context, receipts),
        officers=officers,
        prekeeper=Prekeeper(context, link_state),
        resealer=Resealer(context, sealer, link_state),
        link_state=link_state,
        desk=Desk(context, outbox, officers, schemas, Health(context, link_state), papers),
        mirror=mirror,
        keykeeper=keykeeper,
        caught_up=caught_up,
        hub_chain=[NO_STATEMENT_YET],
    )


def _write_officer_key(folder: Path, code: str, everyone: Community) -> None:
    identity = officer_identity(code)
    path = officer_key_path(folder, identity)
    if path.exists():
        return
    seed = seed_of(everyone.members[code].officer)
    record = KeyRecord(
        kind=KeyKind.SIGNING, name=identity.name, role="officer", seed=seed, created_ms=everyone.now_ms
    )
    path.write_text(format_secret(record, Token(identity.secret), salt=bytes(32)))
    path.chmod(0o600)
