"""What attackers of The Update Framework tried, tried here: its conformance tests and its advisories.

The scenarios are those of ``tuf-conformance`` (``test_keys``, ``test_rollback``, ``test_expiration``,
``test_updater_key_rotations``) and of the advisories of go-tuf and python-tuf, in our own documents; each
test names its source.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgpack
import msgspec
import pytest
from msgspec.structs import replace

from keys.documents import assembled, sign_document
from keys.enrolment import load_community
from keys.governance import community_file
from keys.signature import SMALL_ORDER_ENCODINGS, PublicKey
from keys.signer import Signer, Verifier
from keys.trust import TrustedDirectory
from protocol import codec
from protocol.documents import (
    CONTEXTS,
    Directory,
    Document,
    DocumentSignature,
    Role,
    RoleKeys,
    Root,
    SignedDocument,
    document_hash,
    parse_document,
    parse_signed_document,
)
from protocol.errors import (
    DocumentExpired,
    Forked,
    FormatError,
    KeyRefused,
    RolledBack,
    ThresholdNotMet,
    UnknownSigner,
    VersionGap,
)
from protocol.fields import StateCode
from tests.community import DAY_MS, NOW_MS, YEAR_MS, Community, community, role_keys
from tests.governed import CUSTODIANS, SECRETARIES, next_directory, next_root, refused


def signatures(document: Document, signers: Sequence[Signer]) -> list[DocumentSignature]:
    body, context = codec.encode(document), CONTEXTS[type(document)]
    return [
        DocumentSignature(key_id=one.key_id, signature=one.sign(context, body).signature) for one in signers
    ]


def packed(document: Document, made: Sequence[DocumentSignature]) -> bytes:
    """Write signatures as they are given, in any order and as often as they are given."""
    return codec.encode(SignedDocument(body=codec.encode(document), signatures=tuple(made)))


# --- tuf-conformance, test_keys ---


def test_the_same_key_signing_twice_is_one_signature(trusted: TrustedDirectory) -> None:
    """CVE-2020-6174, GHSA-r7vq-6425-j94w: several signatures by one key reached the threshold."""
    for document, one in (
        (next_root(trusted), CUSTODIANS[0]),
        (next_directory(trusted), SECRETARIES[0]),
    ):
        twice = [*signatures(document, [one]), *signatures(document, [one])]
        assert twice[0].signature != twice[1].signature
        refused(trusted, packed(document, twice), ThresholdNotMet)


def test_one_key_under_two_ids_is_one_key(trusted: TrustedDirectory) -> None:
    """GHSA-3633-5h82-39pq (go-tuf): one key under two key ids was counted twice."""
    document = next_root(trusted)
    (own,) = signatures(document, CUSTODIANS[:1])
    others = [DocumentSignature(one.key_id, own.signature) for one in CUSTODIANS[1:3]]
    refused(trusted, packed(document, [own, *others]), ThresholdNotMet)


def test_one_key_listed_twice_is_no_root(trusted: TrustedDirectory) -> None:
    """tuf-conformance test_keys, duplicate keys: a threshold of two must need two custodians."""
    key = CUSTODIANS[0].public
    for field in ("root", "directory"):
        twice = next_root(trusted, **{field: RoleKeys(threshold=2, keys=(key, key))})
        body = bytes(msgpack.packb(msgspec.to_builtins(twice, builtin_types=(bytes,)), use_bin_type=True))
        with pytest.raises(FormatError):
            parse_document(body)


@pytest.mark.parametrize("threshold", [-1, 0, 4, 2**31, 2**64 - 1])
def test_a_threshold_outside_one_to_n_is_no_root(trusted: TrustedDirectory, threshold: int) -> None:
    """Advisories of go-tuf: a threshold of 0 switched verification off."""
    keys = RoleKeys(threshold=threshold, keys=trusted.root.root.keys)
    plain = msgspec.to_builtins(next_root(trusted, root=keys), builtin_types=(bytes,))
    with pytest.raises(FormatError):
        parse_document(bytes(msgpack.packb(plain, use_bin_type=True)))


def test_a_signature_that_does_not_verify_neither_counts_nor_hinders(trusted: TrustedDirectory) -> None:
    """tuf-conformance test_keys: an unknown or wrong signature beside enough good ones does no harm."""
    document = next_root(trusted)
    good = signatures(document, CUSTODIANS[:2])
    wrong = DocumentSignature(CUSTODIANS[2].key_id, good[0].signature)
    stranger = signatures(document, CUSTODIANS[8:])
    refused(trusted, packed(document, [good[0], wrong, *stranger]), ThresholdNotMet)
    assert trusted.update(packed(document, [wrong, *stranger, *good]), NOW_MS).changed


def test_a_directory_signed_by_root_keys_is_signed_by_nobody(trusted: TrustedDirectory) -> None:
    """tuf-conformance test_keys: keys of another role do not count, however high the role."""
    document = next_directory(trusted)
    body = codec.encode(document)
    made = [
        DocumentSignature(
            one.key_id, Signer(one._secret, Role.DIRECTORY).sign(CONTEXTS[Directory], body).signature
        )
        for one in CUSTODIANS[:3]
    ]
    refused(trusted, packed(document, made), ThresholdNotMet)


def test_a_signature_over_a_root_is_none_over_a_directory(trusted: TrustedDirectory) -> None:
    """A custodian that holds both roles with one key signs one kind of document at a time."""
    document = next_directory(trusted)
    body = codec.encode(document)
    keys = [Signer(one._secret, Role.ROOT) for one in SECRETARIES[:2]]
    made = [DocumentSignature(one.key_id, one.sign(CONTEXTS[Root], body).signature) for one in keys]
    refused(trusted, packed(document, made), ThresholdNotMet)


@pytest.mark.parametrize("encoding", sorted(SMALL_ORDER_ENCODINGS))
def test_a_custodians_key_of_small_order_is_refused(trusted: TrustedDirectory, encoding: bytes) -> None:
    """C2SP/CCTV ed25519: such a key verifies signatures that nobody made."""
    weak = CUSTODIANS[4].public[:1952] + encoding
    keys = RoleKeys(threshold=1, keys=(*trusted.root.root.keys, weak))
    with pytest.raises(KeyRefused):
        PublicKey.from_bytes(weak)
    refused(trusted, sign_document(next_root(trusted, root=keys), CUSTODIANS[:2]), KeyRefused)


def test_a_custodians_key_that_a_member_has_is_refused(built: Community, trusted: TrustedDirectory) -> None:
    """One key, one role: whoever steals a node must not have stolen a custodian."""
    for key in (built.members["XAA"].node.public, built.members["XBB"].identity.public, built.hub.public):
        keys = RoleKeys(threshold=2, keys=(*trusted.root.directory.keys, key))
        refused(trusted, sign_document(next_root(trusted, directory=keys), CUSTODIANS[:2]), KeyRefused)


# --- tuf-conformance, test_updater_key_rotations ---


def test_a_whole_chain_of_rotations_is_walked_one_by_one(trusted: TrustedDirectory) -> None:
    """test_updater_key_rotations: each root by the keys before it and by its own, and none left out."""
    chain = []
    for version in range(2, 7):
        keys = role_keys(2, CUSTODIANS[version - 1 : version + 2])
        rotated = next_root(trusted, root=keys)
        data = sign_document(rotated, CUSTODIANS[version - 2 : version + 1])
        trusted.update(data, NOW_MS)
        chain.append(data)
    assert trusted.root.version == 6
    away = community().directory()
    refused(away, chain[1], VersionGap)
    for data in chain:
        assert away.update(data, NOW_MS).changed
    assert away.root == trusted.root


def test_a_later_root_cannot_be_reached_around_a_rotation(trusted: TrustedDirectory) -> None:
    """test_updater_key_rotations: keys that were rotated away sign no further root."""
    fresh = CUSTODIANS[4:7]
    rotated = next_root(trusted, root=role_keys(2, fresh))
    trusted.update(sign_document(rotated, [*CUSTODIANS[:2], *fresh[:2]]), NOW_MS)
    refused(trusted, sign_document(next_root(trusted), CUSTODIANS[:3]), ThresholdNotMet)
    assert trusted.update(sign_document(next_root(trusted), fresh[:2]), NOW_MS).changed


def test_new_directory_keys_do_not_make_yesterdays_directory_wrong(trusted: TrustedDirectory) -> None:
    """test_updater_key_rotations: a role's rotation concerns what is signed from then on."""
    before = trusted.directory
    rotated = next_root(trusted, directory=role_keys(2, SECRETARIES[4:6]))
    trusted.update(sign_document(rotated, CUSTODIANS[:2]), NOW_MS)
    assert trusted.directory is before
    refused(trusted, sign_document(next_directory(trusted), SECRETARIES[:3]), ThresholdNotMet)
    assert trusted.update(sign_document(next_directory(trusted), SECRETARIES[4:6]), NOW_MS).changed


