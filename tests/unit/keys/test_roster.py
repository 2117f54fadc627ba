"""Looking up members, keys and prekeys: refused with a reason, never guessed."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from keys import governance
from keys.documents import sign_document
from keys.trust import TrustedDirectory
from protocol.documents import TAIL_MS, Role, StateStatus
from protocol.errors import (
    DocumentExpired,
    NoUsableKey,
    SuiteRefused,
    UnknownSigner,
    UnknownState,
    VersionGap,
)
from protocol.notice import DirectoryHead
from tests.community import (
    CODES,
    DAY_MS,
    HUB,
    NOW_MS,
    PREKEY_DAYS,
    YEAR_MS,
    Community,
    certificate,
)
from tests.members import manifest, prekeys, with_states

TODAY_MS = NOW_MS - NOW_MS % DAY_MS
LAST_END_MS = TODAY_MS + PREKEY_DAYS * DAY_MS


def suspend(built: Community, trusted: TrustedDirectory) -> None:
    first, *rest = trusted.states()
    with_states(built, trusted, replace(first, status=StateStatus.SUSPENDED), *rest)


def test_an_empty_directory_answers_nothing_and_has_head_zero(built: Community) -> None:
    """Before the community file is loaded there is nobody to trust."""
    empty = TrustedDirectory(built.id, built.verifier)
    assert empty.head() == DirectoryHead(version=0, hash=bytes(32))
    assert empty.states() == ()
    assert empty.coordinators() == ()
    assert empty.certificates("XAA") == frozenset()
    with pytest.raises(VersionGap):
        empty.require_fresh(NOW_MS)
    with pytest.raises(VersionGap):
        _ = empty.directory
    with pytest.raises(UnknownSigner):
        empty.node_key("XAA", bytes(32), NOW_MS)


def test_an_active_state_is_found_and_others_are_not(built: Community, trusted: TrustedDirectory) -> None:
    """Not listed, suspended, or a coordinator: none is a state to send to."""
    assert trusted.state("XBB", NOW_MS).name == "Borealis"
    suspend(built, trusted)
    for code, reason in (("XAA", "suspended"), ("XZZ", "not a member"), (HUB, "not a member")):
        with pytest.raises(UnknownState, match=reason):
            trusted.state(code, NOW_MS)
    assert [entry.code for entry in trusted.states()] == list(CODES)


def test_a_coordinator_is_found_by_its_code(trusted: TrustedDirectory) -> None:
    """A state is no coordinator."""
    assert trusted.coordinator(HUB).url.startswith("wss://")
    with pytest.raises(UnknownState):
        trusted.coordinator("XAA")


def test_an_expired_directory_is_refused_at_use(trusted: TrustedDirectory) -> None:
    """Members and keys may have changed since; the message says what to ask for."""
    expires_ms = trusted.directory.expires_ms
    trusted.state("XAA", expires_ms - 1)
    with pytest.raises(DocumentExpired) as caught:
        trusted.state("XAA", expires_ms)
    assert "secretariat" in caught.value.hint


@pytest.mark.parametrize("role", [Role.NODE, Role.OFFICER])
def test_a_key_counts_inside_its_window_only(built: Community, trusted: TrustedDirectory, role: Role) -> None:
    """From is included, until is not."""
    entry = next(item for item in built.members["XAA"].keys if item.role is role)
    held = trusted.documents.manifests["XAA"].document
    assert held.expires_ms == entry.until_ms
    for at_ms in (entry.from_ms, entry.until_ms - 1):
        assert trusted.signer_key("XAA", entry.key_id, role, at_ms) == entry.key
    for at_ms in (entry.from_ms - 1, entry.until_ms):
        with pytest.raises(UnknownSigner):
            trusted.signer_key("XAA", entry.key_id, role, at_ms)


def test_keys_of_an_expired_manifest_do_not_count(built: Community, trusted: TrustedDirectory) -> None:
    """A state must renew its manifest, or its keys lapse together."""
    short = manifest(trusted, expires_ms=NOW_MS + 10)
    trusted.update(sign_document(short, [built.members["XAA"].identity]), NOW_MS)
    node = built.members["XAA"].node
    assert trusted.node_key("XAA", node.key_id, NOW_MS + 9)
    with pytest.raises(UnknownSigner, match="expired"):
        trusted.node_key("XAA", node.key_id, NOW_MS + 10)


def test_a_key_is_looked_up_by_state_and_role(built: Community, trusted: TrustedDirectory) -> None:
    """Another state's key, or the same state's key in another role, is no key."""
    mine = built.members["XAA"]
    for party, key_id, role in (
        ("XAA", mine.officer.key_id, Role.NODE),
        ("XAA", mine.node.key_id, Role.OFFICER),
        ("XAA", mine.identity.key_id, Role.NODE),
        ("XBB", mine.node.key_id, Role.NODE),
        ("XZZ", mine.node.key_id, Role.NODE),
        ("XAA", mine.node.key_id, Role.COORDINATOR),
        (HUB, mine.node.key_id, Role.COORDINATOR),
        (HUB, built.hub.key_id, Role.NODE),
    ):
        with pytest.raises(UnknownSigner):
            trusted.signer_key(party, key_id, role, NOW_MS)
    assert trusted.signer_key(HUB, built.hub.key_id, Role.COORDINATOR, NOW_MS) == built.hub.public


# --- prekeys ---


@pytest.mark.parametrize("day", [0, 1, PREKEY_DAYS - 1])
def test_the_prekey_is_the_one_whose_day_it_is(trusted: TrustedDirectory, day: int) -> None:
    """The sender's clock picks; nobody hands out keys."""
    listed = trusted.documents.prekeys["XBB"].document.keys
    for at_ms in (TODAY_MS + day * DAY_MS, TODAY_MS + (day + 1) * DAY_MS - 1):
        assert trusted.prekey("XBB", at_ms) == (listed[day], False)


