"""A state's manifest, signed by its identity key: what may stand in it, and whose keys."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from keys.documents import sign_document
from keys.note_keys import NoteRole
from keys.signature import SMALL_ORDER_ENCODINGS
from keys.signer import Signer
from keys.trust import TrustedDirectory
from protocol import codec
from protocol.documents import (
    DocumentSignature,
    Role,
    SignedDocument,
    StateStatus,
    parse_signed_document,
)
from protocol.errors import (
    AlmenaraError,
    BadSignature,
    Forked,
    KeyRefused,
    NoUsableKey,
    RolledBack,
    SuiteRefused,
    UnknownSigner,
    VersionGap,
    WrongCommunity,
)
from tests.community import (
    HUB,
    NOW_MS,
    Community,
    certificate,
    community,
    note_secret,
    signer,
    witness_keys,
)
from tests.governed import refused
from tests.members import key, manifest, prekeys, with_states


def test_the_next_manifest_adds_a_key(built: Community, trusted: TrustedDirectory) -> None:
    """A new officer may answer as soon as the state's identity key says so."""
    officer = signer("second", Role.OFFICER)
    document = manifest(trusted, key(officer, built.id))
    assert trusted.update(sign_document(document, [built.members["XAA"].identity]), NOW_MS).changed
    assert trusted.officer_key("XAA", officer.key_id, NOW_MS).owner == "somebody"


MANIFEST_CHANGES: dict[str, tuple[dict[str, Any], type[AlmenaraError]]] = {
    "it skips a version": ({"version": 3}, VersionGap),
    "it continues another history": ({"previous": bytes(32)}, Forked),
    "it is of another community": ({"community": bytes(32)}, WrongCommunity),
    "its state is not listed": ({"state": "XZZ", "version": 1, "previous": None}, UnknownSigner),
    "it claims another state's code": ({"state": "XBB"}, UnknownSigner),
    "it supports no allowed suite": ({"suites": (0x7777,)}, SuiteRefused),
    "it pins the coordinator's certificate": ({"certificates": (certificate(HUB),)}, KeyRefused),
    "it pins another state's certificate": ({"certificates": (certificate("XBB"),)}, KeyRefused),
}


@pytest.mark.parametrize(("changes", "error"), MANIFEST_CHANGES.values(), ids=MANIFEST_CHANGES)
def test_a_manifest_is_refused_when(
    built: Community, trusted: TrustedDirectory, changes: dict[str, Any], error: type[AlmenaraError]
) -> None:
    """Each broken rule has its own error, and leaves the directory unchanged."""
    data = sign_document(manifest(trusted, **changes), [built.members["XAA"].identity])
    refused(trusted, data, error)


def test_a_manifest_signed_by_another_identity_key_is_refused(
    built: Community, trusted: TrustedDirectory
) -> None:
    """A state speaks for itself alone."""
    refused(trusted, sign_document(manifest(trusted), [built.members["XBB"].identity]), UnknownSigner)


def test_a_manifest_with_a_broken_signature_is_refused(built: Community, trusted: TrustedDirectory) -> None:
    """The right key's id is not its signature."""
    body = codec.encode(manifest(trusted))
    wrong = DocumentSignature(key_id=built.members["XAA"].identity.key_id, signature=bytes(3373))
    refused(trusted, codec.encode(SignedDocument(body=body, signatures=(wrong,))), BadSignature)


def test_an_older_or_forked_manifest_is_refused(built: Community, trusted: TrustedDirectory) -> None:
    """A withdrawn key cannot return by showing the manifest of before."""
    identity = built.members["XAA"].identity
    other = manifest(trusted, expires_ms=NOW_MS + 5)
    trusted.update(sign_document(manifest(trusted), [identity]), NOW_MS)
    refused(trusted, sign_document(other, [identity]), Forked)
    refused(trusted, built.documents[2], RolledBack)


def taken_keys(built: Community) -> dict[str, tuple[Signer, Role]]:
    return {
        "a custodian's key": (built.roots[0], Role.OFFICER),
        "a directory key": (built.directories[0], Role.OFFICER),
        "its own identity key": (built.members["XAA"].identity, Role.OFFICER),
        "another state's identity key": (built.members["XBB"].identity, Role.NODE),
        "the coordinator's key": (built.hub, Role.NODE),
        "another state's officer key": (built.members["XBB"].officer, Role.OFFICER),
        "another state's node key": (built.members["XBB"].node, Role.NODE),
    }


