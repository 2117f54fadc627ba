"""What a state's node key and officers sign: prekey lists and publications."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from keys.documents import sign_document
from keys.members import MAX_PUBLICATIONS
from keys.signer import Signer
from keys.trust import TrustedDirectory
from protocol import codec
from protocol.documents import (
    DocumentSignature,
    Role,
    SignedDocument,
    parse_signed_document,
)
from protocol.errors import (
    AlmenaraError,
    BadSignature,
    Forked,
    KeyRefused,
    RolledBack,
    TooLarge,
    UnknownSigner,
    VersionGap,
    WrongCommunity,
)
from tests.community import (
    DAY_MS,
    NOW_MS,
    Community,
    signer,
)
from tests.governed import refused
from tests.members import key, manifest, prekeys, schema

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
