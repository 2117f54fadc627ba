"""The ledger as nodes meet it: on a whole coordinator, over TLS, with nodes that cosign."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from keys.quorum import quorum_of
from protocol import codec, tree
from protocol.errors import SetupError
from protocol.ledger.leaf import statement_leaf
from protocol.ledger.origins import Log
from protocol.session.messages import (
    Accepted,
    Attest,
    Compare,
    Compared,
    Cosigned,
    Locate,
    Located,
    Submit,
)
from protocol.statement import StatementKind, parse_statement, statement_id
from tests.community import HUB
from tests.envelopes import id_of, said, sent
from tests.hubs import CLOCK, Node, directory, documents, everyone, node, prepare, running

FAST = 0.05


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Return a prepared data directory."""
    data = tmp_path / "hub"
    await prepare(data)
    return data


async def relayed(one: Node, ref: int = 1) -> bytes:
    """Let a node send a notice, and return the coordinator's signed promise."""
    answer = await one.ask(Submit(ref=ref, submission=codec.encode(sent(everyone(), to=("XBB",)))))
    assert isinstance(answer, Accepted)
    assert answer.statement is not None
    return answer.statement


async def located(one: Node, promise: bytes) -> list[Located]:
    """Ask where a statement stands until it does."""
    name = statement_id(parse_statement(promise)[0].body)
    for _ in range(100):
        one.link.send(Locate(statements=(name,)))
        answer = await one.next()
        assert isinstance(answer, Located)
        if answer.places:
            return [answer]
        await asyncio.sleep(FAST)
    raise AssertionError


def require_place(answer: Located, promise: bytes) -> None:
    """Check one place as a node does."""
    (place,) = answer.places
    from protocol.ledger.checkpoint import parse_checkpoint

    signed = parse_checkpoint(answer.checkpoint)
    quorum_of(directory(), HUB, Log.ACK).require_log(signed)
    leaf = statement_leaf(StatementKind.RELAYED, place.at_ms, promise).encode()
    size = signed.checkpoint.size
    assert tree.root_from_path(tree.leaf_hash(leaf), place.index, size, place.path) == signed.checkpoint.root


async def test_a_promise_is_in_a_checkpoint_that_a_quorum_has_cosigned(folder: Path, tmp_path: Path) -> None:
    """From the submission to the proof under the witnesses' signatures."""
    async with (
        running(folder) as (_, port),
        node(tmp_path, "XAA", port) as xaa,
        node(tmp_path, "XBB", port) as xbb,
        node(tmp_path, "XCC", port) as xcc,
    ):
        others = [asyncio.create_task(one.until_witnessed(Log.ACK, 2)) for one in (xbb, xcc)]
        promise = await relayed(xaa)
        signed = await xaa.until_witnessed(Log.ACK, 2)
        await asyncio.gather(*others)
        cosigned = quorum_of(directory(), HUB, Log.ACK).require(signed)
        assert len(cosigned) >= 2
        (answer,) = await located(xaa, promise)
        require_place(answer, promise)
        assert answer.checkpoint == signed.data
        documented = await xaa.until_witnessed(Log.DIRECTORY, len(documents()))
        assert documented.checkpoint.size == len(documents())
