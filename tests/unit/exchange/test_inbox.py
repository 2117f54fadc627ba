"""The inbox: verified, opened, stored, answered for; and what cannot be used is kept and told."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import apsw
import msgspec
import pytest

from exchange.node.records import Outcome
from exchange.node.summary import unlock_body
from exchange.stores.node_books import destroy_prekeys, read_alarms
from exchange.stores.node_notices import find_body
from keys.sealing import PairPosition, SealFor, seal
from protocol import codec
from protocol.envelope import Delivery, deliver, parse_delivery, parse_submission
from protocol.errors import ClockSkew, StoreFailed
from protocol.session.messages import ItemKind
from protocol.signed import Context
from protocol.statement import Statement, StatementKind, parse_statement
from tests.clocks import FixedClock
from tests.community import DAY_MS
from tests.envelopes import header as plain_header
from tests.envelopes import submission as plain_submission
from tests.nodes import SENDER, TestNode, a_node, delivery_to


@dataclass(frozen=True)
class Pair:
    """A sender, a recipient and a third."""

    xaa: TestNode
    xbb: TestNode


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """Return the nodes of XAA and XBB."""
    async with a_node(tmp_path / "XAA", "XAA") as xaa, a_node(tmp_path / "XBB", "XBB") as xbb:
        yield Pair(xaa, xbb)


async def said(node: TestNode) -> list[Statement]:
    """Return the statements that a node has queued."""
    return [parse_statement(row.content)[1] for row in await node.queue() if row.kind == "attest"]


async def alarms(node: TestNode) -> list[str]:
    """Return the codes of a node's stored alarms."""
    return [alarm.code for alarm in await node.context.engine.read(read_alarms)]


def code_of(outcome: Outcome) -> str | None:
    """Return why an item was refused."""
    return None if outcome.refusal is None else outcome.refusal.error.code


async def test_a_delivered_notice_is_opened_stored_and_receipted(pair: Pair) -> None:
    """The notice and the node's signed RECEIVED are there together."""
    submission = await pair.xaa.send()
    (outcome,) = await pair.xbb.receive(delivery_to("XBB", submission))
    (shown,) = await pair.xbb.desk.inbox(pair.xbb.officer)
    (statement,) = await said(pair.xbb)
    assert outcome.notice is not None
    assert (
        shown.subject,
        shown.unread,
        shown.tlp,
    ) == ("Ransomware at a power distributor", True, "TLP:AMBER")
    assert (StatementKind.RECEIVED, shown.id) == (statement.kind, statement.envelope.hex())


async def test_a_wrong_clock_loses_no_notice(pair: Pair) -> None:
    """Days ahead, every notice seems expired; none is rejected or collected until the clock is right."""
    copy = delivery_to("XBB", await pair.xaa.send())
    right = pair.xbb.clock.now_ms()
    pair.xbb.clock.set(right + 5 * DAY_MS)
    pair.xbb.link_state.opened(-5 * DAY_MS)
    with pytest.raises(ClockSkew):
        await pair.xbb.receive(copy)
    assert await said(pair.xbb) == []
    pair.xbb.clock.set(right)
    (outcome,) = await pair.xbb.receive(copy)
    assert outcome.notice is not None


async def test_a_wrong_clock_loses_no_notice_by_a_key_that_it_cannot_know_yet(pair: Pair) -> None:
    """Days behind, the mirror takes no new manifest, and a new node key seems to be a stranger's."""
    head = plain_header(pair.xaa.everyone, sender="XAA", to=("XBB",), key_id=hashlib.sha256(b"new").digest())
    copy = codec.encode(deliver(plain_submission(head, pair.xaa.context.signer), 0))
    pair.xbb.link_state.opened(2 * DAY_MS)
    with pytest.raises(ClockSkew):
        await pair.xbb.receive(copy)
    pair.xbb.link_state.opened(0)
    (outcome,) = await pair.xbb.receive(copy)
    assert code_of(outcome) == "unknown-signer"


async def test_a_second_copy_is_shown_once_and_receipted_once(pair: Pair) -> None:
    """Duplicates on the wire are allowed; on the screen and in the record they are not."""
    copy = delivery_to("XBB", await pair.xaa.send())
    await pair.xbb.receive(copy, copy)
    await pair.xbb.receive(copy)
    assert len(await pair.xbb.desk.inbox(pair.xbb.officer)) == 1
    assert len(await said(pair.xbb)) == 1


