"""Officers: a named person's own signature, made only with that person's token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from exchange.node.officers import officer_key_path
from exchange.node.requests import AnswerRequest
from exchange.node.tokens import Identity, TokenRole
from keys import enrolment, governance
from keys.documents import sign_document
from keys.keyfile import KeyKind, KeyRecord, format_secret
from keys.protection import Token
from protocol.documents import Role, StateStatus
from protocol.errors import BadRequest, ClockSkew, NotAuthorized
from protocol.session.messages import ItemKind
from protocol.statement import Statement, StatementKind, parse_statement
from tests.community import YEAR_MS, seed_of, signer
from tests.nodes import MONITOR, SENDER, TestNode, a_node, delivery_to

ACCEPT = AnswerRequest(answer="accepted")
DECLINE = AnswerRequest(answer="declined", reason="not-affected")
COMPLETE = AnswerRequest(answer="completed")
SECOND = Identity(TokenRole.OFFICER, "second officer", b"2" * 32)


@dataclass(frozen=True)
class Pair:
    """A sender and a recipient that has received one notice."""

    xaa: TestNode
    xbb: TestNode
    id: str

    async def carry_answers(self) -> None:
        """Deliver everything that the recipient has said to the sender."""
        await self.xaa.receive(*await self.statements(), kind=ItemKind.STATEMENT)

    async def statements(self) -> list[bytes]:
        """Return what the recipient has queued, as signed."""
        return [row.content for row in await self.xbb.queue() if row.kind == "attest"]

    async def said(self) -> list[Statement]:
        """Return what the recipient's officers have said."""
        statements = [parse_statement(data)[1] for data in await self.statements()]
        return [one for one in statements if one.kind is not StatementKind.RECEIVED]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """Return the nodes of XAA and XBB."""
    async with a_node(tmp_path / "XAA", "XAA") as xaa, a_node(tmp_path / "XBB", "XBB") as xbb:
        submission = await xaa.send()
        await xbb.receive(delivery_to("XBB", submission))
        (notice,) = await xbb.desk.inbox(xbb.officer)
        yield Pair(xaa, xbb, notice.id)


def add_second_officer(pair: Pair, folder: Path, *, listed: bool = True, owner: str = SECOND.name) -> None:
    """Give XBB a second officer, listed in the next manifest under a name or not at all."""
    node, member = pair.xbb, pair.xbb.everyone.members["XBB"]
    key = signer("XBB second", Role.OFFICER)
    record = KeyRecord(KeyKind.SIGNING, SECOND.name, "officer", seed_of(key), node.clock.now_ms())
    path = officer_key_path(folder / "XBB", SECOND)
    path.write_text(format_secret(record, Token(SECOND.secret), salt=bytes(32)))
    path.chmod(0o600)
    if not listed:
        return
    now_ms = node.clock.now_ms()
    entry = enrolment.key_entry(
        key,
        state="XBB",
        community=node.everyone.id,
        owner=owner,
        from_ms=now_ms - 1000,
        until_ms=now_ms + YEAR_MS,
    )
    held = node.context.directory.documents.manifests["XBB"]
    manifest = enrolment.next_manifest(
        held,
        state="XBB",
        community=node.everyone.id,
        keys=(*member.keys, entry),
        certificates=list(held.document.certificates),
        now_ms=now_ms,
        life_ms=YEAR_MS,
    )
    data = sign_document(manifest, [member.identity])
    for one in (pair.xaa, pair.xbb):
        one.context.directory.update(data, now_ms)


def files_of(folder: Path) -> bytes:
    """Return every byte of both nodes' databases."""
    return b"".join(path.read_bytes() for path in folder.glob("X*/node.db*"))


async def test_opening_is_signed_once_by_each_officer(pair: Pair, tmp_path: Path) -> None:
    """Reading again signs nothing; another person's first look is that person's own."""
    add_second_officer(pair, tmp_path)
    for who in (pair.xbb.officer, pair.xbb.officer, SECOND, pair.xbb.officer):
        content = await pair.xbb.desk.open(who, pair.id)
        assert content.text == "Two control rooms are affected."
    said = await pair.said()
    assert [one.kind for one in said] == [StatementKind.OPENED] * 2
    assert len({one.key_id for one in said}) == 2


