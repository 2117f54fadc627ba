"""The ledger as nodes meet it: on a whole coordinator, over TLS, with nodes that cosign."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from exchange.coordinator import ledger as ledger_module
from exchange.coordinator import witnesses as witnesses_module
from exchange.coordinator.budget import Allowance
from exchange.coordinator.heads import HaltReason
from exchange.coordinator.opening import opened
from exchange.coordinator.service import Coordinator
from exchange.settings import CoordinatorSettings
from keys import enrolment
from keys.documents import sign_document
from keys.quorum import quorum_of
from protocol import codec, tree
from protocol.errors import SetupError
from protocol.ledger.checkpoint import Checkpoint, parse_checkpoint, sign_with
from protocol.ledger.leaf import statement_leaf
from protocol.ledger.origins import Log
from protocol.ledger.witness import WitnessStatus, parse_add_checkpoint
from protocol.session.messages import (
    Accepted,
    Attest,
    Compare,
    Compared,
    Cosigned,
    Locate,
    Located,
    Publish,
    Submit,
)
from protocol.statement import StatementKind, parse_statement, statement_id
from tests import hubs
from tests.community import HUB, note_secret
from tests.envelopes import id_of, said, sent
from tests.hubs import CLOCK, Node, directory, documents, everyone, no_passphrase, node, prepare, running
from tests.logs import Log as EventLog

SOON = 0.05


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Return a prepared data directory."""
    data = tmp_path / "hub"
    await prepare(data)
    return data


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let checkpoints and rounds follow each other faster than in the field."""

    def settings(folder: Path) -> CoordinatorSettings:
        return msgspec.structs.replace(slow(folder), checkpoint_s=SOON, witness_s=SOON)

    slow = hubs.settings
    monkeypatch.setattr(hubs, "settings", settings)


@asynccontextmanager
async def everybody(tmp_path: Path, port: int) -> AsyncIterator[tuple[Node, Node, Node]]:
    """Connect all three states; the last two only cosign, by themselves."""
    async with (
        node(tmp_path, "XAA", port) as xaa,
        node(tmp_path, "XBB", port) as xbb,
        node(tmp_path, "XCC", port) as xcc,
    ):
        cosigning = [asyncio.create_task(listen(one)) for one in (xbb, xcc)]
        try:
            yield xaa, xbb, xcc
        finally:
            for task in cosigning:
                task.cancel()
            await asyncio.gather(*cosigning, return_exceptions=True)


async def listen(one: Node) -> None:
    """Let a node cosign whatever it is asked."""
    while True:
        await one.hear()


async def relayed(one: Node, ref: int = 1) -> bytes:
    """Let a node send a notice, and return the coordinator's signed promise."""
    answer = await one.ask(Submit(ref=ref, submission=codec.encode(sent(everyone(), to=("XBB",)))))
    assert isinstance(answer, Accepted)
    assert answer.statement is not None
    return answer.statement


def name_of(data: bytes) -> bytes:
    """Return a signed statement's id."""
    return statement_id(parse_statement(data)[0].body)


async def located(one: Node, statement: bytes) -> Located:
    """Ask where a statement stands until it stands somewhere."""
    for _ in range(200):
        one.link.send(Locate(statements=(name_of(statement),)))
        try:
            async with asyncio.timeout(4 * SOON):
                answer = await one.next()
        except TimeoutError:
            continue  # there is no checkpoint yet
        assert isinstance(answer, Located)
        if answer.places:
            return answer
        await asyncio.sleep(SOON)
    raise AssertionError


def require_place(answer: Located, statement: bytes, kind: StatementKind) -> None:
    """Check one place as a node does."""
    (place,) = answer.places
    signed = parse_checkpoint(answer.checkpoint)
    quorum_of(directory(), HUB, Log.ACK).require_log(signed)
    leaf = statement_leaf(kind, place.at_ms, statement).encode()
    size = signed.checkpoint.size
    assert tree.root_from_path(tree.leaf_hash(leaf), place.index, size, place.path) == signed.checkpoint.root


async def until_halted(coordinator: Coordinator) -> HaltReason:
    """Wait until the log of statements is halted."""
    for _ in range(200):
        if coordinator._ledger.heads.ack.halted is not None:
            return coordinator._ledger.heads.ack.halted
        await asyncio.sleep(SOON)
    raise AssertionError


