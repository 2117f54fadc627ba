"""A revoked or compromised key signs nothing new, whatever time anybody states."""

from __future__ import annotations

import pytest

from keys import governance
from keys.documents import sign_document
from keys.signer import Signer
from keys.trust import TrustedDirectory
from protocol.documents import (
    Compromise,
    Revocation,
    Role,
)
from protocol.errors import (
    KeyRevoked,
    NoUsableKey,
)
from tests.community import (
    NOW_MS,
    YEAR_MS,
    Community,
    signer,
)
from tests.governed import refused
from tests.members import key, manifest, prekeys


def revoke(built: Community, trusted: TrustedDirectory, one: Signer, at_ms: int) -> None:
    revoked = (Revocation(key_id=one.key_id, reason="compromised", at_ms=at_ms),)
    trusted.update(sign_document(manifest(trusted, revoked=revoked), [built.members["XAA"].identity]), NOW_MS)


@pytest.mark.parametrize("at_ms", [0, NOW_MS - 10, NOW_MS + YEAR_MS])
def test_a_revoked_key_signs_nothing_new_whatever_time_its_revocation_states(
    built: Community, trusted: TrustedDirectory, at_ms: int
) -> None:
    """A revocation takes effect where it stands: neither its time nor the object's own saves a key."""
    officer = built.members["XAA"].officer
    revoke(built, trusted, officer, at_ms)
    with pytest.raises(KeyRevoked, match="revoked"):
        trusted.officer_key("XAA", officer.key_id, NOW_MS - 11)


@pytest.mark.parametrize("at_ms", [0, NOW_MS - 10])
def test_what_a_revoked_key_signed_before_can_still_be_verified(
    built: Community, trusted: TrustedDirectory, at_ms: int
) -> None:
    """A state cannot void what it said by dating a revocation before it: its place decides."""
    officer = built.members["XAA"].officer
    revoke(built, trusted, officer, at_ms)
    assert trusted.signer_key("XAA", officer.key_id, Role.OFFICER, NOW_MS - 5) == officer.public
    assert trusted.officer_name("XAA", officer.key_id, NOW_MS - 5)


def test_a_revocation_in_the_future_counts_from_its_manifest_on(
    built: Community, trusted: TrustedDirectory
) -> None:
    """Nobody gives a stolen key a longer life by the time that a revocation states."""
    officer = built.members["XAA"].officer
    revoke(built, trusted, officer, NOW_MS + YEAR_MS)
    assert trusted.documents.withdrawn_ms("XAA", officer.key_id) == NOW_MS


def test_a_revocation_cannot_be_taken_back_or_moved(built: Community, trusted: TrustedDirectory) -> None:
    """A later manifest without it, or with another time, changes nothing."""
    officer = built.members["XAA"].officer
    revoke(built, trusted, officer, NOW_MS - 10)
    trusted.update(sign_document(manifest(trusted), [built.members["XAA"].identity]), NOW_MS)
    with pytest.raises(KeyRevoked, match="revoked"):
        trusted.officer_key("XAA", officer.key_id, NOW_MS)
    revoke(built, trusted, officer, 0)
    assert trusted.documents.withdrawn_ms("XAA", officer.key_id) == NOW_MS - 10


def test_a_key_that_governance_confirms_as_compromised_signs_nothing_new(
    built: Community, trusted: TrustedDirectory
) -> None:
    """From the directory on, also when the state itself has not revoked it."""
    officer = built.members["XAA"].officer
    stolen = Compromise(party="XAA", key_id=officer.key_id, since_ms=NOW_MS - 10)
    document = governance.next_directory(
        trusted,
        trusted.states(),
        trusted.coordinators(),
        now_ms=NOW_MS,
        life_ms=YEAR_MS,
        compromised=[stolen],
    )
    trusted.update(built.signed_by_governance(document), NOW_MS)
    with pytest.raises(KeyRevoked, match="governance confirms"):
        trusted.officer_key("XAA", officer.key_id, NOW_MS - 11)
    assert trusted.documents.withdrawn_ms("XAA", officer.key_id) == NOW_MS - 10
    assert trusted.officer_key("XBB", built.members["XBB"].officer.key_id, NOW_MS)


def test_a_state_cannot_revoke_another_states_key(built: Community, trusted: TrustedDirectory) -> None:
    """A revocation speaks for its own state alone."""
    node = built.members["XBB"].node
    revoke(built, trusted, node, 0)
    assert trusted.node_key("XBB", node.key_id, NOW_MS)


def test_a_revoked_node_key_publishes_no_prekeys_whatever_time_it_claims(
    built: Community, trusted: TrustedDirectory
) -> None:
    """A thief could date its list before the revocation."""
    revoke(built, trusted, built.members["XAA"].node, NOW_MS)
    early = prekeys(trusted, issued_ms=NOW_MS - 1000)
    refused(trusted, sign_document(early, [built.members["XAA"].node]), KeyRevoked)


def test_prekeys_signed_by_a_key_revoked_since_are_not_used(
    built: Community, trusted: TrustedDirectory
) -> None:
    """A thief's list stops at the revocation, and the next list by a new node key takes over."""
    revoke(built, trusted, built.members["XAA"].node, NOW_MS)
    with pytest.raises(NoUsableKey, match="revoked"):
        trusted.prekey("XAA", NOW_MS)
    fresh = signer("second", Role.NODE)
    document = manifest(trusted, key(fresh, built.id))
    trusted.update(sign_document(document, [built.members["XAA"].identity]), NOW_MS)
    trusted.update(sign_document(prekeys(trusted), [fresh]), NOW_MS)
    assert trusted.prekey("XAA", NOW_MS - 1)
