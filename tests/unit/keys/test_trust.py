"""The directory advances by its rules or stays exactly as it was: root and directory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgpack
import msgspec
import pytest
from msgspec.structs import replace

from keys import enrolment, governance
from keys.documents import add_signature, sign_document
from keys.signature import SMALL_ORDER_ENCODINGS
from keys.signer import Signer
from keys.trust import MAX_SKEW_MS, TrustedDirectory
from protocol import codec
from protocol.digest import certificate_id
from protocol.documents import (
    CONTEXTS,
    Compromise,
    CoordinatorEntry,
    Directory,
    Document,
    DocumentSignature,
    Role,
    RoleKeys,
    Root,
    SignedDocument,
    StateEntry,
    document_hash,
    parse_signed_document,
)
from protocol.errors import (
    AlmenaraError,
    BadSignature,
    ClockSkew,
    DocumentExpired,
    Forked,
    FormatError,
    KeyRefused,
    RolledBack,
    SuiteRefused,
    ThresholdNotMet,
    VersionGap,
    WrongCommunity,
)
from tests.community import DAY_MS, HUB, NOW_MS, YEAR_MS, Community, community, log_keys, role_keys, signer

CUSTODIANS = tuple(signer(f"custodian {number}", Role.ROOT) for number in range(1, 7))


@pytest.fixture
def built() -> Community:
    return community()


@pytest.fixture
def trusted(built: Community) -> TrustedDirectory:
    return built.directory()


def refused(
    trusted: TrustedDirectory, data: bytes, error: type[AlmenaraError], *, now_ms: int = NOW_MS
) -> AlmenaraError:
    """Check that a document is refused for this reason and leaves everything as it was."""
    before = trusted.documents
    with pytest.raises(error) as caught:
        trusted.update(data, now_ms)
    assert type(caught.value) is error
    assert trusted.documents is before
    return caught.value


def signed_anyhow(document: Document, signers: Sequence[Signer]) -> bytes:
    """Sign a document that breaks its layout, which the project's own writer refuses to write."""
    body = bytes(msgpack.packb(msgspec.to_builtins(document, builtin_types=(bytes,)), use_bin_type=True))
    signatures = tuple(
        DocumentSignature(key_id=one.key_id, signature=one.sign(CONTEXTS[type(document)], body).signature)
        for one in signers
    )
    return codec.encode(SignedDocument(body=body, signatures=signatures))


def next_root(trusted: TrustedDirectory, **changes: Any) -> Root:
    return replace(governance.next_root(trusted, now_ms=NOW_MS, life_ms=YEAR_MS), **changes)


def next_directory(
    trusted: TrustedDirectory,
    states: Sequence[StateEntry] | None = None,
    coordinators: Sequence[CoordinatorEntry] | None = None,
    **changes: Any,
) -> Directory:
    made = governance.next_directory(
        trusted,
        trusted.states() if states is None else states,
        trusted.coordinators() if coordinators is None else coordinators,
        now_ms=NOW_MS,
        life_ms=YEAR_MS,
    )
    return replace(made, **changes)


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


# --- the directory ---


def test_the_next_directory_advances_and_moves_the_head(built: Community, trusted: TrustedDirectory) -> None:
    """The head is what every notice and statement names."""
    document = next_directory(trusted)
    accepted = trusted.update(built.signed_by_governance(document), NOW_MS)
    assert trusted.head().version == 2
    assert trusted.head().hash == accepted.hash == document_hash(codec.encode(document))


DIRECTORY_SIGNERS: dict[str, tuple[Role, tuple[str, ...], type[AlmenaraError] | None]] = {
    "two of three": (Role.DIRECTORY, ("secretary 1", "secretary 3"), None),
    "one of three": (Role.DIRECTORY, ("secretary 2",), ThresholdNotMet),
    "strangers": (Role.DIRECTORY, ("secretary 8", "secretary 9"), ThresholdNotMet),
    "one and a stranger": (Role.DIRECTORY, ("secretary 1", "secretary 9"), ThresholdNotMet),
}


@pytest.mark.parametrize(("role", "labels", "error"), DIRECTORY_SIGNERS.values(), ids=DIRECTORY_SIGNERS)
def test_a_directory_needs_the_threshold_of_the_trusted_root(
    trusted: TrustedDirectory, role: Role, labels: tuple[str, ...], error: type[AlmenaraError] | None
) -> None:
    """Who decides on members is named by the root alone."""
    data = sign_document(next_directory(trusted), [signer(label, role) for label in labels])
    if error is None:
        assert trusted.update(data, NOW_MS).changed
    else:
        refused(trusted, data, error)


