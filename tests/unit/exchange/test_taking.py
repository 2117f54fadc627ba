"""What members have published, brought to governance."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from exchange.cli.program import almenara
from exchange.clock import SystemClock
from exchange.setup import governance as work
from exchange.setup.amending import add_officer, amending
from exchange.setup.taking import community_of, take
from keys.governance import community_file
from protocol.documents import StateManifest, parse_document, parse_signed_document
from protocol.errors import FormatError, SetupError, WrongCommunity
from tests.acceptance.ceremony import NO_PASSPHRASE, Founded, found

CLOCK = SystemClock()


@pytest.fixture
def founded(ceremony: Founded, tmp_path: Path) -> Founded:
    """Return a community in which XAA has published a manifest that governance has not seen."""
    mine = ceremony.copy(tmp_path / "here")

    async def publish() -> None:
        identity = mine.data("XAA") / "keys" / "identity.key"
        async with amending(mine.data("XAA"), identity, NO_PASSPHRASE, CLOCK) as amendment:
            await add_officer(amendment, "Somebody New")

    asyncio.run(publish())
    return mine


def ceremony_of(founded: Founded) -> work.Ceremony:
    return work.read_ceremony(founded.governance, CLOCK.now_ms())


def test_what_a_node_trusts_is_taken_over_and_kept(founded: Founded) -> None:
    """The newest manifest is there afterwards, also when the folder is read again."""
    offered = community_of(founded.data("XAA"))
    after, fresh = take(ceremony_of(founded), offered, CLOCK.now_ms())
    (document,) = [parse_document(parse_signed_document(data).body) for data in fresh]
    assert isinstance(document, StateManifest)
    assert document.version == 2
    assert ceremony_of(founded).documents == after.documents


def test_taking_the_same_again_changes_nothing(founded: Founded) -> None:
    """It may be repeated without a thought."""
    offered = community_of(founded.data("XAA"))
    once, _ = take(ceremony_of(founded), offered, CLOCK.now_ms())
    again, fresh = take(ceremony_of(founded), offered, CLOCK.now_ms())
    assert (again.documents, fresh) == (once.documents, [])


def test_a_file_of_another_community_or_rubbish_is_refused(founded: Founded, tmp_path: Path) -> None:
    """The folder stays as it was."""
    before = founded.community.read_bytes()
    other = found(tmp_path / "other", CLOCK)
    with pytest.raises(WrongCommunity):
        take(ceremony_of(founded), other.community.read_bytes(), CLOCK.now_ms())
    with pytest.raises(FormatError):
        take(ceremony_of(founded), b"\x93" * 40, CLOCK.now_ms())
    assert founded.community.read_bytes() == before


def test_a_place_without_a_store_and_a_node_that_has_not_joined_are_told_apart(
    applied: Founded, tmp_path: Path
) -> None:
    """Each with its own next step."""
    with pytest.raises(SetupError, match="there is no store"):
        community_of(tmp_path)
    with pytest.raises(SetupError, match="has not joined"):
        community_of(applied.data("XAA"))


def test_the_commands_lead_from_a_node_to_governance(founded: Founded, tmp_path: Path) -> None:
    """The file that one writes is the file that the other takes; none is replaced unasked."""
    out = tmp_path / "newest.alm"
    words = ["node", "community", "--data", str(founded.data("XAA")), "-o", str(out)]
    written = CliRunner().invoke(almenara, words)
    assert written.exit_code == 0, written.output
    assert "governance take" in written.output
    assert CliRunner().invoke(almenara, words).exit_code != 0
    taken = ["governance", "take", str(out), "--in", str(founded.governance), "--json"]
    assert json.loads(CliRunner().invoke(almenara, taken).output)["added"] == 1


def test_a_joiner_may_use_the_file_of_a_node(founded: Founded) -> None:
    """It is a community file like any other: verified from the pinned root hash."""
    offered = community_of(founded.data("XAA"))
    assert community_file(ceremony_of(founded).documents) != offered
    assert take(ceremony_of(founded), offered, CLOCK.now_ms())[0].trusted.documents.manifest("XBB")
