"""A whole coordinator with its ledger, over TLS, and three nodes of which two only cosign."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from exchange.coordinator.heads import HaltReason
from exchange.coordinator.service import Coordinator
from exchange.settings import CoordinatorSettings
from keys.quorum import quorum_of
from protocol import codec, tree
from protocol.ledger.checkpoint import Checkpoint, parse_checkpoint, sign_with
from protocol.ledger.leaf import statement_leaf
from protocol.ledger.origins import Log
from protocol.session.messages import (
    Accepted,
    Compare,
    Compared,
    Locate,
    Located,
    Submit,
)
from protocol.statement import StatementKind, parse_statement, statement_id
from tests import hubs
from tests.community import HUB, note_secret
from tests.envelopes import sent
from tests.hubs import CLOCK, Node, directory, everyone, node, prepare

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
    """Ask where a statement stands until it stands somewhere; then no answer is under way any more.

    Where it stands nowhere yet there is no answer, so each question is followed by one that has an answer.
    """
    for _ in range(200):
        one.link.send(Locate(statements=(name_of(statement),)))
        one.link.send(Compare(log=Log.ACK, old=1, new=1))
        found: Located | None = None
        while not isinstance(answer := await one.next(), Compared):
            assert isinstance(answer, Located), answer
            found = answer if answer.places else found
        if found is not None:
            return found
        await asyncio.sleep(4 * SOON)  # no faster than a member may ask
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


def other_past(size: int, *, by: str = HUB) -> bytes:
    """Return a checkpoint of the log that it has not published, signed with its keys or with another's."""
    checkpoint = Checkpoint(quorum_of(directory(), HUB, Log.ACK).log[0].name, size, bytes(32))
    return sign_with(checkpoint, note_secret(by).sign_log(checkpoint, CLOCK.now_ms() // 1000)).data
