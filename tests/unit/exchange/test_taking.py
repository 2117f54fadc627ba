"""What members have published, brought to governance."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec import structs

from exchange.cli.program import almenara
from exchange.clock import SystemClock
from exchange.coordinator.documents import fitting
from exchange.setup import governance as work
from exchange.setup.amending import add_officer, amending
from exchange.setup.taking import community_of, take
from keys import enrolment
from keys.documents import sign_document
from keys.governance import community_file, next_directory
from keys.signer import Signer
from keys.trust import TrustedDirectory
from protocol.documents import Role, StateManifest, StateStatus, parse_document, parse_signed_document
from protocol.errors import Forked, FormatError, SetupError, WrongCommunity
from tests.acceptance.ceremony import NO_PASSPHRASE, Founded, found
from tests.community import NOW_MS, YEAR_MS, community, signer

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
    merged = take(ceremony_of(founded), offered, CLOCK.now_ms())
    after = merged.ceremony
    (document,) = [parse_document(parse_signed_document(data).body) for data in merged.fresh]
    assert isinstance(document, StateManifest)
    assert document.version == 2
    assert ceremony_of(founded).documents == after.documents


def test_taking_the_same_again_changes_nothing(founded: Founded) -> None:
    """It may be repeated without a thought."""
    offered = community_of(founded.data("XAA"))
    once = take(ceremony_of(founded), offered, CLOCK.now_ms()).ceremony
    again = take(ceremony_of(founded), offered, CLOCK.now_ms())
    assert (again.ceremony.documents, again.fresh, again.dropped) == (once.documents, (), ())


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
    assert take(ceremony_of(founded), offered, CLOCK.now_ms()).ceremony.trusted.documents.manifest("XBB")


@pytest.fixture
def kept(tmp_path: Path) -> work.Ceremony:
    """Return governance's folder of the community in memory."""
    (tmp_path / "community.alm").write_bytes(community_file(community().documents))
    return work.read_from(tmp_path / "community.alm", community().id, NOW_MS)


def next_manifest_by(trusted: TrustedDirectory, key: Signer, at_ms: int) -> bytes:
    held = trusted.documents.manifests["XAA"]
    following = enrolment.next_manifest(
        held,
        state="XAA",
        community=community().id,
        keys=held.document.keys,
        certificates=held.document.certificates,
        now_ms=at_ms,
        life_ms=YEAR_MS,
    )
    return sign_document(following, [key])


def directory_after(trusted: TrustedDirectory, **changes: object) -> bytes:
    """Return the next directory, with XAA's entry changed so."""
    states = [structs.replace(one, **changes) if one.code == "XAA" else one for one in trusted.states()]
    following = next_directory(trusted, states, trusted.coordinators(), now_ms=NOW_MS, life_ms=YEAR_MS)
    return community().signed_by_governance(following)


def test_a_stolen_identity_key_cannot_keep_its_replacement_away(kept: work.Ceremony) -> None:
    """What the thief publishes first costs the new manifest its place, and governance nothing."""
    new, stolen = signer("XAA again", Role.IDENTITY), community().members["XAA"].identity
    thiefs = next_manifest_by(kept.trusted, stolen, NOW_MS)
    replacing = directory_after(kept.trusted, identity=new.public)
    ours = next_manifest_by(kept.trusted, new, NOW_MS - 1)
    decided = work.publish(kept, [replacing, ours], NOW_MS)
    at_the_hub = community().directory()
    at_the_hub.update(thiefs, NOW_MS)
    fresh, left_out = fitting(at_the_hub, [replacing, ours], NOW_MS)
    assert (fresh, len(left_out)) == ([replacing], 1)
    assert at_the_hub.state("XAA", NOW_MS).identity == new.public
    merged = take(decided, community_file([*community().documents, thiefs]), NOW_MS)
    assert (merged.fresh, merged.dropped) == ((thiefs,), (ours,))
    assert merged.ceremony.trusted.head() == at_the_hub.head()


def test_a_directory_that_lost_a_race_gives_way_only_when_it_is_told_to(kept: work.Ceremony) -> None:
    """Two signed directories of one version are for people to look at first."""
    taken = directory_after(kept.trusted, status=StateStatus.SUSPENDED)
    lost = work.publish(kept, [directory_after(kept.trusted, name="Aurelia anew")], NOW_MS)
    offered = community_file([*community().documents, taken])
    with pytest.raises(Forked) as found:
        take(lost, offered, NOW_MS)
    assert "--give-way" in found.value.hint
    merged = take(lost, offered, NOW_MS, give_way=True)
    assert merged.ceremony.documents == (*community().documents, taken)
    assert len(merged.dropped) == 1