async def test_a_promise_stands_under_a_checkpoint_that_a_quorum_has_cosigned(
    folder: Path, tmp_path: Path
) -> None:
    """From the submission to the proof under the witnesses' signatures; of documents too."""
    async with running(folder) as (_, port), everybody(tmp_path, port) as (xaa, _, _):
        promise = await relayed(xaa)
        signed = await xaa.until_witnessed(Log.ACK, 2)
        assert len(quorum_of(directory(), HUB, Log.ACK).require(signed)) >= 2
        answer = await located(xaa, promise)
        require_place(answer, promise, StatementKind.RELAYED)
        assert parse_checkpoint(answer.checkpoint).checkpoint.size >= 2
        quorum_of(directory(), HUB, Log.ACK).require(parse_checkpoint(answer.checkpoint))
        documented = await xaa.until_witnessed(Log.DIRECTORY, len(documents()))
        quorum_of(directory(), HUB, Log.DIRECTORY).require(documented)


async def test_every_statement_of_everybody_gets_its_place(folder: Path, tmp_path: Path) -> None:
    """Several in one question; one that is nowhere is in no answer."""
    async with running(folder) as (_, port), node(tmp_path, "XAA", port) as xaa:
        one = sent(everyone(), to=("XBB",))
        accepted = await xaa.ask(Submit(ref=1, submission=codec.encode(one)))
        assert isinstance(accepted, Accepted)
        assert accepted.statement is not None
        async with node(tmp_path, "XBB", port) as xbb:
            await xbb.deliver()
            receipt = said(everyone(), "XBB", StatementKind.RECEIVED, id_of(one), at_ms=CLOCK.now_ms()).data
            assert isinstance(await xbb.ask(Attest(ref=1, statement=receipt)), Accepted)
            require_place(await located(xbb, receipt), receipt, StatementKind.RECEIVED)
            asked = (bytes(32), name_of(receipt), name_of(accepted.statement))
            xbb.link.send(Locate(statements=asked))
            found = [answer for answer in [await xbb.next()] if isinstance(answer, Located)]
            places = {place.statement for answer in found for place in answer.places}
            assert places <= set(asked[1:])


async def test_what_only_the_newest_checkpoint_covers_comes_in_a_second_answer(
    folder: Path, tmp_path: Path
) -> None:
    """The first answer is under the witnesses' signatures, the second under the log's alone."""
    async with running(folder) as (_, port):
        async with everybody(tmp_path, port) as (xaa, _, _):
            first = await relayed(xaa)
            await xaa.until_witnessed(Log.ACK, 2)
        async with node(tmp_path, "XAA", port) as xaa:
            xaa.cosigns = False
            second = await relayed(xaa)
            await located(xaa, second)
            xaa.link.send(Locate(statements=(name_of(first), name_of(second))))
            shown = [await xaa.next(), await xaa.next()]
        covered, others = shown
        assert isinstance(covered, Located)
        assert isinstance(others, Located)
        assert [place.statement for place in covered.places] == [name_of(first)]
        assert [place.statement for place in others.places] == [name_of(second)]
        quorum_of(directory(), HUB, Log.ACK).require(parse_checkpoint(covered.checkpoint))
        assert parse_checkpoint(others.checkpoint).checkpoint.size == 3


async def test_a_node_may_ask_how_a_log_grew(folder: Path, tmp_path: Path) -> None:
    """Between any two sizes up to the published one; of others nothing is told."""
    async with running(folder) as (coordinator, port), everybody(tmp_path, port) as (xaa, _, _):
        for ref in range(1, 4):
            await relayed(xaa, ref)
        signed = await xaa.until_witnessed(Log.ACK, 4)
        hashes = (await coordinator._parts.ledger.leaf_hashes(Log.ACK, 0, limit=9)).hashes
        xaa.link.send(Compare(log=Log.ACK, old=2, new=4))
        answer = await xaa.next()
        assert isinstance(answer, Compared)
        assert (answer.log, answer.old, answer.new) == (Log.ACK, 2, 4)
        tree.verify_consistency(2, tree.root_of(hashes[:2]), 4, signed.checkpoint.root, answer.proof)
        for old, new in ((0, 4), (3, 2), (2, 5)):
            xaa.link.send(Compare(log=Log.ACK, old=old, new=new))
            assert await xaa.next() == Compared(log=Log.ACK, old=old, new=0, proof=())