@pytest.mark.parametrize("whose", list(taken_keys(community())))
def test_a_manifest_cannot_claim(built: Community, trusted: TrustedDirectory, whose: str) -> None:
    """One key, one party, one role; even its holder cannot give it a second one."""
    one, role = taken_keys(built)[whose]
    claimed = key(Signer(one._secret, role), built.id)
    data = sign_document(manifest(trusted, claimed), [built.members["XAA"].identity])
    refused(trusted, data, KeyRefused)


def test_a_witness_cannot_take_the_name_that_another_is_going_to_have(
    built: Community, trusted: TrustedDirectory
) -> None:
    """A newcomer's witness, or a coordinator's log, would be refused for ever."""
    for name in ("almenara/test/XDD", "hub.example/almenara/HUB2", "XAA", "almenara/XAA/ack"):
        claim = note_secret("XAA").keys(name, "XAA", NoteRole.WITNESS, built.id)
        data = sign_document(manifest(trusted, witness=claim), [built.members["XAA"].identity])
        refused(trusted, data, KeyRefused)


def test_a_witness_key_or_name_has_one_owner(built: Community, trusted: TrustedDirectory) -> None:
    """A cosignature that two states could claim would count twice; nor may the hub's log be a witness."""
    for keys in (
        witness_keys("XBB", built.id),
        note_secret("XBB").keys("almenara/test/XAA", "XAA", NoteRole.WITNESS, built.id),
        note_secret("XZZ").keys("almenara/test/XBB", "XAA", NoteRole.WITNESS, built.id),
        note_secret(HUB).keys("almenara/test/XAA", "XAA", NoteRole.WITNESS, built.id),
    ):
        claim = manifest(trusted, witness=keys)
        refused(trusted, sign_document(claim, [built.members["XAA"].identity]), KeyRefused)


def test_a_witness_may_change_its_keys_and_proves_that_it_holds_them(
    built: Community, trusted: TrustedDirectory
) -> None:
    """The proof is for this state, this use and this community."""
    fresh = note_secret("XAA of next year")
    for party, role, community_id in (
        ("XBB", NoteRole.WITNESS, built.id),
        ("XAA", NoteRole.LOG, built.id),
        ("XAA", NoteRole.WITNESS, bytes(32)),
    ):
        claim = manifest(trusted, witness=fresh.keys("almenara/test/XAA", party, role, community_id))
        refused(trusted, sign_document(claim, [built.members["XAA"].identity]), BadSignature)
    good = manifest(trusted, witness=fresh.keys("almenara/test/XAA", "XAA", NoteRole.WITNESS, built.id))
    assert trusted.update(sign_document(good, [built.members["XAA"].identity]), NOW_MS).changed


def test_a_node_key_cannot_become_an_officer_key_later(built: Community, trusted: TrustedDirectory) -> None:
    """Otherwise a machine could answer for a person."""
    node = built.members["XAA"].node
    officer = key(Signer(node._secret, Role.OFFICER), built.id)
    document = manifest(trusted, keys=(officer,))
    refused(trusted, sign_document(document, [built.members["XAA"].identity]), KeyRefused)


@pytest.mark.parametrize("encoding", sorted(SMALL_ORDER_ENCODINGS)[:3])
def test_a_small_order_online_key_is_not_admitted(
    built: Community, trusted: TrustedDirectory, encoding: bytes
) -> None:
    """A state could later deny what such a key signed."""
    entry = key(signer("weak", Role.OFFICER), built.id)
    weak = replace(entry, key=entry.key[:1952] + encoding)
    data = sign_document(manifest(trusted, weak), [built.members["XAA"].identity])
    refused(trusted, data, KeyRefused)


@pytest.mark.parametrize("claim", ["state", "role", "community"])
def test_a_key_needs_a_proof_of_possession_for_exactly_this_claim(
    built: Community, trusted: TrustedDirectory, claim: str
) -> None:
    """A proof made for another state, role or community proves nothing here."""
    one = signer("copied", Role.OFFICER)
    entry = {
        "state": key(one, built.id, state="XBB"),
        "role": replace(key(Signer(one._secret, Role.NODE), built.id), role=Role.OFFICER),
        "community": key(one, bytes(32)),
    }[claim]
    refused(trusted, sign_document(manifest(trusted, entry), [built.members["XAA"].identity]), BadSignature)


