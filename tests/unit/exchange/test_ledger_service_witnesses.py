"""Witnesses that are away, slow, silent or false cost time and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from exchange.coordinator import witnesses as witnesses_module
from exchange.coordinator.asked import MOST_UNANSWERED
from keys.quorum import quorum_of
from protocol.ledger.origins import Log
from protocol.ledger.witness import parse_add_checkpoint
from protocol.session.messages import (
    Cosigned,
)
from protocol.statement import StatementKind
from tests import hubs
from tests.community import HUB
from tests.hubs import directory, node, running
from tests.ledger_services import SOON, everybody, folder, listen, located, quickly, relayed, require_place
from tests.logs import Log as EventLog

FIXTURES = (folder, quickly)
"""A coordinator that hurries, as :mod:`tests.ledger_services` makes it."""


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
        assert 2 <= len(waiting) <= MOST_UNANSWERED
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