async def test_an_officers_statements_are_chained(pair: Pair) -> None:
    """Each statement of a key numbers itself and names the one before it."""
    await pair.xbb.desk.open(pair.xbb.officer, pair.id)
    for request in (ACCEPT, COMPLETE):
        await pair.xbb.desk.answer(pair.xbb.officer, pair.id, request)
    said = await pair.said()
    ids = [row.subject for row in await pair.xbb.queue() if row.kind == "attest"][1:]
    assert [one.kind.name for one in said] == ["OPENED", "ACCEPTED", "COMPLETED"]
    assert [one.sequence for one in said] == [1, 2, 3]
    assert [one.previous for one in said[1:]] == ids[:-1]


async def test_answering_says_that_it_was_opened_first(pair: Pair) -> None:
    """Nobody accepts what nobody has looked at."""
    await pair.xbb.desk.answer(pair.xbb.officer, pair.id, ACCEPT)
    assert [one.kind.name for one in await pair.said()] == ["OPENED", "ACCEPTED"]


async def test_the_same_answer_twice_is_one_statement(pair: Pair) -> None:
    """Repeating an unknown outcome is always safe."""
    first = await pair.xbb.desk.answer(pair.xbb.officer, pair.id, ACCEPT)
    again = await pair.xbb.desk.answer(pair.xbb.officer, pair.id, ACCEPT)
    assert first.statement == again.statement


async def test_a_second_note_is_refused_and_never_dropped_in_silence(pair: Pair) -> None:
    """Who adds a note to an answer given before learns that it did not travel, and how it can."""
    said = AnswerRequest(answer="accepted", note="hello")
    first = await pair.xbb.desk.answer(pair.xbb.officer, pair.id, said)
    for same in (said, ACCEPT):
        assert (await pair.xbb.desk.answer(pair.xbb.officer, pair.id, same)).statement == first.statement
    more = AnswerRequest(answer="accepted", note="one thing more")
    with pytest.raises(BadRequest, match="nothing was added") as caught:
        await pair.xbb.desk.answer(pair.xbb.officer, pair.id, more)
    assert "--kind response" in caught.value.hint
    assert len(await pair.said()) == 2


async def test_a_second_reason_is_refused(pair: Pair) -> None:
    """A signed reason stands; another one is not taken for it."""
    await pair.xbb.desk.answer(pair.xbb.officer, pair.id, DECLINE)
    with pytest.raises(BadRequest, match="nothing was added"):
        await pair.xbb.desk.answer(
            pair.xbb.officer, pair.id, AnswerRequest(answer="declined", reason="no-capacity")
        )


async def test_an_officer_may_change_from_accepted_to_declined(pair: Pair) -> None:
    """Both are kept and signed; sender and recipient show the latest."""
    await pair.xbb.desk.answer(pair.xbb.officer, pair.id, ACCEPT)
    await pair.xbb.desk.answer(pair.xbb.officer, pair.id, DECLINE)
    await pair.carry_answers()
    mine = (await pair.xbb.desk.status(pair.xbb.officer, pair.id)).deliveries[0]
    theirs = (await pair.xaa.desk.status(SENDER, pair.id)).deliveries[0]
    assert (mine.state, mine.code) == (theirs.state, theirs.code) == ("declined", "not-affected")
    assert {"opened", "accepted", "declined"} <= set(theirs.reached_ms)


async def test_a_corrected_clock_does_not_reorder_answers(pair: Pair) -> None:
    """The latest answer is the one given last, whatever the clock said then."""
    await pair.xbb.desk.answer(pair.xbb.officer, pair.id, ACCEPT)
    pair.xbb.clock.set(pair.xbb.clock.now_ms() - 60_000)
    await pair.xbb.desk.answer(pair.xbb.officer, pair.id, DECLINE)
    again = await pair.xbb.desk.answer(pair.xbb.officer, pair.id, DECLINE)
    await pair.carry_answers()
    assert len(await pair.said()) == 3
    assert (await pair.xbb.desk.status(pair.xbb.officer, pair.id)).deliveries[0].state == "declined"
    assert (await pair.xaa.desk.status(SENDER, pair.id)).deliveries[0].state == "declined"
    assert again.kind == "declined"