# --- tuf-conformance, test_rollback ---


def test_no_document_of_any_kind_goes_back(built: Community, trusted: TrustedDirectory) -> None:
    """CVE-2022-29173 (go-tuf): every kind but the root could be rolled back."""
    trusted.update(sign_document(next_root(trusted), CUSTODIANS[:2]), NOW_MS)
    trusted.update(sign_document(next_directory(trusted), SECRETARIES[:2]), NOW_MS)
    member, held = built.members["XAA"], trusted.documents
    manifest, prekeys = held.manifests["XAA"], held.prekeys["XAA"]
    for old, key in ((manifest, member.identity), (prekeys, member.node)):
        following: Any = replace(old.document, version=2, previous=old.hash)
        trusted.update(sign_document(following, [key]), NOW_MS)
    for data in built.documents[:4]:
        refused(trusted, data, RolledBack)


def test_two_histories_of_one_version_are_a_fork_and_not_a_choice(trusted: TrustedDirectory) -> None:
    """test_rollback, fork: the second of two rightly signed versions is refused, and said loudly."""
    one, two = next_directory(trusted), next_directory(trusted, expires_ms=NOW_MS + 2 * YEAR_MS)
    trusted.update(sign_document(one, SECRETARIES[:2]), NOW_MS)
    refused(trusted, sign_document(two, SECRETARIES[:2]), Forked)
    trusted.update(sign_document(next_directory(trusted), SECRETARIES[:2]), NOW_MS)
    held = trusted.documents.trusted_directory()
    other = replace(held.document, version=4, previous=document_hash(codec.encode(two)))
    refused(trusted, sign_document(other, SECRETARIES[:2]), Forked)


