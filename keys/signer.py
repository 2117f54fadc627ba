"""Who may sign what: composite signatures by role and context, in batch form.

A key has one role, and a role may sign only the kinds of object listed in
:data:`ROLE_CONTEXTS`; every role may prove possession of its key. Both sides check it: a
:class:`Signer` refuses to make such a signature, a :class:`Verifier` to believe one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from keys.signature import CompositeKey, PublicKey
from protocol import tree
from protocol.documents import Role
from protocol.errors import BadSignature, FormatError, LocalProtocolError
from protocol.signed import (
    MAX_BATCH,
    MAX_PATH,
    Context,
    Proof,
    batch_leaf,
    root_implied,
    signing_message,
)
from protocol.suite import SIGNATURE_BYTES

VERIFIED_ROOTS_KEPT = 1024

ROLE_CONTEXTS: Mapping[Role, frozenset[Context]] = MappingProxyType(
    {
        role: contexts | {Context.POSSESSION}
        for role, contexts in {
            Role.ROOT: frozenset({Context.ROOT}),
            Role.DIRECTORY: frozenset({Context.DIRECTORY}),
            Role.IDENTITY: frozenset({Context.MANIFEST, Context.PUBLICATION}),
            Role.NODE: frozenset({Context.NOTICE, Context.STATEMENT, Context.PREKEYS, Context.SESSION}),
            Role.OFFICER: frozenset({Context.STATEMENT}),
            Role.COORDINATOR: frozenset({Context.STATEMENT, Context.SESSION}),
        }.items()
    }
)

SIGNED_ALONE = frozenset({Context.ROOT, Context.DIRECTORY, Context.MANIFEST})
"""Contexts whose objects are never part of a batch (``spec/signatures.md``)."""


class Signer:
    """One secret key in one role. Its text form shows only the role and the key's id."""

    __slots__ = ("_role", "_secret")

    def __init__(self, secret: CompositeKey, role: Role) -> None:
        self._secret = secret
        self._role = role

    @property
    def role(self) -> Role:
        """The one role this key is used in."""
        return self._role

    @property
    def key_id(self) -> bytes:
        """The 32-byte id of the public key."""
        return self._secret.key_id

    @property
    def public(self) -> bytes:
        """The 1984-byte public key."""
        return self._secret.public

    def sign(self, context: Context, obj: bytes) -> Proof:
        """Return the proof for one object's exact bytes, signed alone.

        Raises:
            LocalProtocolError: this key's role may not sign objects of this kind.
        """
        return self.sign_batch(context, [obj])[0]

    def sign_batch(self, context: Context, objects: Sequence[bytes]) -> list[Proof]:
        """Return one proof per object, in order, all carrying one signature.

        Args:
            context: The kind of all the objects.
            objects: The exact bytes of 1..256 objects.

        Raises:
            LocalProtocolError: this role may not sign this kind, or not so many at once.
            TokenFailed: the key is in a token that does not sign now.
        """
        if context not in ROLE_CONTEXTS[self._role]:
            raise LocalProtocolError(f"a {self._role} key may not sign a {context.value}")
        size = len(objects)
        if not 1 <= size <= (1 if context in SIGNED_ALONE else MAX_BATCH):
            raise LocalProtocolError(f"{size} objects of kind {context.value} cannot share one signature")
        root, paths = tree.root_and_paths([batch_leaf(context, obj) for obj in objects])
        signature = self._secret.sign(signing_message(context, root), context.label)
        return [
            Proof(signature=signature, index=index, size=size, path=path) for index, path in enumerate(paths)
        ]

    def __repr__(self) -> str:
        return f"Signer({self._role}, {self.key_id.hex()})"


class Claim(NamedTuple):
    """What a proof says: that this key has signed the root of a batch with the object in it."""

    public_key: bytes
    context: Context
    root: bytes
    signature: bytes