def test_a_silent_state_is_still_warned_by_its_tail_key(trusted: TrustedDirectory) -> None:
    """For sixty days after its last day, and past its list's expiry, and it says so."""
    last = trusted.documents.prekeys["XBB"].document.keys[-1]
    assert trusted.documents.prekeys["XBB"].document.expires_ms < LAST_END_MS + TAIL_MS
    for at_ms in (LAST_END_MS, LAST_END_MS + TAIL_MS - 1):
        assert trusted.prekey("XBB", at_ms) == (last, True)
    with pytest.raises(NoUsableKey, match="expired"):
        trusted.prekey("XBB", LAST_END_MS + TAIL_MS)


def test_without_tail_the_last_day_is_the_last(built: Community, trusted: TrustedDirectory) -> None:
    """A state that wants no reduced forward secrecy gets none."""
    document = prekeys(trusted, tail=False, expires_ms=NOW_MS + YEAR_MS)
    trusted.update(sign_document(document, [built.members["XAA"].node]), NOW_MS)
    assert not trusted.prekey("XAA", LAST_END_MS - 1).tail
    with pytest.raises(NoUsableKey, match="silent"):
        trusted.prekey("XAA", LAST_END_MS)


def test_an_expired_prekey_list_is_not_used(built: Community, trusted: TrustedDirectory) -> None:
    """A state may let its list end before its keys do."""
    document = prekeys(trusted, tail=True, expires_ms=NOW_MS + 10)
    trusted.update(sign_document(document, [built.members["XAA"].node]), NOW_MS)
    assert trusted.prekey("XAA", NOW_MS + 9)
    with pytest.raises(NoUsableKey, match="expired"):
        trusted.prekey("XAA", NOW_MS + 10)


def test_before_the_first_day_and_between_days_there_is_no_prekey(
    built: Community, trusted: TrustedDirectory
) -> None:
    """The message points at the clock first."""
    with pytest.raises(NoUsableKey, match="starts later") as caught:
        trusted.prekey("XBB", TODAY_MS - 1)
    assert "clock" in caught.value.hint
    listed = trusted.documents.prekeys["XAA"].document.keys
    gap = prekeys(trusted, keys=(listed[0], listed[2]), expires_ms=NOW_MS + YEAR_MS)
    trusted.update(sign_document(gap, [built.members["XAA"].node]), NOW_MS)
    with pytest.raises(NoUsableKey, match="starts later"):
        trusted.prekey("XAA", TODAY_MS + DAY_MS)


def test_a_state_without_prekeys_is_named(built: Community) -> None:
    """The operator learns which recipient is not ready."""
    trusted = TrustedDirectory(built.id, built.verifier)
    for document in built.documents[:3]:
        trusted.update(document, NOW_MS)
    with pytest.raises(NoUsableKey, match="XAA has published no sealing keys"):
        trusted.prekey("XAA", NOW_MS)


def test_no_prekey_is_given_for_a_suspended_state(built: Community, trusted: TrustedDirectory) -> None:
    """Nothing is sealed to a state that takes no part."""
    suspend(built, trusted)
    with pytest.raises(UnknownState, match="suspended"):
        trusted.prekey("XAA", NOW_MS)


# --- suites and certificates ---


def test_a_suite_must_be_allowed_known_and_supported_by_all(
    built: Community, trusted: TrustedDirectory
) -> None:
    """There is no downgrade to what only some support."""
    assert trusted.allowed_suite(CODES) == 1
    trusted.require_suite(1)
    with pytest.raises(SuiteRefused):
        trusted.require_suite(2)
    with pytest.raises(SuiteRefused):
        trusted.allowed_suite(["XAA", "XZZ"])
    later = governance.next_root(trusted, now_ms=NOW_MS, life_ms=YEAR_MS, suites=(0x7777, 1))
    trusted.update(sign_document(later, built.roots[:2]), NOW_MS)
    document = manifest(trusted, suites=(0x7777,))
    trusted.update(sign_document(document, [built.members["XAA"].identity]), NOW_MS)
    assert trusted.allowed_suite(["XBB", "XCC"]) == 1
    with pytest.raises(SuiteRefused):
        trusted.allowed_suite(CODES)
    with pytest.raises(SuiteRefused):
        trusted.require_suite(0x7777)


def test_a_certificate_is_pinned_while_its_party_takes_part(
    built: Community, trusted: TrustedDirectory
) -> None:
    """A suspended state cannot connect, nor can a certificate that left the manifest."""
    assert trusted.certificates(HUB) == {certificate(HUB)}
    assert trusted.certificates("XBB") == {certificate("XBB")}
    assert trusted.certificates("XZZ") == frozenset()
    document = manifest(trusted, certificates=(bytes(32),))
    trusted.update(sign_document(document, [built.members["XAA"].identity]), NOW_MS)
    assert trusted.certificates("XAA") == {bytes(32)}
    suspend(built, trusted)
    assert trusted.certificates("XAA") == frozenset()


def test_another_directory_of_the_same_version_is_a_contradiction(trusted: TrustedDirectory) -> None:
    """A peer that was shown another directory is noticed by the heads it names."""
    head = trusted.head()
    assert not trusted.contradicts(head)
    assert trusted.contradicts(replace(head, hash=bytes(32)))
    assert not trusted.contradicts(replace(head, version=2))