@pytest.mark.parametrize(("first", "then"), [(COMPLETE, ACCEPT), (COMPLETE, DECLINE), (DECLINE, COMPLETE)])
async def test_an_answer_that_the_sender_would_not_count_is_refused(
    pair: Pair, first: AnswerRequest, then: AnswerRequest
) -> None:
    """What this node shows as said is what the sender shows as heard."""
    await pair.xbb.desk.answer(pair.xbb.officer, pair.id, first)
    with pytest.raises(BadRequest) as caught:
        await pair.xbb.desk.answer(pair.xbb.officer, pair.id, then)
    assert caught.value.hint
    await pair.carry_answers()
    assert (await pair.xaa.desk.status(SENDER, pair.id)).deliveries[0].state == first.answer


async def test_two_officers_cannot_give_two_last_answers_at_once(pair: Pair, tmp_path: Path) -> None:
    """What the second one says is judged after the first one's answer is stored."""
    add_second_officer(pair, tmp_path)
    for who in (pair.xbb.officer, SECOND):
        await pair.xbb.desk.answer(who, pair.id, ACCEPT)
    both = await asyncio.gather(
        pair.xbb.desk.answer(pair.xbb.officer, pair.id, COMPLETE),
        pair.xbb.desk.answer(SECOND, pair.id, DECLINE),
        return_exceptions=True,
    )
    assert [type(one) for one in both].count(BadRequest) == 1
    await pair.carry_answers()
    (delivery,) = [
        one for one in (await pair.xaa.desk.status(SENDER, pair.id)).deliveries if one.recipient == "XBB"
    ]
    assert (await pair.xbb.desk.notice(pair.xbb.officer, pair.id)).state == delivery.state


async def test_a_second_officers_look_does_not_take_back_an_answer(pair: Pair, tmp_path: Path) -> None:
    """Who answered stays on show, at both ends, after somebody else has read the notice."""
    add_second_officer(pair, tmp_path)
    await pair.xbb.desk.answer(pair.xbb.officer, pair.id, ACCEPT)
    pair.xbb.clock.advance(1000)
    await pair.xbb.desk.open(SECOND, pair.id)
    await pair.carry_answers()
    mine = (await pair.xbb.desk.status(pair.xbb.officer, pair.id)).deliveries[0]
    theirs = (await pair.xaa.desk.status(SENDER, pair.id)).deliveries[0]
    assert [(one.state, one.officer) for one in (mine, theirs)] == [("accepted", "officer of XBB")] * 2


async def test_a_note_is_readable_by_the_sender_and_nobody_else(pair: Pair, tmp_path: Path) -> None:
    """The note travels sealed to the sender; a monitor's token shows it at neither end."""
    note = "canary: ask for Ana, extension 12"
    await pair.xbb.desk.answer(pair.xbb.officer, pair.id, AnswerRequest(answer="accepted", note=note))
    statements = await pair.statements()
    await pair.carry_answers()
    shown = [
        (await node.desk.status(who, pair.id)).deliveries[0].note
        for node in (pair.xaa, pair.xbb)
        for who in (SENDER, MONITOR)
    ]
    stored = files_of(tmp_path)
    assert [text == note for text in shown] == [True, False, True, False]
    assert all(b"canary" not in data for data in (*statements, stored))


async def test_a_note_that_the_sender_cannot_open_still_leaves_the_answer(pair: Pair) -> None:
    """If the sender's key of that day is gone, the answer counts and the loss of the note is said."""
    await pair.xbb.desk.answer(pair.xbb.officer, pair.id, AnswerRequest(answer="accepted", note="hello"))
    await pair.xaa.context.engine.write(lambda db: db.execute("DELETE FROM prekey"))
    await pair.carry_answers()
    delivery = (await pair.xaa.desk.status(SENDER, pair.id)).deliveries[0]
    assert (delivery.state, delivery.note) == ("accepted", "(the note cannot be opened)")


WRONG_TOKENS = {
    "a sender's": SENDER,
    "a monitor's": MONITOR,
    "another secret": Identity(TokenRole.OFFICER, "officer of XBB", b"x" * 32),
    "another officer's name": Identity(TokenRole.OFFICER, "officer of XAA", b"XBB".ljust(32, b".")),
}