class Verifier:
    """Verifies proofs, and remembers the last verified roots so that a batch costs one check.

    Only successes are remembered, the whole of key, context, root and signature; the memory is
    bounded and may be dropped at any time without changing an answer. Threads may share one.
    """

    def __init__(self, *, roots_kept: int = VERIFIED_ROOTS_KEPT) -> None:
        self._kept = roots_kept
        self._verified: dict[bytes, Claim] = {}
        """By signature: another claim with the same signature is checked anew."""

    def verify(self, public_key: bytes, role: Role, context: Context, obj: bytes, proof: Proof) -> None:
        """Return only if ``proof`` shows that this key signed these exact bytes.

        Args:
            public_key: The signer's 1984-byte key, as the trusted directory names it.
            role: The role the trusted directory gives this key.
            context: The kind the caller takes the object for.
            obj: The bytes as received, never a re-encoding.
            proof: The signature and the way from the object to the signed root.

        Raises:
            FormatError: the proof's index, size and path do not fit each other or the kind.
            BadSignature: the role may not sign this kind, or the signature does not verify.
            KeyRefused: the key is not admitted.
        """
        self.check(claimed(public_key, role, context, obj, proof))

    def check(self, claim: Claim) -> None:
        """Return only if a claim is true; the costly part of :meth:`verify`, with the same errors."""
        verified = self._verified
        if verified.get(claim.signature) == claim:
            return
        PublicKey.from_bytes(claim.public_key).verify(
            claim.signature, signing_message(claim.context, claim.root), claim.context.label
        )
        if self._kept:
            verified[claim.signature] = claim
            while len(verified) > self._kept:
                # Another thread may have dropped the oldest meanwhile.
                verified.pop(next(iter(tuple(verified)), b""), None)

    def has_met(self, signature: bytes) -> bool:
        """Whether some claim with this signature is remembered; it says nothing about another claim."""
        return signature in self._verified


def claimed(public_key: bytes, role: Role, context: Context, obj: bytes, proof: Proof) -> Claim:
    """Return what a proof claims; arguments as :meth:`Verifier.verify`. Nothing is believed yet.

    Raises:
        FormatError: the proof's index, size and path do not fit each other or the kind.
        BadSignature: the role may not sign this kind.
    """
    if context not in ROLE_CONTEXTS[role]:
        raise BadSignature(f"a {role} key may not sign a {context.value}")
    _check_geometry(context, proof)
    return Claim(bytes(public_key), context, root_implied(context, obj, proof), bytes(proof.signature))


def possession_message(state: str, role: Role, public: bytes, community: bytes) -> bytes:
    """Return what a key signs to prove that its owner holds it.

    ``u8 len ‖ state ‖ u8 len ‖ role ‖ public key ‖ community``: every part is of fixed length
    or carries it, so no two claims share one message.

    Args:
        state: The owner's code in the directory.
        role: The role claimed for the key.
        public: The 1984-byte public key.
        community: The 32-byte hash of the community's first root document.
    """
    if len(community) != 32:
        raise LocalProtocolError("a community id has 32 bytes")
    owner, claimed = state.encode("ascii"), role.value.encode("ascii")
    return b"".join((bytes((len(owner),)), owner, bytes((len(claimed),)), claimed, public, community))


def sign_possession(signer: Signer, state: str, community: bytes) -> Proof:
    """Return the proof that ``signer`` holds its key, for this state, role and community."""
    message = possession_message(state, signer.role, signer.public, community)
    return signer.sign(Context.POSSESSION, message)


def verify_possession(
    verifier: Verifier, public: bytes, *, state: str, role: Role, community: bytes, proof: Proof
) -> None:
    """Return only if the key's owner proved possession for exactly this state and role.

    Raises:
        FormatError, BadSignature, KeyRefused: as :meth:`Verifier.verify`.
    """
    message = possession_message(state, role, public, community)
    verifier.verify(public, role, Context.POSSESSION, message, proof)


def _check_geometry(context: Context, proof: Proof) -> None:
    """Bound everything before hashing; a decoded proof has passed this, one built here may not."""
    if not 1 <= proof.size <= (1 if context in SIGNED_ALONE else MAX_BATCH):
        raise FormatError(f"a proof over {context.value} cannot belong to a batch of {proof.size}")
    if len(proof.path) > MAX_PATH or not set(map(len, proof.path)) <= {32}:
        raise FormatError("the inclusion path of a proof is not up to 8 hashes of 32 bytes")
    if len(proof.signature) != SIGNATURE_BYTES:
        raise FormatError(f"the signature of a proof has {len(proof.signature)} bytes")
