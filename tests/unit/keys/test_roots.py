"""Roots: the pinned first one, rotations by old and new thresholds, chains, and time."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from keys.documents import add_signature, sign_document
from keys.trust import MAX_SKEW_MS, TrustedDirectory
from protocol import codec
from protocol.documents import (
    DocumentSignature,
    RoleKeys,
    SignedDocument,
    parse_signed_document,
)
from protocol.errors import (
    AlmenaraError,
    ClockSkew,
    DocumentExpired,
    Forked,
    FormatError,
    RolledBack,
    SuiteRefused,
    ThresholdNotMet,
    VersionGap,
    WrongCommunity,
)
from tests.community import DAY_MS, NOW_MS, YEAR_MS, Community, role_keys
from tests.governed import CUSTODIANS, next_root, refused, signed_anyhow

# --- the first root ---


def test_the_pinned_first_root_is_accepted(built: Community) -> None:
    """A member needs nothing but the hash from the ceremony."""
    trusted = TrustedDirectory(built.id, built.verifier)
    accepted = trusted.update(built.documents[0], NOW_MS)
    assert accepted.changed
    assert accepted.hash == built.id == trusted.community
    assert trusted.root.name == "Community of the tests"


def test_a_first_root_that_was_not_pinned_is_refused(built: Community) -> None:
    """However well it is signed, another root is another community."""
    refused(TrustedDirectory(bytes(32), built.verifier), built.documents[0], WrongCommunity)


def test_the_pinned_first_root_still_needs_its_own_threshold(built: Community) -> None:
    """The hash alone does not make a root: its custodians must have signed it."""
    signed = parse_signed_document(built.documents[0])
    alone = codec.encode(SignedDocument(body=signed.body, signatures=signed.signatures[:1]))
    refused(TrustedDirectory(built.id, built.verifier), alone, ThresholdNotMet)


def test_nothing_is_accepted_before_the_first_root(built: Community) -> None:
    """Documents are loaded in order; whatever comes too early is refused."""
    for document in built.documents[1:]:
        refused(TrustedDirectory(built.id, built.verifier), document, VersionGap)


def test_members_documents_are_refused_before_the_directory(built: Community) -> None:
    """A manifest means nothing before the directory names its state."""
    trusted = TrustedDirectory(built.id, built.verifier)
    trusted.update(built.documents[0], NOW_MS)
    for document in built.documents[2:]:
        refused(trusted, document, VersionGap)


def test_a_root_without_a_known_suite_is_refused(trusted: TrustedDirectory) -> None:
    """A program that could not take part says so instead of trusting blindly."""
    unknown = next_root(trusted, suites=(0x7777,))
    refused(trusted, sign_document(unknown, CUSTODIANS[:2]), SuiteRefused)


# --- rotation: keys, threshold, signatures, expected error ---

ROTATIONS: dict[str, tuple[tuple[int, ...], int, tuple[int, ...], type[AlmenaraError] | None]] = {
    # The trusted root is 2 of custodians 1, 2, 3.
    "same keys, two of them sign": ((1, 2, 3), 2, (1, 2), None),
    "same keys, all of them sign": ((1, 2, 3), 2, (1, 2, 3), None),
    "same keys, one of them signs": ((1, 2, 3), 2, (1,), ThresholdNotMet),
    "nobody who counts signs": ((1, 2, 3), 2, (5, 6), ThresholdNotMet),
    "all keys replaced, both thresholds sign": ((4, 5, 6), 2, (1, 2, 4, 5), None),
    "all keys replaced, only the old ones sign": ((4, 5, 6), 2, (1, 2, 3), ThresholdNotMet),
    "all keys replaced, only the new ones sign": ((4, 5, 6), 2, (4, 5, 6), ThresholdNotMet),
    "all keys replaced, one old key too few": ((4, 5, 6), 2, (1, 4, 5), ThresholdNotMet),
    "all keys replaced, one new key too few": ((4, 5, 6), 2, (1, 2, 4), ThresholdNotMet),
    "one key replaced, the common two sign": ((2, 3, 4), 2, (2, 3), None),
    "one key replaced, one common and one new sign": ((2, 3, 4), 2, (3, 4), ThresholdNotMet),
    "one key replaced, one common, one old, one new": ((2, 3, 4), 2, (1, 2, 4), None),
    "threshold raised and reached": ((1, 2, 3), 3, (1, 2, 3), None),
    "threshold raised, the old one reached": ((1, 2, 3), 3, (1, 2), ThresholdNotMet),
    "threshold lowered, the old one reached": ((1, 2, 3), 1, (1, 2), None),
    "threshold lowered, only the new one reached": ((1, 2, 3), 1, (1,), ThresholdNotMet),
    "a threshold of the new keys that leaves out the old": ((1, 2, 3, 4, 5), 3, (1, 4, 5), ThresholdNotMet),
    "more keys, both thresholds reached": ((1, 2, 3, 4, 5), 3, (1, 2, 5), None),
}


@pytest.mark.parametrize(("keys", "threshold", "signers", "error"), ROTATIONS.values(), ids=ROTATIONS)
def test_a_root_rotates_by_old_and_new_thresholds(
    trusted: TrustedDirectory,
    keys: tuple[int, ...],
    threshold: int,
    signers: tuple[int, ...],
    error: type[AlmenaraError] | None,
) -> None:
    """Fewer than a threshold of custodians, old or new, cannot change who governs."""
    rotated = next_root(trusted, root=role_keys(threshold, [CUSTODIANS[number - 1] for number in keys]))
    data = sign_document(rotated, [CUSTODIANS[number - 1] for number in signers])
    if error is not None:
        refused(trusted, data, error)
        return
    assert trusted.update(data, NOW_MS).changed
    assert trusted.root == rotated


@pytest.mark.parametrize("threshold", [0, 4])
def test_a_threshold_is_at_least_one_and_at_most_the_number_of_keys(
    trusted: TrustedDirectory, threshold: int
) -> None:
    """A threshold of zero would switch verification off; one above n would lock everyone out."""
    keys = RoleKeys(threshold=threshold, keys=trusted.root.root.keys)
    refused(trusted, signed_anyhow(next_root(trusted, root=keys), CUSTODIANS[:3]), FormatError)


def test_one_custodian_signing_under_two_ids_is_one_custodian(trusted: TrustedDirectory) -> None:
    """A key is counted by its bytes, whatever id its signature claims."""
    signed = parse_signed_document(sign_document(next_root(trusted), CUSTODIANS[:1]))
    alias = DocumentSignature(key_id=CUSTODIANS[1].key_id, signature=signed.signatures[0].signature)
    data = codec.encode(SignedDocument(body=signed.body, signatures=(*signed.signatures, alias)))
    refused(trusted, data, ThresholdNotMet)


# --- chains ---


def test_a_root_that_skips_a_version_is_refused(trusted: TrustedDirectory) -> None:
    """Every version between must be seen, or a rotation could be skipped."""
    skipping = next_root(trusted, version=3)
    refused(trusted, sign_document(skipping, CUSTODIANS[:2]), VersionGap)


def test_an_older_root_is_refused_as_rolled_back(built: Community, trusted: TrustedDirectory) -> None:
    """A root that governed once does not govern again."""
    trusted.update(sign_document(next_root(trusted), CUSTODIANS[:2]), NOW_MS)
    refused(trusted, built.documents[0], RolledBack)


def test_a_second_first_root_is_another_community(trusted: TrustedDirectory) -> None:
    """Version 1 is the pinned one and no other."""
    other = replace(trusted.root, name="Another community")
    refused(trusted, sign_document(other, CUSTODIANS[:2]), WrongCommunity)


def test_two_signed_roots_of_one_version_are_a_fork(trusted: TrustedDirectory) -> None:
    """Two histories, both rightly signed, raise the alarm."""
    one, two = next_root(trusted), next_root(trusted, expires_ms=NOW_MS + 2 * YEAR_MS)
    trusted.update(sign_document(one, CUSTODIANS[:2]), NOW_MS)
    refused(trusted, sign_document(two, CUSTODIANS[:2]), Forked)


def test_an_unsigned_second_version_raises_no_fork_alarm(trusted: TrustedDirectory) -> None:
    """Only those who may sign can fork; a forgery is just a forgery."""
    one, two = next_root(trusted), next_root(trusted, expires_ms=NOW_MS + 2 * YEAR_MS)
    trusted.update(sign_document(one, CUSTODIANS[:2]), NOW_MS)
    refused(trusted, sign_document(two, CUSTODIANS[4:6]), ThresholdNotMet)


def test_a_root_that_continues_another_history_is_a_fork(trusted: TrustedDirectory) -> None:
    """The previous hash must be the trusted root's."""
    refused(trusted, sign_document(next_root(trusted, previous=bytes(32)), CUSTODIANS[:2]), Forked)


