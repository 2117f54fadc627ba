"""What a member makes: its online keys' entries, manifest, publications and request to join.

These functions return documents for :func:`keys.documents.sign_document`. They take the chain
to continue from a :class:`~keys.held.Held` document, or None for the first.
"""

from __future__ import annotations

from collections.abc import Sequence

from keys import chain
from keys.held import Held
from keys.signer import Signer, Verifier, sign_possession
from keys.trust import TrustedDirectory
from protocol.digest import signing_key_id
from protocol.documents import (
    CoordinatorEntry,
    KeyEntry,
    NoteKeys,
    Prekey,
    PrekeyList,
    Publication,
    Revocation,
    StateManifest,
)
from protocol.enrolment import CoordinatorRequest, StateRequest, parse_community
from protocol.errors import LocalProtocolError
from protocol.fingerprint import groups
from protocol.suite import SUITE_1


def key_entry(
    signer: Signer, *, state: str, community: bytes, owner: str, from_ms: int, until_ms: int
) -> KeyEntry:
    """Return the manifest entry of a node or officer key, with its proof of possession.

    Args:
        signer: The key; its role is the entry's.
        state: The code of the state it will sign for.
        community: The 32-byte id of the community.
        owner: Whose key it is: a person's or a machine's name, one line.
        from_ms: From when it may sign, milliseconds UTC.
        until_ms: Until when, exclusive.
    """
    return KeyEntry(
        key=signer.public,
        role=signer.role,
        owner=owner,
        from_ms=from_ms,
        until_ms=until_ms,
        possession=sign_possession(signer, state, community),
    )


def next_manifest(
    held: Held[StateManifest] | None,
    *,
    state: str,
    community: bytes,
    keys: Sequence[KeyEntry],
    certificates: Sequence[bytes],
    now_ms: int,
    life_ms: int,
    witness: NoteKeys | None = None,
    revoked: Sequence[Revocation] = (),
    suites: Sequence[int] = (SUITE_1,),
) -> StateManifest:
    """Return the manifest after ``held``, for the identity key to sign.

    Without ``witness``, the state's witness keeps the keys that ``held`` names.

    Keys that signed statements should stay listed until nobody checks those any more.
    """
    version, previous = chain.following(held)
    if witness is None:
        if held is None:
            raise LocalProtocolError("the first manifest of a state names its witness")
        witness = held.document.witness
    return StateManifest(
        v=1,
        community=community,
        state=state,
        version=version,
        previous=previous,
        issued_ms=now_ms,
        expires_ms=now_ms + life_ms,
        keys=tuple(keys),
        certificates=tuple(certificates),
        suites=tuple(suites),
        revoked=tuple(revoked),
        witness=witness,
    )


def next_prekeys(
    held: Held[PrekeyList] | None,
    *,
    state: str,
    community: bytes,
    keys: Sequence[Prekey],
    now_ms: int,
    life_ms: int,
    tail: bool,
) -> PrekeyList:
    """Return the prekey list after ``held``, for a node key to sign."""
    version, previous = chain.following(held)
    return PrekeyList(
        v=1,
        community=community,
        state=state,
        version=version,
        previous=previous,
        issued_ms=now_ms,
        expires_ms=now_ms + life_ms,
        keys=tuple(keys),
        tail=tail,
    )


def next_publication(
    held: Held[Publication] | None,
    *,
    state: str,
    community: bytes,
    topic: str,
    name: str,
    content: bytes,
    now_ms: int,
) -> Publication:
    """Return the publication after ``held``, for the identity key to sign."""
    version, previous = chain.following(held)
    return Publication(
        v=1,
        community=community,
        state=state,
        topic=topic,
        name=name,
        version=version,
        previous=previous,
        issued_ms=now_ms,
        content=content,
    )


def coordinator_entry(
    signer: Signer,
    *,
    code: str,
    name: str,
    url: str,
    community: bytes,
    certificates: Sequence[bytes],
    log: NoteKeys,
) -> CoordinatorEntry:
    """Return a coordinator's directory entry, with the proof that it holds its statement key."""
    return CoordinatorEntry(
        code=code,
        name=name,
        url=url,
        key=signer.public,
        possession=sign_possession(signer, code, community),
        certificates=tuple(certificates),
        log=log,
    )


def state_request(
    identity: Signer, *, code: str, name: str, community: bytes, documents: Sequence[bytes]
) -> StateRequest:
    """Return a state's request to join, with its signed documents, the manifest first."""
    return StateRequest(
        v=1,
        community=community,
        code=code,
        name=name,
        identity=identity.public,
        possession=sign_possession(identity, code, community),
        documents=tuple(documents),
    )


def coordinator_request(entry: CoordinatorEntry, community: bytes) -> CoordinatorRequest:
    """Return a coordinator's request to join."""
    return CoordinatorRequest(v=1, community=community, entry=entry)


def fingerprint(public: bytes) -> str:
    """Return a key's id in eight groups of eight digits, for people to compare aloud."""
    return groups(signing_key_id(public))


def load_community(
    data: bytes, pinned_root_hash: bytes, verifier: Verifier, now_ms: int
) -> tuple[TrustedDirectory, tuple[bytes, ...]]:
    """Read a community file from its first root on, trusting nothing but the pinned hash.

    Returns:
        The directory, and the signed documents in order, for the caller to store.

    Raises:
        FormatError, TrustError, ClockSkew: as :meth:`TrustedDirectory.update`, for the first
            document that is refused; then nothing of the file should be used.
    """
    documents = parse_community(data).documents
    directory = TrustedDirectory(pinned_root_hash, verifier)
    for document in documents:
        directory.update(document, now_ms)
    return directory, documents