async def test_without_a_quorum_notices_flow_and_the_operator_is_told_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logging_as_before: None
) -> None:
    """Evidence waits, delivery does not; when the quorum is there again, that is told too."""
    monkeypatch.setattr(witnesses_module, "PATIENCE_SECONDS", 0.2)
    events = EventLog()
    async with running(folder) as (_, port), node(tmp_path, "XAA", port) as xaa:
        for ref in range(1, 5):
            promise = await relayed(xaa, ref)
            require_place(await located(xaa, promise), promise, StatementKind.RELAYED)
        assert Log.ACK not in xaa.shown
        for _ in range(100):
            if '"ledger.no_quorum"' in events.text:
                break
            await relayed(xaa, ref := ref + 1)
            await asyncio.sleep(SOON)
        told = [line for line in events.text.splitlines() if '"ledger.no_quorum"' in line]
        assert len([line for line in told if '"ack"' in line]) == 1
        async with node(tmp_path, "XBB", port) as xbb:
            both = [asyncio.create_task(one.until_witnessed(Log.ACK, 5)) for one in (xaa, xbb)]
            await asyncio.gather(*both)
        assert '"ledger.quorum"' in events.text


async def test_a_witness_that_was_away_is_told_how_the_log_grew(folder: Path, tmp_path: Path) -> None:
    """It says with 409 what it cosigned last, and is given the proof from there."""
    async with (
        running(folder) as (_, port),
        node(tmp_path, "XBB", port) as xbb,
        node(tmp_path, "XAA", port) as xaa,
    ):
        listening = asyncio.create_task(listen(xbb))
        await relayed(xaa)
        await xaa.until_witnessed(Log.ACK, 2)
        listening.cancel()
        held = dict(xbb.held)
        assert held[Log.ACK].size == 2
        await relayed(xaa, 2)
        await located(xaa, await relayed(xaa, 3))
    async with running(folder) as (_, port), node(tmp_path, "XBB", port) as xbb:
        xbb.held.update(held)
        async with asyncio.timeout(10):
            while xbb.held[Log.ACK].size < 4:
                await xbb.hear()
        asked = [parse_add_checkpoint(one.body).old for one in xbb.asked if one.log is Log.ACK]
        assert asked[:2] == [0, 2]


async def test_a_node_is_shown_the_witnessed_checkpoint_at_once(folder: Path, tmp_path: Path) -> None:
    """Also after a restart of the coordinator: it is kept."""
    async with running(folder) as (_, port), everybody(tmp_path, port) as (xaa, _, _):
        await relayed(xaa)
        signed = await xaa.until_witnessed(Log.ACK, 2)
    async with running(folder) as (_, port), node(tmp_path, "XCC", port) as xcc:
        shown = await xcc.until_witnessed(Log.ACK, 1)
        assert shown.checkpoint == signed.checkpoint
        quorum_of(directory(), HUB, Log.ACK).require(shown)


