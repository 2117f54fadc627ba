"""Who may sign what: roles, contexts, batches, possession, and the memory of verified roots."""

from __future__ import annotations

import hashlib
from itertools import product

import msgspec
import pytest

from keys.signature import PublicKey, SecretKey
from keys.signer import (
    ROLE_CONTEXTS,
    Signer,
    Verifier,
    possession_message,
    sign_possession,
    verify_possession,
)
from protocol.documents import Role
from protocol.errors import BadSignature, FormatError, KeyRefused, LocalProtocolError
from protocol.signed import Context, Proof, batch_leaf, batch_root, root_implied
from protocol.tree import inclusion_path

SECRET = SecretKey.from_seed(bytes(range(64)))
NODE = Signer(SECRET, Role.NODE)
COMMUNITY = hashlib.sha256(b"root 1").digest()


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Record the signatures that were really verified."""
    seen: list[bytes] = []
    real = PublicKey.verify

    def recording(self: PublicKey, signature: bytes, message: bytes, label: bytes) -> None:
        seen.append(signature)
        real(self, signature, message, label)

    monkeypatch.setattr(PublicKey, "verify", recording)
    return seen


def verify(obj: bytes, proof: Proof, context: Context = Context.NOTICE, role: Role = Role.NODE) -> None:
    """Verify with a verifier that remembers nothing."""
    Verifier().verify(SECRET.public, role, context, obj, proof)


@pytest.mark.parametrize(("role", "context"), list(product(Role, Context)))
def test_a_role_signs_exactly_its_own_contexts(role: Role, context: Context) -> None:
    """The table holds on both sides: what one may not make, the other does not believe."""
    signer = Signer(SECRET, role)
    if context in ROLE_CONTEXTS[role]:
        verify(b"object", signer.sign(context, b"object"), context, role)
        return
    with pytest.raises(LocalProtocolError):
        signer.sign(context, b"object")
    able = next(each for each in Role if context in ROLE_CONTEXTS[each])
    with pytest.raises(BadSignature):
        verify(b"object", Signer(SECRET, able).sign(context, b"object"), context, role)


def test_the_table_is_the_design() -> None:
    """Every role may prove possession; beyond that, nothing is shared by accident."""
    allowed = {role: {context.name for context in contexts} for role, contexts in ROLE_CONTEXTS.items()}
    assert allowed == {
        Role.ROOT: {"POSSESSION", "ROOT"},
        Role.DIRECTORY: {"POSSESSION", "DIRECTORY"},
        Role.IDENTITY: {"POSSESSION", "MANIFEST", "PUBLICATION"},
        Role.NODE: {"POSSESSION", "NOTICE", "STATEMENT", "PREKEYS", "SESSION"},
        Role.OFFICER: {"POSSESSION", "STATEMENT"},
        Role.COORDINATOR: {"POSSESSION", "STATEMENT", "SESSION"},
    }


def test_a_signature_of_one_kind_is_no_signature_of_another() -> None:
    """One key, same bytes, another context: refused."""
    proof = NODE.sign(Context.NOTICE, b"object")
    with pytest.raises(BadSignature):
        verify(b"object", proof, Context.STATEMENT)


def test_one_object_is_a_batch_of_one() -> None:
    """The common case carries no path."""
    proof = NODE.sign(Context.NOTICE, b"object")
    assert (proof.index, proof.size, proof.path) == (0, 1, ())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 255, 256])
def test_every_object_of_a_batch_verifies_alone(size: int) -> None:
    """One signature, and each object stands on its own proof."""
    objects = [b"object %d" % number for number in range(size)]
    proofs = NODE.sign_batch(Context.STATEMENT, objects)
    verifier = Verifier()
    for obj, proof in zip(objects, proofs, strict=True):
        verifier.verify(SECRET.public, Role.NODE, Context.STATEMENT, obj, proof)
    assert len({proof.signature for proof in proofs}) == 1


@pytest.mark.parametrize("size", [1, 2, 5, 8, 13])
def test_the_paths_of_a_batch_are_those_of_its_tree(size: int) -> None:
    """Paths made all at once are the audit paths of RFC 6962, one by one."""
    objects = [b"object %d" % number for number in range(size)]
    leaves = [batch_leaf(Context.NOTICE, obj) for obj in objects]
    proofs = NODE.sign_batch(Context.NOTICE, objects)
    assert [proof.path for proof in proofs] == [inclusion_path(index, leaves) for index in range(size)]
    assert {root_implied(Context.NOTICE, obj, proof) for obj, proof in zip(objects, proofs, strict=True)} == {
        batch_root(Context.NOTICE, objects)
    }


def test_a_proof_of_one_object_does_not_serve_its_neighbour() -> None:
    """Index and path lead from exactly one object to the root."""
    first, second = NODE.sign_batch(Context.NOTICE, [b"first", b"second"])
    with pytest.raises(BadSignature):
        verify(b"first", second)
    with pytest.raises(BadSignature):
        verify(b"second", first)


@pytest.mark.parametrize("size", [0, 257])
def test_a_batch_outside_its_bounds_is_our_bug(size: int) -> None:
    """At least one object, at most 256."""
    with pytest.raises(LocalProtocolError):
        NODE.sign_batch(Context.NOTICE, [b"object"] * size)


@pytest.mark.parametrize("context", [Context.ROOT, Context.DIRECTORY, Context.MANIFEST])
def test_governing_documents_are_signed_alone(context: Context) -> None:
    """Root, directory and manifest never share a signature, whoever offers them."""
    role = next(each for each in Role if context in ROLE_CONTEXTS[each])
    with pytest.raises(LocalProtocolError):
        Signer(SECRET, role).sign_batch(context, [b"one", b"two"])
    shared = NODE.sign_batch(Context.NOTICE, [b"one", b"two"])[0]
    with pytest.raises(FormatError):
        verify(b"one", shared, context, role)


@pytest.mark.parametrize(
    "change",
    [
        {"index": 2},
        {"index": 3, "size": 3},
        {"size": 0},
        {"size": 1},
        {"size": 257},
        {"size": 2**40},
        {"path": ()},
        {"path": (bytes(32),) * 2},
        {"path": (bytes(32),) * 9},
        {"path": (bytes(31),)},
        {"signature": bytes(64)},
    ],
    ids=str,
)
def test_a_proof_whose_parts_do_not_fit_is_refused_by_form(change: dict[str, object]) -> None:
    """Geometry is judged before anything is verified."""
    proof = NODE.sign_batch(Context.NOTICE, [b"first", b"second"])[0]
    with pytest.raises(FormatError):
        verify(b"first", msgspec.structs.replace(proof, **change))


def test_a_changed_path_leads_to_another_root() -> None:
    """The path is covered by the signature through the root."""
    proof = NODE.sign_batch(Context.NOTICE, [b"first", b"second"])[0]
    with pytest.raises(BadSignature):
        verify(b"first", msgspec.structs.replace(proof, path=(bytes(32),)))


def test_another_key_does_not_verify() -> None:
    """The key is the directory's, not the signature's."""
    other = SecretKey.generate()
    with pytest.raises(BadSignature):
        Verifier().verify(
            other.public, Role.NODE, Context.NOTICE, b"object", NODE.sign(Context.NOTICE, b"object")
        )


def test_a_key_that_is_not_admitted_verifies_nothing() -> None:
    """Admission stands before verification."""
    proof = NODE.sign(Context.NOTICE, b"object")
    with pytest.raises(KeyRefused):
        Verifier().verify(SECRET.public[:1952] + bytes(32), Role.NODE, Context.NOTICE, b"object", proof)


def test_a_batch_costs_one_verification(checks: list[bytes]) -> None:
    """The second object of a batch finds its root already verified."""
    objects = [b"object %d" % number for number in range(8)]
    verifier = Verifier()
    for obj, proof in zip(objects, NODE.sign_batch(Context.NOTICE, objects), strict=True):
        verifier.verify(SECRET.public, Role.NODE, Context.NOTICE, obj, proof)
    assert len(checks) == 1


def test_a_verified_root_does_not_lend_itself_to_another_signature_key_or_kind(checks: list[bytes]) -> None:
    """The memory is keyed by the whole of key, context, root and signature."""
    verifier, proof = Verifier(), NODE.sign(Context.NOTICE, b"object")
    verifier.verify(SECRET.public, Role.NODE, Context.NOTICE, b"object", proof)
    forged = msgspec.structs.replace(proof, signature=bytes(3373))
    other = SecretKey.generate().public
    for public, context, offered in (
        (SECRET.public, Context.NOTICE, forged),
        (other, Context.NOTICE, proof),
        (SECRET.public, Context.STATEMENT, proof),
    ):
        with pytest.raises(BadSignature):
            verifier.verify(public, Role.NODE, context, b"object", offered)
    assert len(checks) == 4


def test_a_failure_is_never_remembered(checks: list[bytes]) -> None:
    """A bad signature is verified, and refused, each time it comes."""
    verifier = Verifier()
    forged = msgspec.structs.replace(NODE.sign(Context.NOTICE, b"object"), signature=bytes(3373))
    for _ in range(2):
        with pytest.raises(BadSignature):
            verifier.verify(SECRET.public, Role.NODE, Context.NOTICE, b"object", forged)
    assert len(checks) == 2


def test_the_memory_is_bounded_and_forgets_the_oldest(checks: list[bytes]) -> None:
    """Forgetting costs a verification and changes no answer."""
    verifier = Verifier(roots_kept=2)
    proofs = {obj: NODE.sign(Context.NOTICE, obj) for obj in (b"a", b"b", b"c")}
    for obj in (b"a", b"b", b"c", b"c", b"a"):
        verifier.verify(SECRET.public, Role.NODE, Context.NOTICE, obj, proofs[obj])
    assert len(checks) == 4


def test_possession_is_proved_for_one_state_role_and_community() -> None:
    """A proof made for one claim serves no other."""
    proof = sign_possession(NODE, "XAA", COMMUNITY)
    verifier = Verifier()

    def claim(state: str, role: Role, community: bytes) -> None:
        verify_possession(verifier, SECRET.public, state=state, role=role, community=community, proof=proof)

    claim("XAA", Role.NODE, COMMUNITY)
    for state, role, community in (
        ("XBB", Role.NODE, COMMUNITY),
        ("XAA", Role.OFFICER, COMMUNITY),
        ("XAA", Role.NODE, bytes(32)),
    ):
        with pytest.raises(BadSignature):
            claim(state, role, community)


def test_the_possession_message_is_as_specified() -> None:
    """``u8 len ‖ state ‖ u8 len ‖ role ‖ public ‖ community``."""
    message = possession_message("XAA", Role.NODE, SECRET.public, COMMUNITY)
    assert message == b"\x03XAA\x04node" + SECRET.public + COMMUNITY
    with pytest.raises(LocalProtocolError):
        possession_message("XAA", Role.NODE, SECRET.public, b"short")


def test_a_signer_shows_its_key_id_and_role_only() -> None:
    """Nothing secret in its text form; everything public at hand."""
    assert repr(NODE) == f"Signer(node, {NODE.key_id.hex()})"
    assert (NODE.public, NODE.key_id, NODE.role) == (SECRET.public, SECRET.key_id, Role.NODE)
