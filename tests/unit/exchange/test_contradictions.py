"""Statements that cannot all be true are an alarm with both of them, and never stop what is true."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exchange.node.summary import unlock_key
from exchange.stores.node_books import AlarmRow, read_alarms
from exchange.stores.node_ledger import list_evidence
from exchange.stores.node_notices import find_notice
from keys.evidence import NO_STATEMENT_YET, Chain, Made, Saying, make_statement
from keys.sealing import decryption_proof
from protocol.delivery import CONTRADICTS, TRANSITIONS, DeliveryState, contradicts
from protocol.documents import Role
from protocol.session.messages import ItemKind
from protocol.statement import NEEDS_CODE, PROVES_DECRYPTION, SIGNER_ROLE, StatementKind
from tests.community import HUB
from tests.nodes import SENDER, TestNode, a_node

K = StatementKind


@dataclass
class Scene:
    """XAA's node with one notice, and the keys of everybody else."""

    node: TestNode
    envelope: bytes
    content_key: bytes = field(repr=False)
    chains: dict[bytes, Chain] = field(default_factory=dict)

    def say(self, kind: StatementKind, party: str = "XBB", *, chain: Chain | None = None) -> Made:
        """Return a statement of a party, which continues its key's chain."""
        everyone, role = self.node.everyone, SIGNER_ROLE[kind]
        member = everyone.members.get(party)
        own = member and (member.officer if role is Role.OFFICER else member.node)
        signer = own or everyone.hub
        proof = (
            decryption_proof(self.content_key, self.envelope, party) if kind in PROVES_DECRYPTION else None
        )
        codes = {K.DECLINED: "not-affected", K.REJECTED: "cannot-open", K.UNDELIVERED: "expired"}
        made = make_statement(
            Saying(
                kind=kind,
                envelope=self.envelope,
                about="XBB" if kind is K.UNDELIVERED else None,
                code=codes[kind] if kind in NEEDS_CODE else None,
                decryption_proof=proof,
            ),
            party=party,
            signer=signer,
            at_ms=self.node.clock.now_ms(),
            nonce=len(self.chains).to_bytes(32, "big"),
            directory=self.node.context.directory.head(),
            chain=chain or self.chains.get(signer.key_id, NO_STATEMENT_YET),
        )
        self.chains[signer.key_id] = made.chain
        return made

    async def hear(self, *made: Made) -> None:
        """Deliver statements to the node, in this order."""
        await self.node.receive(*(one.data for one in made), kind=ItemKind.STATEMENT)

    async def alarms(self) -> dict[str, AlarmRow]:
        """Return the alarms that stand, by code."""
        return {row.code: row for row in await self.node.context.engine.read(read_alarms)}

    async def evidence(self) -> list[str]:
        """Return the texts of the evidence that is kept."""
        return [text.decode() for _, text in await self.node.context.engine.read(list_evidence)]

    async def state(self) -> str:
        """Return where the notice stands with XBB."""
        return (await self.node.desk.status(SENDER, self.envelope.hex())).deliveries[0].state


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """Return a node whose notice was relayed."""
    async with a_node(tmp_path / "XAA", "XAA") as node:
        await node.send()
        (row,) = await node.queue()
        await node.accept(row)
        notice = await node.context.engine.read(lambda db: find_notice(db, row.subject))
        assert notice is not None
        scene = Scene(node, row.subject, unlock_key(node.context.vault, notice))
        scene.chains[node.everyone.hub.key_id] = node.hub_chain[-1]
        yield scene


async def test_an_honest_way_raises_nothing(scene: Scene) -> None:
    """Received, opened, accepted and completed, even out of order, is what always happens."""
    said = [scene.say(kind) for kind in (K.RECEIVED, K.OPENED, K.ACCEPTED, K.COMPLETED)]
    await scene.hear(said[1], said[0], said[2], said[3])
    assert await scene.alarms() == {}
    assert await scene.state() == "completed"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (K.RECEIVED, K.REJECTED),
        (K.REJECTED, K.RECEIVED),
        (K.REJECTED, K.ACCEPTED),
        (K.COMPLETED, K.DECLINED),
        (K.DECLINED, K.COMPLETED),
    ],
)
async def test_opposite_answers_are_told_with_both(
    scene: Scene, first: StatementKind, second: StatementKind
) -> None:
    """What ended is not taken up again: the state stays, and both statements are evidence."""
    await scene.hear(scene.say(first))
    state = await scene.state()
    await scene.hear(scene.say(second))
    alarm = (await scene.alarms())["evidence-contradictory"]
    (text,) = await scene.evidence()
    assert await scene.state() == state
    assert "Call XBB on another channel" in alarm.next
    assert f"exhibit 1: the statement {first.name} of XBB" in text
    assert f"exhibit 2: the statement {second.name} of XBB" in text


async def test_the_coordinator_cannot_take_back_a_receipt(scene: Scene) -> None:
    """UNDELIVERED after the recipient's own RECEIVED is a false word of the coordinator."""
    await scene.hear(scene.say(K.RECEIVED))
    await scene.hear(scene.say(K.UNDELIVERED, HUB))
    assert await scene.state() == "received"
    assert "HUB has signed UNDELIVERED" in (await scene.alarms())["evidence-contradictory"].message


async def test_a_receipt_after_undelivered_is_no_contradiction(scene: Scene) -> None:
    """A recipient that was late has it after all."""
    await scene.hear(scene.say(K.UNDELIVERED, HUB))
    await scene.hear(scene.say(K.RECEIVED))
    assert await scene.alarms() == {}
    assert await scene.state() == "received"


async def test_one_number_for_two_statements_is_a_fork(scene: Scene) -> None:
    """A key that signs two statements under one number is used twice, or was restored."""
    await scene.hear(scene.say(K.OPENED))
    await scene.hear(scene.say(K.ACCEPTED, chain=NO_STATEMENT_YET))
    alarm = (await scene.alarms())["statement-forked"]
    (text,) = await scene.evidence()
    assert "two histories" in alarm.message
    assert "the statement OPENED of XBB" in text
    assert "the statement ACCEPTED of XBB" in text
    assert await scene.state() == "accepted"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_a_chain_that_was_rewritten_is_a_fork(scene: Scene, order: tuple[int, int]) -> None:
    """A statement that names another one before it than the one we hold; whichever comes first."""
    opened = scene.say(K.OPENED)
    rewritten = scene.say(K.ACCEPTED, chain=Chain(sequence=1, previous=b"x" * 32))
    both = (opened, rewritten)
    await scene.hear(both[order[0]])
    assert "statement-forked" not in await scene.alarms()
    await scene.hear(both[order[1]])
    assert "statement-forked" in await scene.alarms()


async def test_a_second_copy_is_no_contradiction(scene: Scene) -> None:
    """What is delivered twice is one statement."""
    said = scene.say(K.RECEIVED)
    await scene.hear(said)
    await scene.hear(said)
    assert await scene.alarms() == {}


@pytest.mark.parametrize("state", sorted(CONTRADICTS), ids=str)
def test_nothing_both_follows_and_contradicts(state: DeliveryState) -> None:
    """The table of what may follow and the table of what must not have nothing in common."""
    assert not CONTRADICTS[state] & TRANSITIONS[state].keys()
    assert not contradicts(state, StatementKind.RELAYED)