def test_a_root_of_another_community_is_refused(trusted: TrustedDirectory) -> None:
    """The same custodians may govern two communities; their roots do not mix."""
    refused(trusted, sign_document(next_root(trusted, community=bytes(32)), CUSTODIANS[:2]), WrongCommunity)


def test_an_expired_root_between_is_accepted_and_its_use_is_refused(trusted: TrustedDirectory) -> None:
    """A member who was away follows the chain; expiry is judged at use."""
    short = replace(next_root(trusted), issued_ms=NOW_MS - 2 * DAY_MS, expires_ms=NOW_MS - DAY_MS)
    trusted.update(sign_document(short, CUSTODIANS[:2]), NOW_MS)
    with pytest.raises(DocumentExpired, match="root"):
        trusted.require_fresh(NOW_MS)
    trusted.update(sign_document(next_root(trusted), CUSTODIANS[:2]), NOW_MS)
    trusted.require_fresh(NOW_MS)


def test_an_identical_copy_changes_nothing(built: Community, trusted: TrustedDirectory) -> None:
    """Coordinators send documents again after every reconnect."""
    before = trusted.documents
    for document in built.documents:
        assert not trusted.update(document, NOW_MS).changed
    assert trusted.documents is before


def test_a_copy_with_one_more_signature_is_the_same_document(
    built: Community, trusted: TrustedDirectory
) -> None:
    """A document is its body; who else signed it later is no change."""
    again = add_signature(built.documents[0], CUSTODIANS[2])
    accepted = trusted.update(again, NOW_MS)
    assert not accepted.changed
    assert accepted.hash == built.id


def test_replaying_the_documents_in_order_gives_the_same_directory(built: Community) -> None:
    """The stored bytes are the whole state; no other file needs to be believed."""
    assert built.directory().documents == built.directory().documents
    assert built.directory().head().version == 1


# --- time ---


def test_a_document_from_the_future_is_refused_beyond_ten_minutes(trusted: TrustedDirectory) -> None:
    """A wrong clock shows before anything is built on it."""
    early = sign_document(next_root(trusted, issued_ms=NOW_MS + MAX_SKEW_MS + 1), CUSTODIANS[:2])
    refused(trusted, early, ClockSkew)
    just = sign_document(next_root(trusted, issued_ms=NOW_MS + MAX_SKEW_MS), CUSTODIANS[:2])
    assert trusted.update(just, NOW_MS).changed