def test_a_suspended_state_may_publish_and_is_not_used(built: Community, trusted: TrustedDirectory) -> None:
    """It can repair its keys while suspended, and is back at once when reinstated."""
    first, *rest = trusted.states()
    with_states(built, trusted, replace(first, status=StateStatus.SUSPENDED), *rest)
    identity, node = built.members["XAA"].identity, built.members["XAA"].node
    trusted.update(sign_document(manifest(trusted), [identity]), NOW_MS)
    trusted.update(sign_document(prekeys(trusted), [node]), NOW_MS)
    with pytest.raises(UnknownSigner, match="not an active state"):
        trusted.node_key("XAA", node.key_id, NOW_MS)
    with_states(built, trusted, *(first, *rest))
    assert trusted.node_key("XAA", node.key_id, NOW_MS).key == node.public


def test_after_a_new_identity_key_the_old_manifest_is_not_used(
    built: Community, trusted: TrustedDirectory
) -> None:
    """What a lost key signed counts for nothing until the new key signs the next manifest."""
    first, *rest = trusted.states()
    fresh = signer("XAA again", Role.IDENTITY)
    with_states(built, trusted, replace(first, identity=fresh.public), *rest)
    node = built.members["XAA"].node
    with pytest.raises(UnknownSigner, match="present identity key"):
        trusted.node_key("XAA", node.key_id, NOW_MS)
    with pytest.raises(NoUsableKey, match="present identity key"):
        trusted.prekey("XAA", NOW_MS)
    with pytest.raises(SuiteRefused):
        trusted.allowed_suite(["XAA"])
    assert trusted.certificates("XAA") == frozenset()
    refused(trusted, sign_document(manifest(trusted), [built.members["XAA"].identity]), UnknownSigner)
    refused(trusted, sign_document(prekeys(trusted), [node]), UnknownSigner)
    assert trusted.update(sign_document(manifest(trusted), [fresh]), NOW_MS).changed
    assert trusted.node_key("XAA", node.key_id, NOW_MS).key == node.public


def test_a_manifest_that_both_identity_keys_signed_counts_without_a_break(
    built: Community, trusted: TrustedDirectory
) -> None:
    """The state hands over while the old key is listed; the directory then names the new one."""
    first, *rest = trusted.states()
    fresh, node = signer("XAA again", Role.IDENTITY), built.members["XAA"].node
    both = sign_document(manifest(trusted), [built.members["XAA"].identity, fresh])
    trusted.update(both, NOW_MS)
    assert trusted.node_key("XAA", node.key_id, NOW_MS)
    with_states(built, trusted, replace(first, identity=fresh.public), *rest)
    assert trusted.node_key("XAA", node.key_id, NOW_MS).key == node.public
    assert trusted.prekey("XAA", NOW_MS)
    refused(trusted, sign_document(manifest(trusted), [built.members["XAA"].identity]), UnknownSigner)
    assert trusted.update(sign_document(manifest(trusted), [fresh]), NOW_MS).changed


def test_a_false_second_signature_hands_nothing_over(built: Community, trusted: TrustedDirectory) -> None:
    """Nor does one by a third key: the directory decides which key must have signed."""
    first, *rest = trusted.states()
    fresh, third = signer("XAA again", Role.IDENTITY), signer("XAA never", Role.IDENTITY)
    honest = sign_document(manifest(trusted), [built.members["XAA"].identity])
    wrong = DocumentSignature(key_id=fresh.key_id, signature=bytes(3373))
    outer = parse_signed_document(sign_document(manifest(trusted), [third]))
    signed = parse_signed_document(honest)
    signatures = sorted([*signed.signatures, wrong, *outer.signatures], key=lambda one: one.key_id)
    trusted.update(codec.encode(replace(signed, signatures=tuple(signatures))), NOW_MS)
    with_states(built, trusted, replace(first, identity=fresh.public), *rest)
    with pytest.raises(UnknownSigner, match="present identity key"):
        trusted.node_key("XAA", built.members["XAA"].node.key_id, NOW_MS)