def other_past(size: int, *, by: str = HUB) -> bytes:
    """Return a checkpoint of the log that it has not published, signed with its keys or with another's."""
    checkpoint = Checkpoint(quorum_of(directory(), HUB, Log.ACK).log[0].name, size, bytes(32))
    return sign_with(checkpoint, note_secret(by).sign_log(checkpoint, CLOCK.now_ms() // 1000)).data


async def until_asked(who: Node) -> None:
    """Return once the coordinator has asked for a cosignature of the log of statements."""
    who.cosigns = False
    await relayed(who)
    async with asyncio.timeout(10):
        while not any(one.log is Log.ACK for one in who.asked):
            await who.hear()


@pytest.mark.parametrize(
    ("status", "size", "reason"),
    [
        (WitnessStatus.CONFLICT, 1000, HaltReason.WITNESS_AHEAD),
        (WitnessStatus.INCONSISTENT, 1, HaltReason.WITNESS_DISAGREES),
    ],
)
async def test_a_witness_that_shows_another_past_halts_the_log_and_nothing_else(
    folder: Path, tmp_path: Path, status: int, size: int, reason: HaltReason
) -> None:
    """Nothing further is signed; notices go on being relayed."""
    async with running(folder) as (coordinator, port), node(tmp_path, "XAA", port) as xaa:
        await until_asked(xaa)
        xaa.link.send(Cosigned(log=Log.ACK, status=status, body=b"%d\n" % size, held=other_past(size)))
        assert await until_halted(coordinator) is reason
        size = coordinator._ledger.heads.ack.size
        await relayed(xaa, 2)
        await asyncio.sleep(5 * SOON)
        assert coordinator._ledger.heads.ack.size == size
        assert coordinator._ledger.heads.directory.halted is None
        assert await coordinator.ready()


@pytest.mark.parametrize("status", [WitnessStatus.CONFLICT, WitnessStatus.INCONSISTENT])
@pytest.mark.parametrize("shown", ["nothing", "rubbish", "anothers", "the-truth"])
async def test_no_member_can_stop_the_log_with_its_word_alone(
    folder: Path, tmp_path: Path, status: int, shown: str
) -> None:
    """What it shows must be signed by the log, and contradict what the log has published."""
    async with running(folder) as (coordinator, port), everybody(tmp_path, port) as (xaa, _, _):
        await until_asked(xaa)
        held = {
            "nothing": None,
            "rubbish": b"a note\n",
            "anothers": other_past(1000, by="XAA"),
            "the-truth": parse_add_checkpoint(xaa.asked[-1].body).checkpoint,
        }[shown]
        xaa.link.send(Cosigned(log=xaa.asked[-1].log, status=status, body=b"1000\n", held=held))
        await relayed(xaa, 2)
        size = coordinator._ledger.heads.ack.size
        await relayed(xaa, 3)
        async with asyncio.timeout(10):
            while coordinator._ledger.heads.ack.size <= size:  # noqa: ASYNC110 - nothing tells of it here
                await asyncio.sleep(SOON)
        assert coordinator._ledger.heads.ack.halted is None


async def test_a_backup_restored_with_its_anchor_signs_nothing_before_a_witness_was_heard(
    folder: Path, tmp_path: Path
) -> None:
    """Database and anchor agree with each other; the members remember more, and the first one stops it."""
    async with running(folder) as (_, port), everybody(tmp_path, port) as (xaa, _, _):
        await relayed(xaa)
        await xaa.until_witnessed(Log.ACK, 2)
    shutil.copytree(folder, tmp_path / "backup")
    async with running(folder) as (_, port), everybody(tmp_path, port) as (xaa, xbb, _):
        for ref in range(1, 4):
            await relayed(xaa, ref)
        await xaa.until_witnessed(Log.ACK, 5)
        held, notes = dict(xbb.held), dict(xbb.notes)
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)
    async with running(folder) as (coordinator, port), node(tmp_path, "XAA", port) as xaa:
        xaa.held.update(held)
        xaa.notes.update(notes)
        promise = await relayed(xaa)
        assert parse_statement(promise)[1].kind is StatementKind.RELAYED
        listening = asyncio.create_task(listen(xaa))
        assert await until_halted(coordinator) is HaltReason.WITNESS_AHEAD
        listening.cancel()
        assert coordinator._ledger.heads.ack.size == 2


async def test_an_older_database_beside_a_newer_anchor_does_not_start(folder: Path, tmp_path: Path) -> None:
    """The operator reads both sizes and what to do."""
    async with running(folder) as (_, port), node(tmp_path, "XAA", port) as xaa:
        await located(xaa, await relayed(xaa))
    shutil.copytree(folder, tmp_path / "backup")
    async with running(folder) as (_, port), node(tmp_path, "XAA", port) as xaa:
        await located(xaa, await relayed(xaa))
    shutil.copyfile(tmp_path / "backup" / "almenara.db", folder / "almenara.db")
    with pytest.raises(SetupError, match="anchor of the log ack has checkpoint 3, the database 2"):
        async with running(folder):
            raise AssertionError


async def test_a_coordinator_with_other_log_keys_does_not_start(folder: Path) -> None:
    """No node would believe it."""
    async with opened(hubs.settings(folder), no_passphrase, CLOCK) as parts:
        other = everyone().members["XAA"].witness
        with pytest.raises(SetupError, match="other log keys"):
            ledger_module.require_listed(parts.directory, parts.keys.code, other)


async def test_a_false_cosignature_counts_for_nothing(folder: Path, tmp_path: Path) -> None:
    """Nor do lines of another witness, and the session goes on."""
    async with running(folder) as (coordinator, port), node(tmp_path, "XAA", port) as xaa:
        xaa.cosigns = False
        await relayed(xaa)
        async with node(tmp_path, "XBB", port) as xbb:
            listening = asyncio.create_task(listen(xbb))
            for ref, body in enumerate((b"rubbish", b"", b"\xff"), start=2):
                while not any(one.log is Log.ACK for one in xaa.asked):
                    await xaa.hear()
                xaa.asked.clear()
                xaa.link.send(Cosigned(log=Log.ACK, status=200, body=body, held=None))
                await relayed(xaa, ref)
                await asyncio.sleep(2 * SOON)
            listening.cancel()
        assert coordinator._ledger.heads.ack.witnessed is None
        assert coordinator._ledger.heads.ack.halted is None


async def test_an_answer_that_nobody_asked_for_is_passed_over(folder: Path, tmp_path: Path) -> None:
    """A member cannot halt a log with a word out of nowhere."""
    async with running(folder) as (coordinator, port), node(tmp_path, "XAA", port) as xaa:
        await located(xaa, await relayed(xaa))
        await asyncio.sleep(3 * SOON)
        xaa.cosigns = False
        for _ in range(2):
            xaa.link.send(Cosigned(log=Log.ACK, status=422, body=b"", held=other_past(1000)))
        await relayed(xaa, 2)
        assert coordinator._ledger.heads.ack.halted is None


async def test_a_member_that_asks_too_much_is_left_without_answers(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its notices go on; nobody else notices."""
    few = Allowance(items_per_second=0.001, items_at_once=3)
    monkeypatch.setattr(ledger_module, "QUESTION_ALLOWANCE", few)
    async with running(folder) as (_, port), node(tmp_path, "XAA", port) as xaa:
        for _ in range(20):
            xaa.link.send(Compare(log=Log.ACK, old=1, new=1))
        answers = 0
        xaa.link.send(Submit(ref=1, submission=codec.encode(sent(everyone(), to=("XBB",)))))
        while not isinstance(await xaa.next(), Accepted):
            answers += 1
        assert answers == 3


async def test_the_log_says_which_documents_count_before_what_is_judged_by_them(
    folder: Path, tmp_path: Path
) -> None:
    """The first statement names all documents; a new one is named before the next notice, once."""
    async with running(folder) as (coordinator, port), node(tmp_path, "XAA", port) as xaa:
        await relayed(xaa, 1)
        await relayed(xaa, 2)
        assert isinstance(await published(xaa, b"levels", 3), Accepted)
        await relayed(xaa, 4)
        await relayed(xaa, 5)
        rows = await coordinator._parts.store.statements(0, 99)
    async with running(folder) as (coordinator, port), node(tmp_path, "XAA", port) as xaa:
        await relayed(xaa, 1)
        rows = await coordinator._parts.store.statements(0, 99)
        hashes = (await coordinator._parts.ledger.leaf_hashes(Log.DIRECTORY, 0, limit=999)).hashes
    said_ = [parse_statement(data)[1] for data in rows]
    kinds = [one.kind for one in said_]
    relayed_, named = StatementKind.RELAYED, StatementKind.DIRECTORY
    assert kinds == [named, relayed_, relayed_, named, relayed_, relayed_, relayed_]
    for index, size in ((0, len(documents())), (3, len(documents()) + 1)):
        seen = said_[index].seen
        assert seen is not None
        assert (seen.origin, seen.size) == ("hub.example/almenara/dir", size)
        assert seen.root == said_[index].envelope == tree.root_of(hashes[:size])


async def published(one: Node, content: bytes, ref: int) -> object:
    """Let a node publish something, and return the answer."""
    publication = enrolment.next_publication(
        None,
        state=one.code,
        community=everyone().id,
        topic="severity",
        name="national",
        content=content,
        now_ms=CLOCK.now_ms(),
    )
    data = sign_document(publication, [everyone().members[one.code].identity])
    one.link.send(Publish(ref=ref, document=data))
    while not isinstance(answer := await one.next(), Accepted):
        pass
    return answer


async def test_a_checkpoint_is_asked_about_again_when_the_log_stands_still(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later cosignatures say that there was nothing more until then."""
    monkeypatch.setattr(witnesses_module, "REFRESH_SECONDS", 1.1)
    async with running(folder) as (_, port), everybody(tmp_path, port) as (xaa, _, _):
        await relayed(xaa)
        quorum = quorum_of(directory(), HUB, Log.ACK)
        first = quorum.require(await xaa.until_witnessed(Log.ACK, 2))
        async with asyncio.timeout(10):
            while min(quorum.require(xaa.shown[Log.ACK]).values()) <= max(first.values()):
                await xaa.hear()
        assert xaa.shown[Log.ACK].checkpoint.size == 2


async def test_a_witness_far_away_is_added_when_its_answer_comes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quorum does not wait for it, and what is shown names it in the end."""
    monkeypatch.setattr(witnesses_module, "SETTLE_SECONDS", 0.01)
    quick = hubs.settings
    monkeypatch.setattr(
        hubs, "settings", lambda folder: msgspec.structs.replace(quick(folder), witness_s=1.0)
    )
    async with running(folder) as (_, port), everybody(tmp_path, port) as (xaa, _, _):
        quorum = quorum_of(directory(), HUB, Log.ACK)
        xaa.cosigns = False
        await relayed(xaa)
        signed = await xaa.until_witnessed(Log.ACK, 2)
        assert set(quorum.require(signed)) == {"XBB", "XCC"}
        xaa.cosign(next(one for one in reversed(xaa.asked) if one.log is Log.ACK))
        async with asyncio.timeout(10):
            while "XAA" not in quorum.require(xaa.shown[Log.ACK]):
                await xaa.hear()
        assert xaa.shown[Log.ACK].checkpoint == signed.checkpoint


async def test_an_answer_that_never_comes_does_not_cost_the_witness(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it cosigns next is taken for what it cosigned, and not for what it left out."""
    monkeypatch.setattr(witnesses_module, "PATIENCE_SECONDS", SOON)
    async with running(folder) as (_, port), node(tmp_path, "XAA", port) as xaa:
        xaa.cosigns = False
        await relayed(xaa)
        await asyncio.sleep(2 * SOON)
        xaa.cosigns = True
        async with node(tmp_path, "XBB", port) as xbb:
            listening = asyncio.create_task(listen(xbb))
            await relayed(xaa, 2)
            signed = await xaa.until_witnessed(Log.ACK, 3)
            listening.cancel()
        assert set(quorum_of(directory(), HUB, Log.ACK).require(signed)) == {"XAA", "XBB"}


async def test_answers_that_come_late_are_taken_for_what_was_asked_then(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logging_as_before: None
) -> None:
    """A witness slower than the rounds is never mistaken for one that lies; a silent one is not flooded."""
    monkeypatch.setattr(witnesses_module, "PATIENCE_SECONDS", SOON)
    events = EventLog()
    async with running(folder) as (_, port), node(tmp_path, "XAA", port) as xaa:
        xaa.cosigns = False
        for ref in range(1, 12):
            await relayed(xaa, ref)
            await asyncio.sleep(2 * SOON)
        waiting = [one for one in xaa.asked if one.log is Log.ACK]
        assert 2 <= len(waiting) <= witnesses_module.MOST_UNANSWERED
        async with node(tmp_path, "XBB", port) as xbb:
            listening = asyncio.create_task(listen(xbb))
            for asked in waiting:
                xaa.cosign(asked)
            xaa.cosigns = True
            await relayed(xaa, 12)
            signed = await xaa.until_witnessed(Log.ACK, 12)
            listening.cancel()
        assert set(quorum_of(directory(), HUB, Log.ACK).require(signed)) == {"XAA", "XBB"}
    assert "witness.bad_cosignature" not in events.text
    assert "ledger.halted" not in events.text
