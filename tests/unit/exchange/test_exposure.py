"""What a key touched is told in full, and nothing that it did not touch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from exchange.node.exposure import Exposure
from exchange.node.withdrawn import ALARM, Withdrawn, newly_withdrawn, tell_withdrawn
from exchange.stores.node_books import destroy_prekeys, read_alarms
from protocol.envelope import parse_submission
from protocol.errors import BadRequest, NotAuthorized, NotFound
from tests.community import NOW_MS, community
from tests.nodes import SENDER, TestNode, a_node, delivery_to


@pytest.fixture
async def xbb(tmp_path: Path) -> AsyncIterator[tuple[TestNode, str, bytes]]:
    """Return XBB's node, the id of a notice that it received from XAA, and the key that signed it."""
    async with a_node(tmp_path / "XAA", "XAA") as xaa, a_node(tmp_path / "XBB", "XBB") as here:
        submission = await xaa.send()
        await here.receive(delivery_to("XBB", submission))
        yield here, parse_submission(submission)[1].id.hex(), xaa.context.signer.key_id


async def test_of_anothers_key_everything_that_was_taken_from_it(xbb: tuple[TestNode, str, bytes]) -> None:
    """Which notices it signed, and whom to call about them."""
    here, envelope, key_id = xbb
    found = await Exposure(here.context).of(here.officer, key_id.hex()[:12], 0)
    assert (found.party, found.role, found.standing) == ("XAA", "node", "counts")
    assert [one.id for one in found.signed] == [envelope]
    assert "XAA" in found.warn
    assert found.could_open == ()


async def test_of_the_own_node_key_what_it_has_said(xbb: tuple[TestNode, str, bytes]) -> None:
    """Receipts are evidence, so those who rely on them are concerned."""
    here, envelope, _ = xbb
    found = await Exposure(here.context).of(here.officer, "node", 0)
    assert [(one.kind, one.notice) for one in found.statements] == [("received", envelope)]
    assert found.warn == ("XAA",)


async def test_of_the_daily_keys_what_they_could_open(xbb: tuple[TestNode, str, bytes]) -> None:
    """And whether they are still here to be taken."""
    here, envelope, _ = xbb
    exposure = Exposure(here.context)
    found = await exposure.of(here.officer, "opening", 0)
    assert [(one.id, one.key_destroyed) for one in found.could_open] == [(envelope, False)]
    await here.context.engine.write(lambda db: destroy_prekeys(db, 2**62, None))
    found = await exposure.of(here.officer, "opening", 0)
    assert [(one.id, one.key_destroyed) for one in found.could_open] == [(envelope, True)]


async def test_what_came_before_is_left_out(xbb: tuple[TestNode, str, bytes]) -> None:
    """A window that begins after everything is empty."""
    here, _, key_id = xbb
    found = await Exposure(here.context).of(here.officer, key_id.hex(), 2**62)
    assert (found.signed, found.statements, found.warn) == ((), (), ())


async def test_only_an_officer_may_ask_and_only_of_a_key(xbb: tuple[TestNode, str, bytes]) -> None:
    """It lists everything that was exchanged; and a mistyped id is told at once."""
    here, _, key_id = xbb
    exposure = Exposure(here.context)
    with pytest.raises(NotAuthorized):
        await exposure.of(SENDER, key_id.hex(), 0)
    with pytest.raises(BadRequest):
        await exposure.of(here.officer, "xyz", 0)
    with pytest.raises(NotFound):
        await exposure.of(here.officer, "0123456789abcdef", 0)


async def test_a_peers_revocation_is_an_alarm_with_counts(xbb: tuple[TestNode, str, bytes]) -> None:
    """A duty officer sees how much came from the key, and which command lists it; once."""
    here, _, key_id = xbb
    found = Withdrawn("XAA", key_id, 0, confirmed=False)
    await here.context.engine.write(lambda db: tell_withdrawn(db, found, 1))
    await here.context.engine.write(lambda db: tell_withdrawn(db, found, 2))
    (alarm,) = [one for one in await here.context.engine.read(read_alarms) if one.code == ALARM]
    assert "1 notice(s) and 0 statement(s)" in alarm.message
    assert f"almenara key exposure {key_id.hex()[:16]}" in alarm.next


@pytest.mark.parametrize("reason", ["withdrawn", "retired", "compromised"])
async def test_an_ordinary_departure_is_an_event_and_alarms_nobody(
    xbb: tuple[TestNode, str, bytes], reason: str
) -> None:
    """Officers leave; a key of which nothing came here concerns nobody here, stolen or not."""
    here, _, key_id = xbb
    unheard = bytes(32) if reason == "compromised" else key_id
    found = Withdrawn("XAA", unheard, 0, confirmed=False, reason=reason)
    await here.context.engine.write(lambda db: tell_withdrawn(db, found, 1))
    assert await here.context.engine.read(read_alarms) == []
    events = await here.context.engine.read(lambda db: list(db.execute("SELECT event, detail FROM event")))
    assert [detail for event, detail in events if event == "keys.ended"] == [
        f"XAA has ended the key {unheard.hex()[:16]} ({reason}); nothing is to be done here"
    ]


def test_a_revocation_of_what_was_never_a_key_is_told_to_nobody() -> None:
    """A member could bury real alarms under thousands of invented ids."""
    before = community().directory().documents
    real, invented = community().members["XBB"].node.key_id, bytes(range(32))
    after = replace(before, revoked={("XBB", real): NOW_MS, ("XBB", invented): NOW_MS})
    assert [one.key_id for one in newly_withdrawn("XAA", before, after)] == [real]