def test_after_rotation_only_the_new_directory_keys_decide(trusted: TrustedDirectory) -> None:
    """Keys that a root dropped decide nothing any more."""
    fresh = [signer(f"secretary {number}", Role.DIRECTORY) for number in (4, 5)]
    rotated = next_root(trusted, directory=role_keys(2, fresh))
    trusted.update(sign_document(rotated, CUSTODIANS[:2]), NOW_MS)
    old = [signer(f"secretary {number}", Role.DIRECTORY) for number in (1, 2, 3)]
    refused(trusted, sign_document(next_directory(trusted), old), ThresholdNotMet)
    assert trusted.update(sign_document(next_directory(trusted), fresh), NOW_MS).changed


DIRECTORY_CHANGES: dict[str, tuple[dict[str, Any], type[AlmenaraError]]] = {
    "it skips a version": ({"version": 3}, VersionGap),
    "it continues another history": ({"previous": bytes(32)}, Forked),
    "it is of another community": ({"community": bytes(32)}, WrongCommunity),
    "it was made under a root not seen here": ({"root_version": 2}, VersionGap),
    "it expires before it is issued": ({"expires_ms": NOW_MS - 1}, FormatError),
}


@pytest.mark.parametrize(("changes", "error"), DIRECTORY_CHANGES.values(), ids=DIRECTORY_CHANGES)
def test_a_directory_is_refused_when(
    built: Community,
    trusted: TrustedDirectory,
    changes: dict[str, Any],
    error: type[AlmenaraError],
) -> None:
    """Each broken rule has its own error, and leaves the directory unchanged."""
    document = next_directory(trusted, **changes)
    signers = built.directories[:2]
    data = signed_anyhow(document, signers) if error is FormatError else sign_document(document, signers)
    refused(trusted, data, error)


def test_an_older_or_forked_directory_is_refused(built: Community, trusted: TrustedDirectory) -> None:
    """Neither yesterday's membership nor a second version of today's is believed."""
    other = next_directory(trusted, expires_ms=NOW_MS + 1)
    trusted.update(built.signed_by_governance(next_directory(trusted)), NOW_MS)
    refused(trusted, built.signed_by_governance(other), Forked)
    refused(trusted, built.documents[1], RolledBack)


def test_a_directory_cannot_go_back_to_an_older_root(built: Community, trusted: TrustedDirectory) -> None:
    """The root version that a directory names never decreases."""
    trusted.update(sign_document(next_root(trusted), CUSTODIANS[:2]), NOW_MS)
    trusted.update(built.signed_by_governance(next_directory(trusted)), NOW_MS)
    refused(trusted, built.signed_by_governance(next_directory(trusted, root_version=1)), RolledBack)


def stolen(key_id: bytes, since_ms: int = NOW_MS) -> Compromise:
    return Compromise(party="XAA", key_id=key_id, since_ms=since_ms)


def test_a_compromise_is_carried_over_by_every_later_directory(
    built: Community, trusted: TrustedDirectory
) -> None:
    """Whoever prepares the next directory keeps what was confirmed, without having to think of it."""
    first = governance.next_directory(
        trusted,
        trusted.states(),
        trusted.coordinators(),
        now_ms=NOW_MS,
        life_ms=YEAR_MS,
        compromised=[stolen(b"2" * 32), stolen(b"1" * 32)],
    )
    trusted.update(built.signed_by_governance(first), NOW_MS)
    trusted.update(built.signed_by_governance(next_directory(trusted)), NOW_MS)
    assert trusted.directory.compromised == (stolen(b"1" * 32), stolen(b"2" * 32))


@pytest.mark.parametrize("later", [(), (stolen(b"1" * 32, NOW_MS + 1),), (stolen(b"2" * 32),)])
def test_a_compromise_cannot_be_taken_back(
    built: Community, trusted: TrustedDirectory, later: tuple[Compromise, ...]
) -> None:
    """A confirmed compromise is for ever: it cannot be left out, nor moved to a later time."""
    document = next_directory(trusted, compromised=(stolen(b"1" * 32),))
    trusted.update(built.signed_by_governance(document), NOW_MS)
    refused(trusted, built.signed_by_governance(next_directory(trusted, compromised=later)), RolledBack)


def test_a_compromise_can_be_found_to_be_older(built: Community, trusted: TrustedDirectory) -> None:
    """Governance may learn later that the thief had the key earlier."""
    for since_ms in (NOW_MS, NOW_MS - 1):
        document = next_directory(trusted, compromised=(stolen(b"1" * 32, since_ms),))
        trusted.update(built.signed_by_governance(document), NOW_MS)
    assert trusted.directory.compromised[0].since_ms == NOW_MS - 1