async def test_a_burst_is_receipted_under_one_signature(pair: Pair) -> None:
    """Statements made in one round are chained in order and share a batch."""
    copies = [delivery_to("XBB", await pair.xaa.send(subject=f"Notice {n}")) for n in range(5)]
    await pair.xbb.receive(*copies)
    statements = await said(pair.xbb)
    signatures = {parse_statement(row.content)[0].proof.signature for row in await pair.xbb.queue()}
    assert [statement.sequence for statement in statements] == [1, 2, 3, 4, 5]
    assert len(signatures) == 1


async def test_the_chain_continues_after_a_restart(tmp_path: Path) -> None:
    """A statement's number is never used twice."""
    async with a_node(tmp_path / "XAA", "XAA") as xaa:
        for number in range(2):
            copy = delivery_to("XBB", await xaa.send(subject=f"Notice {number}"))
            async with a_node(tmp_path / "XBB", "XBB") as xbb:
                await xbb.receive(copy)
                statements = await said(xbb)
    assert [statement.sequence for statement in statements] == [1, 2]


def _flip(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


async def test_a_tampered_payload_is_refused_and_the_genuine_copy_still_counts(pair: Pair) -> None:
    """A damaged copy raises an alarm, is kept as evidence, signs nothing, and blocks nothing."""
    genuine = delivery_to("XBB", await pair.xaa.send())
    delivery, _ = parse_delivery(genuine)
    bad = codec.encode(msgspec.structs.replace(delivery, payload=_flip(delivery.payload, 500)))
    outcomes = await pair.xbb.receive(bad, genuine)
    assert [code_of(outcome) for outcome in outcomes] == ["tampered", None]
    assert [statement.kind for statement in await said(pair.xbb)] == [StatementKind.RECEIVED]
    assert await alarms(pair.xbb) == ["delivery-refused"]


async def _spoiled(pair: Pair, name: str) -> bytes:
    submission, _ = parse_submission(await pair.xaa.send())
    other, _ = parse_submission(await pair.xaa.send(subject="another"))
    mine = deliver(submission, 0)
    spoiled: dict[str, Delivery] = {
        "another envelope's payload": msgspec.structs.replace(mine, payload=other.payload),
        "another envelope's wrap": msgspec.structs.replace(mine, wrap=other.wraps[0]),
        "another envelope's signature": msgspec.structs.replace(mine, proof=other.proof),
        "another recipient's wrap": deliver(submission, 1),
        "a recipient number that does not exist": msgspec.structs.replace(mine, index=7),
    }
    return codec.encode(spoiled[name])


SPOILED = {
    "another envelope's payload": "tampered",
    "another envelope's wrap": "tampered",
    "another envelope's signature": "bad-signature",
    "another recipient's wrap": "tampered",
    "a recipient number that does not exist": "tampered",
}


@pytest.mark.parametrize("name", SPOILED)
async def test_a_coordinator_that_mixes_parts_voids_no_genuine_notice(pair: Pair, name: str) -> None:
    """Whatever the coordinator can do to a copy, the node signs no REJECTED about the notice for it."""
    (outcome,) = await pair.xbb.receive(await _spoiled(pair, name))
    rejected = [
        one.kind
        for one in await said(pair.xbb)
        if one.envelope == (outcome.refusal and outcome.refusal.envelope)
    ]
    assert SPOILED[name] == code_of(outcome)
    assert rejected == []


async def test_a_notice_for_others_is_rejected_with_a_signed_statement(pair: Pair) -> None:
    """A sender's genuine envelope that does not name this state is answered NOT-ADDRESSED."""
    head = plain_header(pair.xaa.everyone, to=("XCC",))
    submission = plain_submission(head, pair.xaa.context.signer)
    (outcome,) = await pair.xbb.receive(codec.encode(deliver(submission, 0)))
    (statement,) = await said(pair.xbb)
    assert code_of(outcome) == "not-addressed"
    assert (statement.kind, statement.code) == (StatementKind.REJECTED, "not-addressed")


async def test_what_does_not_open_is_rejected_with_a_signed_statement(pair: Pair) -> None:
    """A sender that seals garbage is told so; nobody sees different content."""
    prekey = pair.xbb.everyone.members["XBB"].prekeys[0].public
    head = plain_header(pair.xaa.everyone, to=("XBB",))
    addressee = msgspec.structs.replace(head.recipients[0], prekey_id=prekey.key_id)
    head = msgspec.structs.replace(head, recipients=(addressee,))
    submission = plain_submission(head, pair.xaa.context.signer)
    (outcome,) = await pair.xbb.receive(codec.encode(deliver(submission, 0)))
    (statement,) = await said(pair.xbb)
    assert code_of(outcome) == "cannot-open"
    assert (statement.kind, statement.code) == (StatementKind.REJECTED, "cannot-open")


async def test_an_expired_notice_is_rejected_not_shown(tmp_path: Path) -> None:
    """What arrives after its own expiry is answered EXPIRED."""
    async with a_node(tmp_path / "XAA", "XAA") as xaa:
        copy = delivery_to("XBB", await xaa.send(life_ms=60_000))
    late = FixedClock()
    late.advance(2 * DAY_MS)
    async with a_node(tmp_path / "XBB", "XBB", late) as xbb:
        (outcome,) = await xbb.receive(copy)
        (statement,) = await said(xbb)
        assert await xbb.desk.inbox(xbb.officer) == ()
    assert code_of(outcome) == "expired"
    assert statement.code == "expired"


async def test_a_notice_whose_key_was_destroyed_is_rejected(pair: Pair) -> None:
    """Forward secrecy is real: without the day's key the node cannot open, and says so."""
    copy = delivery_to("XBB", await pair.xaa.send())
    await pair.xbb.context.engine.write(lambda db: destroy_prekeys(db, 2**62))
    (outcome,) = await pair.xbb.receive(copy)
    assert code_of(outcome) == "cannot-open"


async def test_a_notice_re_signed_by_another_member_is_refused(pair: Pair) -> None:
    """A relay of XAA's words as XCC's own is no notice of anybody."""
    submission, _ = parse_submission(await pair.xaa.send())
    member = pair.xaa.everyone.members["XCC"]
    forged = msgspec.structs.replace(submission, proof=member.node.sign(Context.NOTICE, submission.manifest))
    (outcome,) = await pair.xbb.receive(codec.encode(deliver(forged, 0)))
    assert code_of(outcome) == "bad-signature"
    assert await said(pair.xbb) == []


async def test_an_unknown_signer_makes_the_node_look_for_newer_documents_once(pair: Pair) -> None:
    """The signer may be newer than this node's copy of the directory."""
    head = plain_header(pair.xaa.everyone, to=("XBB",), key_id=hashlib.sha256(b"new").digest())
    submission = plain_submission(head, pair.xaa.context.signer)
    (outcome,) = await pair.xbb.receive(codec.encode(deliver(submission, 0)))
    assert code_of(outcome) == "unknown-signer"
    assert len(pair.xbb.caught_up) == 1


GARBAGE = {
    "nothing": b"",
    "not MessagePack": b"\xc1",
    "deeply nested": b"\x91" * 100_000,
    "a length bomb": b"\xdd\xff\xff\xff\xff",
    "a map": b"\x80",
    "a statement's tag": b"\x93\xaealm1-statement\xc4\x00\xc0",
}


@pytest.mark.parametrize("name", GARBAGE)
@pytest.mark.parametrize("kind", list(ItemKind))
async def test_garbage_is_refused_and_what_follows_is_taken(pair: Pair, name: str, kind: ItemKind) -> None:
    """No item, however broken, stops the inbox."""
    await pair.xbb.receive(GARBAGE[name], kind=kind)
    await pair.xbb.receive(delivery_to("XBB", await pair.xaa.send()))
    assert len(await pair.xbb.desk.inbox(pair.xbb.officer)) == 1


async def test_a_missing_notice_shows_as_a_gap(pair: Pair) -> None:
    """The numbers inside the wraps tell the recipient, and nobody else, that one was withheld."""
    copies = [delivery_to("XBB", await pair.xaa.send(subject=f"Notice {n}")) for n in range(3)]
    await pair.xbb.receive(copies[0], copies[2])
    missing = [alarm.message for alarm in (await pair.xbb.desk.node(SENDER)).alarms]
    await pair.xbb.receive(copies[1])
    after = (await pair.xbb.desk.node(SENDER)).alarms
    assert missing == ["1 notice of XAA from before its newest did not arrive"]
    assert after == ()


async def _sealed_again(node: TestNode, submission: bytes, *, number: int = 2, **changes: object) -> bytes:
    """Seal a sent notice anew, as a sender does whose first envelope could not be opened."""
    _, sealed = parse_submission(submission)
    locked = await node.context.engine.read(lambda db: find_body(db, sealed.id))
    body = msgspec.structs.replace(unlock_body(node.context.vault, sealed.id, locked), **changes)
    now_ms = node.clock.now_ms()
    recipients = [
        SealFor(
            one.state,
            node.context.directory.prekey(one.state, now_ms).prekey.public,
            PairPosition(number, bytes([1]) * 32),
        )
        for one in sealed.header.recipients
    ]
    header = msgspec.structs.replace(sealed.header, nonce=bytes([number] * 16))
    return codec.encode(seal(header, body, recipients, node.context.signer).submission)


@pytest.mark.parametrize("rounds", [1, 2])
async def test_the_same_notice_under_another_envelope_is_shown_once(pair: Pair, rounds: int) -> None:
    """It was opened and is stored, so RECEIVED is true of the second envelope too: nothing stays red."""
    first = await pair.xaa.send()
    copies = [delivery_to("XBB", first), delivery_to("XBB", await _sealed_again(pair.xaa, first))]
    for some in [copies] if rounds == 1 else [[copy] for copy in (*copies, copies[1])]:
        await pair.xbb.receive(*some)
    statements = await said(pair.xbb)
    assert len(await pair.xbb.desk.inbox(pair.xbb.officer)) == 1
    assert [one.kind for one in statements] == [StatementKind.RECEIVED] * 2
    assert [one.envelope for one in statements] == [parse_delivery(copy)[1].id for copy in copies]
    assert (await pair.xbb.desk.node(SENDER)).alarms == ()


@pytest.mark.parametrize("rounds", [1, 2])
async def test_another_text_under_the_same_logical_id_is_a_duplicate(pair: Pair, rounds: int) -> None:
    """RECEIVED would claim that this text is stored; what is stored is another one."""
    first = await pair.xaa.send()
    other = await _sealed_again(pair.xaa, first, text="All clear.")
    copies = [delivery_to("XBB", first), delivery_to("XBB", other)]
    for some in [copies] if rounds == 1 else [[copy] for copy in copies]:
        outcomes = await pair.xbb.receive(*some)
    assert code_of(outcomes[-1]) == "duplicate"
    assert [one.code for one in await said(pair.xbb)] == [None, "duplicate"]


async def test_a_notice_that_was_rejected_is_shown_under_its_next_envelope(pair: Pair) -> None:
    """And its number is no gap: nobody withheld what was answered."""
    first = await pair.xaa.send()
    await pair.xbb.context.engine.write(lambda db: destroy_prekeys(db, 2**62))
    await pair.xbb.receive(delivery_to("XBB", first))
    await pair.xbb.bring_prekeys()
    await pair.xbb.receive(delivery_to("XBB", await _sealed_again(pair.xaa, first)))
    assert [one.kind for one in await said(pair.xbb)] == [StatementKind.REJECTED, StatementKind.RECEIVED]
    assert len(await pair.xbb.desk.inbox(pair.xbb.officer)) == 1
    assert (await pair.xbb.desk.node(SENDER)).alarms == ()


async def test_an_envelope_that_was_rejected_stays_rejected(pair: Pair) -> None:
    """A node never takes back what it signed: not even when the key turns up and the copy comes again."""
    copy = delivery_to("XBB", await pair.xaa.send())
    await pair.xbb.context.engine.write(lambda db: destroy_prekeys(db, 2**62))
    await pair.xbb.receive(copy)
    await pair.xbb.bring_prekeys()
    await pair.xbb.receive(copy)
    assert [one.kind for one in await said(pair.xbb)] == [StatementKind.REJECTED]
    assert await pair.xbb.desk.inbox(pair.xbb.officer) == ()


async def test_a_swapped_row_in_the_store_is_noticed(pair: Pair) -> None:
    """Locked columns are bound to their row: content cannot be moved between notices."""
    for number in range(2):
        await pair.xbb.receive(delivery_to("XBB", await pair.xaa.send(subject=f"Notice {number}")))
    ids = [notice.id for notice in await pair.xbb.desk.inbox(pair.xbb.officer)]

    def swap(db: apsw.Connection) -> None:
        bodies = [
            db.execute("SELECT locked_body FROM content WHERE envelope = ?", (bytes.fromhex(i),)).get
            for i in ids
        ]
        for id_, body in zip(ids, reversed(bodies), strict=True):
            db.execute("UPDATE content SET locked_body = ? WHERE envelope = ?", (body, bytes.fromhex(id_)))

    await pair.xbb.context.engine.write(swap)
    with pytest.raises(StoreFailed):
        await pair.xbb.desk.open(pair.xbb.officer, ids[0])


async def test_a_store_reveals_no_content_without_the_vault_key(pair: Pair, tmp_path: Path) -> None:
    """Subject, text and content key lie locked in the recipient's own database."""
    await pair.xbb.receive(delivery_to("XBB", await pair.xaa.send(text="canary-in-the-text")))
    stored = b"".join(path.read_bytes() for path in (tmp_path / "XBB").glob("node.db*"))
    assert b"Ransomware at a power" not in stored
    assert b"canary-in-the-text" not in stored
