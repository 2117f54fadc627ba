"""Notices that come together are sealed together: one signature, one transaction, no hole if one fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.node import sealer
from exchange.stores.node_statements import read_pairs
from keys.sealing import SealedNotice, Unsigned, sign_sealed
from keys.signer import Signer
from protocol.envelope import parse_submission
from protocol.errors import AlmenaraError, IdReused, TokenFailed
from protocol.signed import Proof
from tests.nodes import SENDER, TestNode, a_node, a_request, delivery_to


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[TestNode]:
    """Return XAA's node."""
    async with a_node(tmp_path / "XAA", "XAA") as opened:
        yield opened


async def proofs(node: TestNode) -> list[Proof]:
    """Return the proofs of what waits to be sent, in order."""
    return [parse_submission(row.content)[0].proof for row in await node.queue()]


async def submit(node: TestNode, *subjects: str) -> list[object]:
    """Submit at one moment, and return what became of each."""
    return await asyncio.gather(
        *(node.desk.submit(SENDER, a_request(subject=one), f"request-{one}") for one in subjects),
        return_exceptions=True,
    )


async def test_a_notice_that_comes_alone_is_signed_alone(node: TestNode) -> None:
    """Nothing waits for company."""
    await submit(node, "alone")
    assert [proof.size for proof in await proofs(node)] == [1]


async def test_a_burst_shares_signatures_and_commits(node: TestNode, tmp_path: Path) -> None:
    """Forty at once: hardly more signatures than one, each verifies, and no number is missing."""
    before = node.context.engine.stats()
    await submit(node, *map(str, range(40)))
    found = await proofs(node)
    assert len({proof.signature for proof in found}) <= 2
    assert node.context.engine.stats().commits - before.commits <= 3
    async with a_node(tmp_path / "XBB", "XBB") as xbb:
        await xbb.receive(*(delivery_to("XBB", row.content) for row in await node.queue()))
        assert len(await xbb.desk.inbox(SENDER)) == 40
        assert (await xbb.desk.node(SENDER)).alarms == ()


async def test_one_refused_among_many_undoes_only_itself(node: TestNode, tmp_path: Path) -> None:
    """A repeated id in the middle of a round: those behind it are numbered anew, and all arrive."""
    subjects = [str(number) for number in range(12)]
    told = await asyncio.gather(
        *(node.desk.submit(SENDER, a_request(subject=one), f"request-{one}") for one in subjects[:6]),
        node.desk.submit(SENDER, a_request(subject="another"), "request-3"),
        *(node.desk.submit(SENDER, a_request(subject=one), f"request-{one}") for one in subjects[6:]),
        return_exceptions=True,
    )
    assert [type(one) for one in told if isinstance(one, Exception)] == [IdReused]
    assert {sequence for sequence, _ in (await node.context.engine.read(read_pairs)).values()} == {12}
    async with a_node(tmp_path / "XBB", "XBB") as xbb:
        await xbb.receive(*(delivery_to("XBB", row.content) for row in await node.queue()))
        assert len(await xbb.desk.inbox(SENDER)) == 12
        assert (await xbb.desk.node(SENDER)).alarms == ()


async def test_a_key_that_does_not_sign_fails_the_round_and_not_the_next(
    node: TestNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that was pulled out: everyone is told, nothing is stored, and the numbers go on."""

    def refuse(signer: Signer, envelopes: list[Unsigned]) -> list[SealedNotice]:
        raise TokenFailed("the token is away")

    monkeypatch.setattr(sealer, "sign_sealed", refuse)
    told = await submit(node, "a", "b", "c")
    assert all(isinstance(one, TokenFailed) for one in told)
    monkeypatch.setattr(sealer, "sign_sealed", sign_sealed)
    told = await submit(node, "a", "b", "c")
    assert not any(isinstance(one, AlmenaraError) for one in told)
    assert {sequence for sequence, _ in (await node.context.engine.read(read_pairs)).values()} == {3}


async def test_whoever_stops_waiting_stops_no_other(node: TestNode) -> None:
    """The one who began a round is cancelled in the middle of it."""
    tasks = [
        asyncio.create_task(node.desk.submit(SENDER, a_request(subject=str(number)), f"request-{number}"))
        for number in range(6)
    ]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    tasks[0].cancel()
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert not any(isinstance(one, BaseException) for one in told[1:])
    assert len(await node.queue()) in (5, 6)