# --- keys ---


@pytest.mark.parametrize("encoding", sorted(SMALL_ORDER_ENCODINGS)[:4] + sorted(SMALL_ORDER_ENCODINGS)[-2:])
def test_a_small_order_identity_key_is_not_admitted(
    built: Community, trusted: TrustedDirectory, encoding: bytes
) -> None:
    """Such a key accepts forged signatures, so nobody may be listed with it."""
    weak = trusted.states()[0].identity[:1952] + encoding
    newcomer = replace(trusted.states()[0], code="XDD", identity=weak)
    document = next_directory(trusted, [*trusted.states(), newcomer])
    refused(trusted, built.signed_by_governance(document), KeyRefused)


def claims(trusted: TrustedDirectory) -> dict[str, bytes]:
    manifest = trusted.documents.manifests["XBB"].document
    return {
        "a custodian's key": trusted.root.root.keys[0],
        "a directory key": trusted.root.directory.keys[0],
        "another state's node key": manifest.keys[0].key,
        "another state's officer key": manifest.keys[1].key,
        "its own node key": trusted.documents.manifests["XAA"].document.keys[0].key,
    }


@pytest.mark.parametrize("whose", list(claims(community().directory())))
def test_an_identity_key_that_is_somebody_elses_is_refused(
    built: Community, trusted: TrustedDirectory, whose: str
) -> None:
    """One key, one party, one role."""
    first, *rest = trusted.states()
    document = next_directory(trusted, [replace(first, identity=claims(trusted)[whose]), *rest])
    refused(trusted, built.signed_by_governance(document), KeyRefused)


def test_two_states_with_one_identity_key_are_no_directory(
    built: Community, trusted: TrustedDirectory
) -> None:
    """Within one document the layout itself refuses it."""
    first, second, third = trusted.states()
    document = next_directory(trusted, [first, replace(second, identity=first.identity), third])
    refused(trusted, signed_anyhow(document, built.directories[:2]), FormatError)


def test_a_key_that_left_the_directory_is_still_its_old_owners(
    built: Community, trusted: TrustedDirectory
) -> None:
    """A state that left leaves no key behind that another could take over."""
    first, second, third = trusted.states()
    trusted.update(built.signed_by_governance(next_directory(trusted, [first, second])), NOW_MS)
    taken = replace(second, identity=third.identity)
    refused(trusted, built.signed_by_governance(next_directory(trusted, [first, taken])), KeyRefused)
    back = next_directory(trusted, [first, second, third])
    assert trusted.update(built.signed_by_governance(back), NOW_MS).changed


def hub_of(built: Community, one: Signer, code: str, state: str, community_id: bytes) -> CoordinatorEntry:
    entry = enrolment.coordinator_entry(
        one,
        code=state,
        name="Second hub",
        url="wss://[::1]/",
        community=community_id,
        certificates=[bytes(32)],
        log=log_keys(state, community_id),
    )
    return replace(entry, code=code)


def test_a_second_coordinator_is_admitted_with_its_proof_of_possession(
    built: Community, trusted: TrustedDirectory
) -> None:
    """Two coordinators may serve one community."""
    second = hub_of(built, signer("HUB2", Role.COORDINATOR), "HUB2", "HUB2", built.id)
    document = next_directory(trusted, coordinators=[built.hub_entry, second])
    assert trusted.update(built.signed_by_governance(document), NOW_MS).changed
    assert [entry.code for entry in trusted.coordinators()] == [HUB, "HUB2"]


@pytest.mark.parametrize(("state", "community_id"), [("HUB3", None), ("HUB2", bytes(32))])
def test_a_coordinator_without_proof_for_this_code_and_community_is_refused(
    built: Community, trusted: TrustedDirectory, state: str, community_id: bytes | None
) -> None:
    """Whoever only copied a public key cannot be listed with it."""
    second = hub_of(built, signer("HUB2", Role.COORDINATOR), "HUB2", state, community_id or built.id)
    document = next_directory(trusted, coordinators=[built.hub_entry, second])
    refused(trusted, built.signed_by_governance(document), BadSignature)


def test_a_certificate_of_another_party_is_refused(built: Community, trusted: TrustedDirectory) -> None:
    """A pinned certificate names exactly one party."""
    taken = next(iter(trusted.certificates("XAA")))
    document = next_directory(trusted, coordinators=[replace(built.hub_entry, certificates=(taken,))])
    error = refused(trusted, built.signed_by_governance(document), KeyRefused)
    assert certificate_id(taken).hex()[:16] in error.message
