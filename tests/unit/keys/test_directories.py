"""The directory advances by its rules or stays exactly as it was: versions, compromises, keys."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from keys import enrolment, governance
from keys.documents import sign_document
from keys.signature import SMALL_ORDER_ENCODINGS
from keys.signer import Signer
from keys.trust import TrustedDirectory
from protocol import codec
from protocol.digest import certificate_id
from protocol.documents import (
    Compromise,
    CoordinatorEntry,
    Role,
    document_hash,
)
from protocol.errors import (
    AlmenaraError,
    BadSignature,
    Forked,
    FormatError,
    KeyRefused,
    RolledBack,
    ThresholdNotMet,
    VersionGap,
    WrongCommunity,
)
from tests.community import HUB, NOW_MS, YEAR_MS, Community, community, log_keys, role_keys, signer
from tests.governed import CUSTODIANS, next_directory, next_root, refused, signed_anyhow

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
