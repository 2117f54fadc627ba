"""Governance by hand: founding a community and admitting members."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from exchange.clock import SystemClock
from exchange.setup import governance, proposing, words
from exchange.setup.keyring import described, unprotected
from exchange.setup.publishing import sign_and_publish
from exchange.setup.reviewing import Review, review
from exchange.setup.severities import check_publications
from exchange.severity.load import bundled_schemas
from keys.documents import sign_document
from keys.enrolment import load_community, next_publication
from keys.protection import Protection
from keys.signer import Verifier
from keys.trust import TrustedDirectory
from protocol import codec
from protocol.documents import Role, parse_signed_document
from protocol.errors import (
    BadRequest,
    FormatError,
    KeyfileError,
    KeyfileUnsafe,
    KeyRefused,
    SetupError,
    ThresholdNotMet,
    VersionGap,
    WrongCommunity,
)
from tests.acceptance.ceremony import CODES, CUSTODIANS, HUB, NO_PASSPHRASE, THRESHOLD, Founded, new_node
from tests.community import signer

CLOCK = SystemClock()


def opened(founded: Founded) -> governance.Ceremony:
    return governance.read_ceremony(founded.governance, CLOCK.now_ms())


def proposed(founded: Founded, *codes: str) -> Review | None:
    requests = [founded.request(code) for code in codes]
    held = opened(founded)
    proposal = proposing.admit(held, requests, CLOCK.now_ms())
    return None if proposal is None else review(held.trusted, proposal, CLOCK.now_ms())


def keys(founded: Founded, count: int) -> list[Path]:
    return [founded.governance / "keys" / f"directory-{number}.key" for number in range(1, count + 1)]


def trusted_by_pin(founded: Founded) -> TrustedDirectory:
    data = founded.community.read_bytes()
    return load_community(data, founded.root_hash, Verifier(), CLOCK.now_ms())[0]


def test_everybody_admitted_verifies_from_the_root_hash_alone(ceremony: Founded) -> None:
    """Who holds the root hash needs to trust nobody who carried the file."""
    trusted = trusted_by_pin(ceremony)
    now_ms = CLOCK.now_ms()
    assert [entry.code for entry in trusted.states()] == list(CODES)
    assert [entry.code for entry in trusted.coordinators()] == [HUB]
    for code in CODES:
        assert not trusted.prekey(code, now_ms).tail
        assert trusted.documents.manifest(code) is not None
    assert {entry.name for entry in trusted.publications("severity")} == {
        f"{code.lower()}-national" for code in CODES
    }


def test_custodians_keys_are_separate_and_private(applied: Founded) -> None:
    """A custodian's root key and directory key are two keys, in files only their owner can read."""
    keys = sorted((applied.governance / "keys").iterdir())
    assert len(keys) == 2 * CUSTODIANS
    assert len({described(path).key_id for path in keys}) == 2 * CUSTODIANS
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}
    assert stat.S_IMODE(applied.governance.stat().st_mode) == 0o700


def test_the_root_hash_file_is_written_for_reading_aloud(applied: Founded) -> None:
    """Eight groups of eight digits, and the program reads them back."""
    text = (applied.governance / "root-hash").read_text()
    assert len(text.split()) == 8
    assert words.root_hash(text) == applied.root_hash


def test_a_directory_is_signed_by_exactly_the_threshold(ceremony: Founded) -> None:
    """No more keys are brought together than are needed."""
    document = parse_signed_document(opened(ceremony).documents[1])
    assert len(document.signatures) == THRESHOLD


def test_too_few_signatures_are_not_published(applied: Founded, tmp_path: Path) -> None:
    """One custodian alone cannot admit anybody, and the community file stays as it was."""
    founded = applied.copy(tmp_path)
    before = founded.community.read_bytes()
    asked, few = proposed(founded, "XAA"), keys(founded, THRESHOLD - 1)
    assert asked is not None
    with pytest.raises(ThresholdNotMet):
        sign_and_publish(opened(founded), asked, few, NO_PASSPHRASE, CLOCK.now_ms())
    assert founded.community.read_bytes() == before


def test_documents_of_somebody_not_listed_are_not_published(applied: Founded, tmp_path: Path) -> None:
    """The whole file is replayed before it is written."""
    founded = applied.copy(tmp_path)
    before = founded.community.read_bytes()
    asked = proposed(founded, "XAA")
    assert asked is not None
    documents = asked.proposal.documents
    with pytest.raises(VersionGap):
        governance.publish(opened(founded), documents, CLOCK.now_ms())
    assert founded.community.read_bytes() == before


def test_with_too_few_keys_at_hand_the_custodians_are_asked_for(applied: Founded, tmp_path: Path) -> None:
    """The error says how many are missing before any passphrase is asked for."""
    founded = applied.copy(tmp_path)
    for number in (1, 2):
        (founded.governance / "keys" / f"directory-{number}.key").unlink()
    with pytest.raises(ThresholdNotMet) as caught:
        governance.choose_keys(opened(founded), [])
    assert "--key" in caught.value.hint