# --- tuf-conformance, test_expiration ---


def test_expired_roots_between_do_not_stop_a_member_who_was_away(trusted: TrustedDirectory) -> None:
    """test_expiration: intermediate roots may be expired; the last one may not be when it is used."""
    for _ in range(3):
        old = next_root(trusted, issued_ms=NOW_MS - 9 * DAY_MS, expires_ms=NOW_MS - DAY_MS)
        trusted.update(sign_document(old, CUSTODIANS[:2]), NOW_MS)
    with pytest.raises(DocumentExpired, match="root"):
        trusted.state("XAA", NOW_MS)
    trusted.update(sign_document(next_root(trusted), CUSTODIANS[:2]), NOW_MS)
    assert trusted.state("XAA", NOW_MS)


def test_an_expired_directory_names_nobody(trusted: TrustedDirectory) -> None:
    """test_expiration: a coordinator that withholds the next directory freezes nobody's view for long."""
    short = next_directory(trusted, expires_ms=NOW_MS + DAY_MS)
    trusted.update(sign_document(short, SECRETARIES[:2]), NOW_MS)
    expires = trusted.directory.expires_ms
    assert trusted.state("XAA", expires - 1)
    with pytest.raises(DocumentExpired, match="directory"):
        trusted.state("XAA", expires)
    with pytest.raises(DocumentExpired, match="directory"):
        trusted.prekey("XAA", expires)


# --- advisories about what is kept, parsed and named ---


def test_what_lies_on_the_disk_is_verified_again(built: Community) -> None:
    """CVE-2020-15163 (python-tuf): a root that failed verification was trusted because it lay there."""
    trusted = built.directory()
    few = sign_document(next_root(trusted), CUSTODIANS[:1])
    kept = community_file([*built.documents, few])
    with pytest.raises(ThresholdNotMet):
        load_community(kept, built.id, Verifier(), NOW_MS)


def test_a_document_is_refused_before_its_body_is_used(trusted: TrustedDirectory) -> None:
    """Advisories of go-tuf: a parser fell over before any signature was checked."""
    signed = parse_signed_document(sign_document(next_directory(trusted), SECRETARIES[:2]))
    for body in (b"\x00", b"\x9b", b"\xdc\xff\xff", b"\x91" * 64, signed.body[:-1], signed.body + b"\xc0"):
        refused(trusted, assembled(body, signed.signatures), FormatError)


@pytest.mark.parametrize("name", ["../XAA", "X/A", "..", "XAA\0", "C:XAA", "xaa", "", "X" * 17, "X\u0391A"])
def test_a_name_in_a_document_can_lead_to_no_file(trusted: TrustedDirectory, name: str) -> None:
    """python-tuf before 0.19: a role's name was used as a file's name, and led out of the folder."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(name, StateCode)
    first, *rest = trusted.states()
    plain = msgspec.to_builtins(
        next_directory(trusted, states=(replace(first, code=name), *rest)), builtin_types=(bytes,)
    )
    with pytest.raises(FormatError):
        parse_document(bytes(msgpack.packb(plain, use_bin_type=True)))


def test_a_manifest_that_claims_another_states_code_is_not_that_states(
    built: Community, trusted: TrustedDirectory
) -> None:
    """TUF specification, delegations: for whom a key may speak is decided above it."""
    held = trusted.documents.manifests["XBB"]
    claim = replace(held.document, version=2, previous=held.hash)
    refused(trusted, sign_document(claim, [built.members["XAA"].identity]), UnknownSigner)
