"""What halts the log, what keeps a coordinator from starting, and what does neither."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from exchange.coordinator import ledger as ledger_module
from exchange.coordinator.heads import HaltReason
from exchange.coordinator.opening import opened
from protocol.errors import SetupError
from protocol.ledger.origins import Log
from protocol.ledger.witness import WitnessStatus, parse_add_checkpoint
from protocol.session.messages import (
    Cosigned,
)
from protocol.statement import StatementKind, parse_statement
from tests import hubs
from tests.hubs import CLOCK, Node, everyone, no_passphrase, node, running
from tests.ledger_services import (
    SOON,
    everybody,
    folder,
    listen,
    located,
    other_past,
    quickly,
    relayed,
    until_halted,
)

FIXTURES = (folder, quickly)
"""A coordinator that hurries, as :mod:`tests.ledger_services` makes it."""


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
