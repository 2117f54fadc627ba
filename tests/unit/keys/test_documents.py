"""Who signed a document is counted by distinct listed public keys, and explained."""

from __future__ import annotations

import pytest

from keys.documents import Tally, add_signature, count_signatures, sign_document, verify_signed_by
from keys.signer import Verifier
from protocol import codec
from protocol.documents import (
    MAX_DOCUMENT_BYTES,
    Directory,
    DocumentSignature,
    Role,
    RoleKeys,
    Root,
    SignedDocument,
    StateEntry,
    StateStatus,
    parse_signed_document,
)
from protocol.errors import BadSignature, LocalProtocolError, ThresholdNotMet, TooLarge, UnknownSigner
from protocol.signed import Context
from tests.community import NOW_MS, YEAR_MS, role_keys, signer

ONE, TWO, THREE, STRANGER = (signer(f"custodian {number}", Role.ROOT) for number in (1, 2, 3, 9))
KEYS = role_keys(2, [ONE, TWO, THREE])


def root() -> Root:
    return Root(
        v=1,
        community=None,
        version=1,
        previous=None,
        issued_ms=NOW_MS,
        expires_ms=NOW_MS + YEAR_MS,
        name="Counting",
        root=KEYS,
        directory=KEYS,
        suites=(1,),
    )


def tally(data: bytes, keys: RoleKeys = KEYS) -> Tally:
    return count_signatures(Verifier(), keys, Role.ROOT, Context.ROOT, parse_signed_document(data))


def test_a_tally_is_true_when_the_threshold_is_reached() -> None:
    """Two of three suffice where two are needed."""
    counted = tally(sign_document(root(), [ONE, THREE]))
    assert counted
    assert counted.signed == {ONE.public, THREE.public}
    assert counted.missing == (TWO.public,)
    counted.require()


def test_a_tally_explains_who_is_missing() -> None:
    """The operator learns whom to ask, by the start of the key's id."""
    counted = tally(sign_document(root(), [TWO]))
    assert not counted
    assert "1 of 3 root keys signed; 2 are needed" in str(counted)
    assert ONE.key_id.hex()[:16] in str(counted)
    with pytest.raises(ThresholdNotMet, match=THREE.key_id.hex()[:16]):
        counted.require()


def test_a_signer_given_twice_signs_once() -> None:
    """One custodian is one signature, however often it is asked."""
    data = sign_document(root(), [ONE, ONE])
    assert len(parse_signed_document(data).signatures) == 1
    assert tally(data).have == 1


def test_signatures_stand_sorted_by_key_id() -> None:
    """The form of a signed document does not tell who signed first."""
    ids = [item.key_id for item in parse_signed_document(sign_document(root(), [THREE, ONE, TWO])).signatures]
    assert ids == sorted(ids)


def test_two_signatures_by_one_key_count_once() -> None:
    """Signatures are hedged, so one key makes many different ones (CVE-2020-6174)."""
    first, second = (parse_signed_document(sign_document(root(), [ONE])).signatures[0] for _ in range(2))
    assert first.signature != second.signature
    body = codec.encode(root())
    assert tally(codec.encode(SignedDocument(body=body, signatures=(first, second)))).have == 1


def test_one_key_under_two_ids_counts_once() -> None:
    """An id is the hash of its key, so a second id names no listed key (GHSA-3633-5h82-39pq)."""
    genuine = parse_signed_document(sign_document(root(), [ONE])).signatures[0]
    other = DocumentSignature(key_id=TWO.key_id, signature=genuine.signature)
    alias = DocumentSignature(key_id=bytes(32), signature=genuine.signature)
    data = codec.encode(SignedDocument(body=codec.encode(root()), signatures=(alias, genuine, other)))
    assert tally(data).signed == {ONE.public}


def test_a_second_key_of_the_same_bytes_is_not_counted() -> None:
    """A role that lists one key twice still needs two different keys."""
    doubled = RoleKeys(threshold=2, keys=(ONE.public, ONE.public))
    counted = tally(sign_document(root(), [ONE]), doubled)
    assert not counted
    assert counted.have == 1


