"""What states sign themselves: manifest, prekey list and publication, each by its own key."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from keys import enrolment, governance
from keys.documents import sign_document
from keys.members import MAX_PUBLICATIONS
from keys.note_keys import NoteRole
from keys.signature import SMALL_ORDER_ENCODINGS
from keys.signer import Signer
from keys.trust import TrustedDirectory
from protocol import codec
from protocol.documents import (
    Compromise,
    DocumentSignature,
    KeyEntry,
    PrekeyList,
    Publication,
    Revocation,
    Role,
    SignedDocument,
    StateEntry,
    StateManifest,
    StateStatus,
    parse_signed_document,
)
from protocol.errors import (
    AlmenaraError,
    BadSignature,
    Forked,
    KeyRefused,
    KeyRevoked,
    NoUsableKey,
    RolledBack,
    SuiteRefused,
    TooLarge,
    UnknownSigner,
    VersionGap,
    WrongCommunity,
)
from tests.community import (
    DAY_MS,
    HUB,
    NOW_MS,
    YEAR_MS,
    Community,
    certificate,
    community,
    note_secret,
    signer,
    witness_keys,
)
from tests.unit.keys.test_trust import refused


@pytest.fixture
def built() -> Community:
    return community()


@pytest.fixture
def trusted(built: Community) -> TrustedDirectory:
    return built.directory()


def key(
    one: Signer, community_id: bytes, *, state: str = "XAA", from_ms: int = NOW_MS - DAY_MS, **changes: Any
) -> KeyEntry:
    entry = enrolment.key_entry(
        one,
        state=state,
        community=community_id,
        owner="somebody",
        from_ms=from_ms,
        until_ms=NOW_MS + YEAR_MS,
    )
    return replace(entry, **changes)


def manifest(trusted: TrustedDirectory, *added: KeyEntry, **changes: Any) -> StateManifest:
    """Return the next manifest of XAA with these keys added."""
    held = trusted.documents.manifests["XAA"]
    made = enrolment.next_manifest(
        held,
        state="XAA",
        community=trusted.community,
        keys=[*held.document.keys, *added],
        certificates=held.document.certificates,
        now_ms=NOW_MS,
        life_ms=YEAR_MS,
    )
    return replace(made, **changes)


def prekeys(trusted: TrustedDirectory, **changes: Any) -> PrekeyList:
    """Return the next prekey list of XAA."""
    held = trusted.documents.prekeys["XAA"]
    made = enrolment.next_prekeys(
        held,
        state="XAA",
        community=trusted.community,
        keys=held.document.keys,
        now_ms=NOW_MS,
        life_ms=DAY_MS,
        tail=False,
    )
    return replace(made, **changes)


def schema(trusted: TrustedDirectory, **changes: Any) -> Publication:
    """Return the next version of XAA's severity schema."""
    made = enrolment.next_publication(
        trusted.documents.publications.get(("XAA", "severity", "national")),
        state="XAA",
        community=trusted.community,
        topic="severity",
        name="national",
        content=b"levels",
        now_ms=NOW_MS,
    )
    return replace(made, **changes)


def with_states(built: Community, trusted: TrustedDirectory, *states: StateEntry) -> None:
    """Let governance publish the next directory with these states."""
    document = governance.next_directory(
        trusted, states, trusted.coordinators(), now_ms=NOW_MS, life_ms=YEAR_MS
    )
    trusted.update(built.signed_by_governance(document), NOW_MS)


# --- manifests ---


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


# --- revocation ---


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


# --- prekey lists ---


def test_the_next_prekey_list_is_signed_by_the_node_key(built: Community, trusted: TrustedDirectory) -> None:
    """The identity key stays offline while prekeys are refreshed every week."""
    data = sign_document(prekeys(trusted), [built.members["XAA"].node])
    assert trusted.update(data, NOW_MS).changed
    assert trusted.documents.prekeys["XAA"].document.version == 2


PREKEY_CHANGES: dict[str, tuple[dict[str, Any], type[AlmenaraError]]] = {
    "it skips a version": ({"version": 3}, VersionGap),
    "it continues another history": ({"previous": bytes(32)}, Forked),
    "it is of another community": ({"community": bytes(32)}, WrongCommunity),
    "its state is not listed": ({"state": "XZZ", "version": 1, "previous": None}, UnknownSigner),
    "it claims another state's code": ({"state": "XBB"}, UnknownSigner),
    "it was issued before its key was valid": (
        {"issued_ms": NOW_MS - 3 * DAY_MS},
        UnknownSigner,
    ),
}


@pytest.mark.parametrize(("changes", "error"), PREKEY_CHANGES.values(), ids=PREKEY_CHANGES)
def test_a_prekey_list_is_refused_when(
    built: Community, trusted: TrustedDirectory, changes: dict[str, Any], error: type[AlmenaraError]
) -> None:
    """Each broken rule has its own error, and leaves the directory unchanged."""
    data = sign_document(prekeys(trusted, **changes), [built.members["XAA"].node])
    refused(trusted, data, error)


def test_a_prekey_list_signed_by_an_officer_key_is_refused(
    built: Community, trusted: TrustedDirectory
) -> None:
    """Only the machine that holds the secrets publishes them, by its own role."""
    officer = Signer(built.members["XAA"].officer._secret, Role.NODE)
    refused(trusted, sign_document(prekeys(trusted), [officer]), UnknownSigner)