@pytest.mark.parametrize("name", WRONG_TOKENS)
async def test_a_wrong_token_signs_nothing(pair: Pair, name: str) -> None:
    """The node cannot answer for a person without that person's token."""
    with pytest.raises(NotAuthorized) as caught:
        await pair.xbb.desk.answer(WRONG_TOKENS[name], pair.id, ACCEPT)
    assert caught.value.hint
    assert await pair.said() == []


async def test_a_key_file_that_another_token_locked_signs_nothing(pair: Pair, tmp_path: Path) -> None:
    """Renaming a key file does not give it to another officer."""
    thief = replace(pair.xbb.officer, secret=b"t" * 32)
    genuine = officer_key_path(tmp_path / "XBB", pair.xbb.officer)
    genuine.rename(officer_key_path(tmp_path / "XBB", thief))
    with pytest.raises(NotAuthorized):
        await pair.xbb.desk.open(thief, pair.id)
    assert await pair.said() == []


async def test_an_officer_who_is_not_in_the_directory_signs_nothing(pair: Pair, tmp_path: Path) -> None:
    """A key counts when the state's manifest lists it, not before."""
    add_second_officer(pair, tmp_path, listed=False)
    with pytest.raises(NotAuthorized, match="directory"):
        await pair.xbb.desk.open(SECOND, pair.id)


async def test_an_officer_of_a_suspended_state_is_told_what_to_wait_for(pair: Pair) -> None:
    """No manifest would help: the directory decides, and the node goes on by itself afterwards."""
    trusted = pair.xbb.context.directory
    states = [
        msgspec.structs.replace(one, status=StateStatus.SUSPENDED) if one.code == "XBB" else one
        for one in trusted.states()
    ]
    now_ms = pair.xbb.clock.now_ms()
    document = governance.next_directory(
        trusted, states, trusted.coordinators(), now_ms=now_ms, life_ms=YEAR_MS
    )
    trusted.update(pair.xbb.everyone.signed_by_governance(document), now_ms)
    with pytest.raises(NotAuthorized, match="XBB is suspended") as caught:
        await pair.xbb.desk.answer(pair.xbb.officer, pair.id, ACCEPT)
    assert "when governance has reinstated it" in caught.value.hint


async def test_an_officer_who_is_listed_under_another_name_signs_nothing(pair: Pair, tmp_path: Path) -> None:
    """What the sender is shown as the signer's name must be whose token it was."""
    add_second_officer(pair, tmp_path, owner="somebody else")
    with pytest.raises(NotAuthorized, match="somebody else"):
        await pair.xbb.desk.open(SECOND, pair.id)
    assert await pair.said() == []


async def test_declining_needs_a_reason_and_accepting_has_none(pair: Pair) -> None:
    """The reason is one of the published ones; nothing is signed before that is right."""
    wrong = (
        msgspec.structs.replace(DECLINE, reason=None),
        msgspec.structs.replace(DECLINE, reason="busy"),
        msgspec.structs.replace(ACCEPT, reason="not-affected"),
    )
    for request in wrong:
        with pytest.raises(BadRequest):
            await pair.xbb.desk.answer(pair.xbb.officer, pair.id, request)
    assert await pair.said() == []


async def test_only_recipients_answer(pair: Pair) -> None:
    """A sender does not answer its own notice."""
    with pytest.raises(BadRequest):
        await pair.xaa.desk.answer(pair.xaa.officer, pair.id, ACCEPT)


async def test_a_wrong_clock_signs_nothing_and_hides_nothing(tmp_path: Path) -> None:
    """The officer reads the warning at once; what they say is signed when the clock is right."""
    async with a_node(tmp_path / "XAA", "XAA") as xaa, a_node(tmp_path / "XBB", "XBB") as xbb:
        copy = delivery_to("XBB", await xaa.send())
        await xbb.receive(copy)
        (notice,) = await xbb.desk.inbox(xbb.officer)
        xbb.link_state.opened(skew_ms=24 * 3_600_000)
        content = await xbb.desk.open(xbb.officer, notice.id)
        with pytest.raises(ClockSkew):
            await xbb.desk.answer(xbb.officer, notice.id, AnswerRequest(answer="accepted"))
        xbb.link_state.opened(skew_ms=0)
        answer = await xbb.desk.answer(xbb.officer, notice.id, AnswerRequest(answer="accepted"))
    assert (content.text, content.opened_by) == ("Two control rooms are affected.", None)
    assert answer.kind == "accepted"
