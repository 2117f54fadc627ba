"""Each use of a state's keys, before, in and after an overlap: none of them may know one key only.

In other systems the overlap worked for signing and not for receipts, or for sending and not for
opening. So every use is named here, and tried at every stage.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from exchange.link.certificate import Certificate, make_certificate
from exchange.node.tls_files import Certificates
from exchange.node.witness import Witness
from exchange.stores.node_notices import list_deliveries
from keys.authenticity import verify_submission
from keys.quorum import quorum_of
from keys.trust import MAX_SKEW_MS
from protocol.delivery import DeliveryState
from protocol.documents import StateManifest, parse_document, parse_signed_document, signed_document_hash
from protocol.errors import UnknownSigner
from protocol.ledger.note import parse_signature_lines
from protocol.ledger.origins import Log
from protocol.session.messages import ItemKind
from protocol.statement import parse_statement
from tests.community import DAY_MS, HUB, NOW_MS, YEAR_MS, certificate, note_secret
from tests.ledgers import PlayedLedger
from tests.nodes import TestNode, a_node, delivery_to
from tests.rotations import entry, manifest, node_key

START_MS = NOW_MS + 7 * DAY_MS
OLD_END_MS = START_MS + 10 * DAY_MS
OLD, NEW = node_key("XAA", 1), node_key("XAA", 2)
STAGES = {
    "before": NOW_MS,
    "announced": NOW_MS + DAY_MS,
    "both": START_MS + DAY_MS,
    "ended": OLD_END_MS + DAY_MS,
}
SECOND_WITNESS = note_secret("XAA second")


@dataclass
class Scene:
    """XAA, whose keys change, a peer that knows what is published, and one moment."""

    us: TestNode
    peer: TestNode
    stage: str
    new_certificate: Certificate
    folder: Path

    @property
    def is_after_the_switch(self) -> bool:
        """Whether the new node key is in use."""
        return self.stage in ("both", "ended")

    @property
    def expected(self) -> bytes:
        """The id of the key that must sign now."""
        return (NEW if self.is_after_the_switch else OLD).key_id

    def go(self, at_ms: int) -> None:
        """Let both machines be at this time."""
        for node in (self.us, self.peer):
            node.clock.set(at_ms)
            node.link_state.opened(0)

    def publish(self) -> None:
        """Let XAA announce everything new in one manifest, and everybody accept it."""
        first = entry("XAA", OLD, NOW_MS - DAY_MS, OLD_END_MS)
        second = entry("XAA", NEW, START_MS - MAX_SKEW_MS, START_MS + YEAR_MS)
        data = manifest(
            self.us.context.directory,
            "XAA",
            [first, second],
            NOW_MS,
            certificates=[certificate("XAA"), self.new_certificate.der],
            witness=SECOND_WITNESS,
        )
        document = parse_document(parse_signed_document(data).body)
        assert isinstance(document, StateManifest)
        self.us.context.keys.queue(signed_document_hash(data), document)
        for node in (self.us, self.peer):
            node.context.directory.update(data, NOW_MS)
        self.us.context.keys.has_accepted(signed_document_hash(data))


@pytest.fixture(params=STAGES)
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    """Everything as it is at one stage."""
    stage: str = request.param
    made = make_certificate("XAA", NOW_MS, YEAR_MS)
    async with a_node(tmp_path / "XAA", "XAA") as us, a_node(tmp_path / "XBB", "XBB") as peer:
        us.context.keys.hold(NEW)
        us.context.keys.hold_witness(SECOND_WITNESS)
        here = Scene(us, peer, stage, made, tmp_path)
        if stage != "before":
            here.publish()
        here.go(STAGES[stage])
        yield here


async def sign(scene: Scene) -> None:
    """A notice of ours is signed with the key of now, and the coordinator takes it."""
    data = await scene.us.send(to=("XBB",))
    now_ms, peer = scene.us.clock.now_ms(), scene.peer.context
    verified = verify_submission(peer.directory, peer.verifier, data, "XAA", now_ms)
    assert verified.header.key_id == scene.expected


async def verify(scene: Scene) -> None:
    """A notice that was signed with the old key, just before it ended, and that waited, is shown."""
    now_ms = scene.us.clock.now_ms()
    scene.go(min(now_ms, OLD_END_MS) - 1)
    object.__setattr__(scene.us.context.keys, "_signers", {OLD.key_id: OLD})
    delivered = delivery_to("XBB", await scene.us.send(to=("XBB",)))
    scene.go(now_ms)
    (outcome,) = await scene.peer.receive(delivered)
    assert outcome.refusal is None
    assert outcome.notice is not None
    assert outcome.notice.header.key_id == OLD.key_id


async def seal(scene: Scene) -> None:
    """A peer seals a notice for us, and our state can open it."""
    (outcome,) = await scene.us.receive(delivery_to("XAA", await scene.peer.send(to=("XAA",))))
    assert outcome.refusal is None


async def open_late(scene: Scene) -> None:
    """What was sealed for us a day ago is opened, whatever key has signed the list of daily keys since."""
    now_ms = scene.us.clock.now_ms()
    scene.go(now_ms - DAY_MS if scene.stage != "before" else now_ms)
    delivered = delivery_to("XAA", await scene.peer.send(to=("XAA",)))
    scene.go(now_ms)
    (outcome,) = await scene.us.receive(delivered)
    assert outcome.refusal is None


async def receipt(scene: Scene) -> bytes:
    """Let the peer send us something, and return our signed RECEIVED."""
    await scene.us.receive(delivery_to("XAA", await scene.peer.send(to=("XAA",))))
    return next(row.content for row in await scene.us.queue() if row.kind == "attest")


async def receipt_sign(scene: Scene) -> None:
    """Our receipt is signed with the key of now."""
    _, statement = parse_statement(await receipt(scene))
    assert statement.key_id == scene.expected


async def receipt_verify(scene: Scene) -> None:
    """The sender believes it, and shows the notice as received."""
    data = await receipt(scene)
    (outcome,) = await scene.peer.receive(data, kind=ItemKind.STATEMENT)
    assert outcome.refusal is None
    _, statement = parse_statement(data)
    found = await scene.peer.context.engine.read(lambda db: list_deliveries(db, statement.envelope))
    assert [one.state for one in found] == [DeliveryState.RECEIVED]


async def receipt_verify_late(scene: Scene) -> None:
    """A receipt that the old key signed is believed when it comes after the switch, and after its end."""
    now_ms = scene.us.clock.now_ms()
    scene.go(min(now_ms, OLD_END_MS) - 1)
    object.__setattr__(scene.us.context.keys, "_signers", {OLD.key_id: OLD})
    data = await receipt(scene)
    scene.go(now_ms)
    (outcome,) = await scene.peer.receive(data, kind=ItemKind.STATEMENT)
    assert outcome.refusal is None


async def hello(scene: Scene) -> None:
    """The first key that the session is greeted with is one that the coordinator takes."""
    now_ms = scene.us.clock.now_ms()
    best = scene.us.context.keys.greeting(now_ms)[0]
    assert best.key_id == scene.expected
    scene.peer.context.directory.node_key("XAA", best.key_id, now_ms)
    if scene.stage == "ended":
        with pytest.raises(UnknownSigner):
            scene.peer.context.directory.node_key("XAA", OLD.key_id, now_ms)


async def prekey_list(scene: Scene) -> None:
    """The list of daily keys that is made now is one that every peer takes, signed with the key of now."""
    await scene.us.prekeeper.look()
    listed = [row.content for row in await scene.us.queue() if row.kind == "publish"]
    for data in listed:
        scene.peer.context.directory.update(data, scene.us.clock.now_ms())
    held = scene.peer.context.directory.documents.prekeys["XAA"]
    assert held.signer == (scene.expected if listed else OLD.key_id)
    assert bool(listed) is scene.is_after_the_switch, "the first list lasts for a week"
    scene.peer.context.directory.prekey("XAA", scene.us.clock.now_ms())


async def witness(scene: Scene) -> None:
    """Our cosignature counts for the quorum, by the documents that the coordinator goes by."""
    played = PlayedLedger(scene.us.everyone, scene.us.clock)
    played.fill(3)
    judged = await Witness(scene.us.context).answer(played.ask(0))
    lines = parse_signature_lines(judged.answer.body.decode())
    signed = played.checkpoint().with_signatures(tuple(lines))
    assert "XAA" in quorum_of(scene.peer.context.directory, HUB, Log.ACK).cosigned(signed)


async def tls(scene: Scene) -> None:
    """The certificate that is shown first is one that the coordinator has pinned for us."""
    folder = scene.folder / "keys"
    folder.mkdir()
    pinned = scene.peer.context.directory.certificates("XAA")
    made = {"tls": make_certificate("XAA", NOW_MS - DAY_MS, YEAR_MS), "tls-2": scene.new_certificate}
    for name, one in made.items():
        (folder / f"{name}.crt").write_bytes(one.pem)
        (folder / f"{name}.key").write_bytes(one.key_pem)
    # The community of the tests lists a stand-in for the first certificate.
    listed = pinned | {made["tls"].der}
    shown = Certificates(folder).to_show(listed, scene.us.clock.now_ms())
    assert shown[0].der in listed
    assert shown[0].der == made["tls" if scene.stage == "before" else "tls-2"].der


USES: tuple[Callable[[Scene], Awaitable[None]], ...] = (
    sign,
    verify,
    seal,
    open_late,
    receipt_sign,
    receipt_verify,
    receipt_verify_late,
    hello,
    prekey_list,
    witness,
    tls,
)


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
async def test_each_use_of_a_key_works_at_every_stage(
    scene: Scene, use: Callable[[Scene], Awaitable[None]]
) -> None:
    """Before the announcement, once announced, while both keys count, and after the old one has ended."""
    await use(scene)