def test_a_signature_by_an_unlisted_key_counts_nothing_and_harms_nothing() -> None:
    """Whoever relays a document cannot spoil it by adding a signature."""
    assert tally(sign_document(root(), [ONE, TWO, STRANGER])).have == 2
    assert tally(sign_document(root(), [ONE, STRANGER])).have == 1


def test_a_wrong_signature_under_a_listed_id_counts_nothing_and_harms_nothing() -> None:
    """Likewise when the added signature borrows the id of a listed key."""
    signed = parse_signed_document(sign_document(root(), [ONE, TWO]))
    wrong = DocumentSignature(key_id=THREE.key_id, signature=bytes(3373))
    data = codec.encode(SignedDocument(body=signed.body, signatures=(wrong, *signed.signatures)))
    assert tally(data).signed == {ONE.public, TWO.public}


def test_a_wrong_signature_before_the_right_one_of_the_same_key_does_not_hide_it() -> None:
    """A relay cannot suppress a genuine signature by putting a false one before it."""
    signed = parse_signed_document(sign_document(root(), [ONE]))
    wrong = DocumentSignature(key_id=ONE.key_id, signature=bytes(3373))
    data = codec.encode(SignedDocument(body=signed.body, signatures=(wrong, *signed.signatures)))
    assert tally(data).signed == {ONE.public}


def test_adding_signatures_one_after_another_reaches_the_threshold() -> None:
    """Custodians sign in turn; the body's bytes never change."""
    first = sign_document(root(), [ONE])
    both = add_signature(first, THREE)
    assert parse_signed_document(both).body == parse_signed_document(first).body
    assert tally(both)


def test_signing_again_replaces_the_own_signature() -> None:
    """A custodian who signs twice does not make the file grow."""
    twice = add_signature(sign_document(root(), [ONE]), ONE)
    assert len(parse_signed_document(twice).signatures) == 1
    assert tally(twice).have == 1


def test_a_signature_of_another_context_is_not_counted() -> None:
    """A directory signature by the same secret is no root signature."""
    signed = parse_signed_document(sign_document(root(), [ONE, TWO]))
    counted = count_signatures(Verifier(), KEYS, Role.DIRECTORY, Context.DIRECTORY, signed)
    assert counted.have == 0


def test_a_key_of_another_role_may_not_sign() -> None:
    """A node key refuses to sign a root document."""
    with pytest.raises(LocalProtocolError, match="node key may not sign a root"):
        sign_document(root(), [signer("XAA", Role.NODE)])


def test_a_document_not_signed_by_the_one_key_is_told_from_one_signed_wrongly() -> None:
    """Another signer and a broken signature are different troubles."""
    signed = parse_signed_document(sign_document(root(), [ONE]))
    verify_signed_by(Verifier(), ONE.public, Role.ROOT, Context.ROOT, signed)
    with pytest.raises(UnknownSigner):
        verify_signed_by(Verifier(), TWO.public, Role.ROOT, Context.ROOT, signed)
    wrong = SignedDocument(
        body=signed.body, signatures=(DocumentSignature(key_id=ONE.key_id, signature=bytes(3373)),)
    )
    with pytest.raises(BadSignature):
        verify_signed_by(Verifier(), ONE.public, Role.ROOT, Context.ROOT, wrong)


def test_a_signed_document_over_the_limit_is_not_made() -> None:
    """Whatever is signed here, every member accepts by size."""
    secretaries = [signer(f"secretary {number}", Role.DIRECTORY) for number in range(32)]
    states = [
        StateEntry(
            code=f"X{number:03d}",
            name="F" * 200,
            status=StateStatus.ACTIVE,
            identity=number.to_bytes(4, "big") * 496,
            since_ms=NOW_MS,
        )
        for number in range(200)
    ]
    crowded = Directory(
        v=1,
        community=bytes(32),
        version=1,
        previous=None,
        issued_ms=NOW_MS,
        expires_ms=NOW_MS + YEAR_MS,
        root_version=1,
        states=tuple(states),
        coordinators=(),
        compromised=(),
    )
    assert len(codec.encode(crowded)) < MAX_DOCUMENT_BYTES
    with pytest.raises(TooLarge):
        sign_document(crowded, secretaries)