def test_a_relay_cannot_spoil_a_prekey_list_by_adding_signatures(
    built: Community, trusted: TrustedDirectory
) -> None:
    """One good signature suffices, whatever stands beside it."""
    fresh = signer("second", Role.NODE)
    document = manifest(trusted, key(fresh, built.id))
    trusted.update(sign_document(document, [built.members["XAA"].identity]), NOW_MS)
    signed = parse_signed_document(sign_document(prekeys(trusted), [fresh]))
    wrong = DocumentSignature(key_id=built.members["XAA"].node.key_id, signature=bytes(3373))
    data = codec.encode(SignedDocument(body=signed.body, signatures=(wrong, *signed.signatures)))
    assert trusted.update(data, NOW_MS).changed
    only_wrong = codec.encode(SignedDocument(body=codec.encode(prekeys(trusted)), signatures=(wrong,)))
    refused(trusted, only_wrong, BadSignature)


def test_an_older_or_forked_prekey_list_is_refused(built: Community, trusted: TrustedDirectory) -> None:
    """Nobody can be made to seal to last week's keys."""
    node = built.members["XAA"].node
    other = prekeys(trusted, tail=True)
    trusted.update(sign_document(prekeys(trusted), [node]), NOW_MS)
    refused(trusted, sign_document(other, [node]), Forked)
    refused(trusted, built.documents[3], RolledBack)


def test_a_state_cannot_publish_another_states_sealing_key(
    built: Community, trusted: TrustedDirectory
) -> None:
    """A notice for one state could otherwise be claimed by two."""
    theirs = trusted.documents.prekeys["XBB"].document.keys
    data = sign_document(prekeys(trusted, keys=theirs), [built.members["XAA"].node])
    refused(trusted, data, KeyRefused)


# --- publications ---


def test_publications_advance_one_by_one_and_show_the_newest(
    built: Community, trusted: TrustedDirectory
) -> None:
    """Each state, topic and name has its own chain."""
    identity = built.members["XAA"].identity
    trusted.update(sign_document(schema(trusted), [identity]), NOW_MS)
    second = schema(trusted, content=b"more levels")
    trusted.update(sign_document(second, [identity]), NOW_MS)
    other = replace(schema(trusted), name="drill", version=1, previous=None)
    trusted.update(sign_document(other, [identity]), NOW_MS)
    assert [tuple(item) for item in trusted.publications("severity")] == [
        ("XAA", "drill", 1, b"levels"),
        ("XAA", "national", 2, b"more levels"),
    ]
    assert trusted.publications("contacts") == ()


PUBLICATION_CHANGES: dict[str, tuple[dict[str, Any], type[AlmenaraError]]] = {
    "it skips a version": ({"version": 3}, VersionGap),
    "it goes back a version": ({"version": 1, "previous": None, "content": b"x"}, Forked),
    "it continues another history": ({"previous": bytes(32)}, Forked),
    "it is of another community": ({"community": bytes(32)}, WrongCommunity),
    "it claims another state's code": ({"state": "XBB", "version": 1, "previous": None}, UnknownSigner),
}


@pytest.mark.parametrize(("changes", "error"), PUBLICATION_CHANGES.values(), ids=PUBLICATION_CHANGES)
def test_a_publication_is_refused_when(
    built: Community, trusted: TrustedDirectory, changes: dict[str, Any], error: type[AlmenaraError]
) -> None:
    """Each broken rule has its own error, and leaves the directory unchanged."""
    identity = built.members["XAA"].identity
    trusted.update(sign_document(schema(trusted), [identity]), NOW_MS)
    refused(trusted, sign_document(schema(trusted, **changes), [identity]), error)


@pytest.mark.parametrize("role", ["node", "officer"])
def test_a_node_key_cannot_list_another_key(built: Community, trusted: TrustedDirectory, role: str) -> None:
    """Whoever steals the online key cannot make itself a second one, or an officer (threat 30)."""
    member = built.members["XAA"]
    stolen: Signer = getattr(member, role)
    document = manifest(trusted, key(signer("thief", Role.NODE), built.id))
    thief = Signer(stolen._secret, Role.IDENTITY)
    refused(trusted, sign_document(document, [thief]), UnknownSigner)


def test_a_publication_signed_by_the_node_key_is_refused(built: Community, trusted: TrustedDirectory) -> None:
    """A stolen node cannot change what its state's levels mean."""
    node = Signer(built.members["XAA"].node._secret, Role.IDENTITY)
    refused(trusted, sign_document(schema(trusted), [node]), UnknownSigner)


def test_a_state_has_a_bounded_number_of_publications(built: Community, trusted: TrustedDirectory) -> None:
    """Everybody keeps them in memory for ever, so one member must not be able to fill it."""
    identity = built.members["XAA"].identity
    for number in range(MAX_PUBLICATIONS):
        one = replace(schema(trusted), name=f"schema-{number}", version=1, previous=None)
        trusted.update(sign_document(one, [identity]), NOW_MS)
    more = replace(schema(trusted), name="one-more", version=1, previous=None)
    refused(trusted, sign_document(more, [identity]), TooLarge)
    held = trusted.documents.publications[("XAA", "severity", "schema-0")]
    following = replace(schema(trusted), name="schema-0", version=2, previous=held.hash)
    assert trusted.update(sign_document(following, [identity]), NOW_MS).changed