def test_one_key_named_twice_counts_once(applied: Founded) -> None:
    """Naming a key again does not make a second custodian."""
    key = applied.governance / "keys" / "directory-1.key"
    with pytest.raises(ThresholdNotMet):
        governance.choose_keys(opened(applied), [key, key])


def test_a_root_key_is_not_taken_for_a_directory_key(applied: Founded) -> None:
    """One key, one role."""
    with pytest.raises(KeyfileError):
        governance.choose_keys(opened(applied), [applied.governance / "keys" / "root-1.key"])


def test_a_key_that_others_can_read_is_refused(applied: Founded, tmp_path: Path) -> None:
    """The hint is the command that repairs it."""
    founded = applied.copy(tmp_path)
    key = founded.governance / "keys" / "directory-1.key"
    key.chmod(0o640)
    with pytest.raises(KeyfileUnsafe) as caught:
        governance.choose_keys(opened(founded), [])
    assert "chmod 600" in caught.value.hint


def test_a_proposal_shows_who_would_be_added_and_writes_nothing(applied: Founded) -> None:
    """People compare the fingerprints before anything is signed."""
    before = applied.community.read_bytes()
    asked = proposed(applied, HUB, "XAA")
    assert asked is not None
    changes = asked.changes
    assert [(change.action, change.kind, change.code) for change in changes] == [
        ("add", "coordinator", HUB),
        ("add", "state", "XAA"),
    ]
    assert all(len(change.fingerprint.split()) == 8 for change in changes)
    assert applied.community.read_bytes() == before


def test_admitting_somebody_twice_changes_nothing(ceremony: Founded) -> None:
    """A request that was forgotten on the desk does no harm."""
    assert proposed(ceremony, HUB, *CODES) is None


def test_a_second_request_with_another_key_is_refused(ceremony: Founded, tmp_path: Path) -> None:
    """Nobody becomes XAA by asking again."""
    founded = ceremony.copy(tmp_path)
    founded.data("XAA").rename(tmp_path / "first")
    new_node(founded, "XAA", CLOCK)
    with pytest.raises(KeyRefused):
        proposed(founded, "XAA")


def test_a_request_for_another_community_is_refused(ceremony: Founded, tmp_path: Path) -> None:
    """A request names the root hash it was made for."""
    founded = ceremony.copy(tmp_path)
    other = Founded(tmp_path, bytes(32), founded.port)
    new_node(other, "XDD", CLOCK)
    with pytest.raises(WrongCommunity):
        proposed(founded, "XDD")


def test_a_root_hash_of_another_community_refuses_the_file(ceremony: Founded, tmp_path: Path) -> None:
    """The pinned hash decides which community this is, not the file."""
    founded = ceremony.copy(tmp_path)
    (founded.governance / "root-hash").write_text("00" * 32)
    with pytest.raises(WrongCommunity):
        opened(founded)


def test_a_file_that_is_no_request_is_refused(ceremony: Founded) -> None:
    """Mixing up two files is noticed."""
    with pytest.raises(FormatError):
        proposing.admit(opened(ceremony), [ceremony.community], CLOCK.now_ms())
    with pytest.raises(SetupError):
        proposing.admit(opened(ceremony), [ceremony.base / "missing.alm"], CLOCK.now_ms())


@pytest.mark.parametrize(("keys", "threshold"), [(3, 0), (3, 4), (0, 0), (10, 5), (-1, -1)])
def test_numbers_that_cannot_govern_are_refused(keys: int, threshold: int, tmp_path: Path) -> None:
    """A threshold is at least one, and at most the number of keys."""
    with pytest.raises(BadRequest):
        governance.create_community(
            tmp_path / "g", "X", keys=keys, threshold=threshold, protect=unprotected, now_ms=CLOCK.now_ms()
        )
    assert not (tmp_path / "g").exists()


def test_a_directory_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    """Keys are never replaced by accident."""
    (tmp_path / "precious").write_text("keep")
    with pytest.raises(SetupError):
        governance.create_community(
            tmp_path, "X", keys=1, threshold=1, protect=unprotected, now_ms=CLOCK.now_ms()
        )
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_a_set_up_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """After a wrong passphrase file the same command can be repeated."""

    def fail() -> Protection:
        raise KeyfileError("no passphrase")

    with pytest.raises(KeyfileError):
        governance.create_community(
            tmp_path / "g", "X", keys=1, threshold=1, protect=fail, now_ms=CLOCK.now_ms()
        )
    assert list((tmp_path / "g").iterdir()) == []


def test_a_schema_published_under_another_name_is_not_admitted() -> None:
    """A publication that readers cannot use would spoil everybody's list of schemas."""
    schema = next(one for one in bundled_schemas() if one.id == "xaa-national")
    for state, name in (("XBB", schema.id), ("XAA", "other")):
        publication = next_publication(
            None,
            state=state,
            community=bytes(32),
            topic="severity",
            name=name,
            content=codec.encode(schema),
            now_ms=CLOCK.now_ms(),
        )
        signed = sign_document(publication, [signer("XAA", Role.IDENTITY)])
        with pytest.raises(FormatError):
            check_publications([signed])
