"""Places under witnessed checkpoints, as nodes ask a whole coordinator for them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from exchange.coordinator import ledger as ledger_module
from exchange.coordinator.budget import Allowance
from keys import enrolment
from keys.documents import sign_document
from keys.quorum import quorum_of
from protocol import codec, tree
from protocol.ledger.checkpoint import parse_checkpoint
from protocol.ledger.origins import Log
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
from protocol.statement import StatementKind, parse_statement
from tests.community import HUB
from tests.envelopes import id_of, said, sent
from tests.hubs import CLOCK, Node, directory, documents, everyone, node, running
from tests.ledger_services import (
    SOON,
    everybody,
    folder,
    located,
    name_of,
    other_past,
    quickly,
    relayed,
    require_place,
)

FIXTURES = (folder, quickly)
"""A coordinator that hurries, as :mod:`tests.ledger_services` makes it."""


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


async def test_a_node_is_shown_the_witnessed_checkpoint_at_once(folder: Path, tmp_path: Path) -> None:
    """Also after a restart of the coordinator: it is kept."""
    async with running(folder) as (_, port), everybody(tmp_path, port) as (xaa, _, _):
        await relayed(xaa)
        signed = await xaa.until_witnessed(Log.ACK, 2)
    async with running(folder) as (_, port), node(tmp_path, "XCC", port) as xcc:
        shown = await xcc.until_witnessed(Log.ACK, 1)
        assert shown.checkpoint == signed.checkpoint
        quorum_of(directory(), HUB, Log.ACK).require(shown)


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
