"""What governance makes: the first and later roots, the directory, and the check of requests.

These functions return documents for the custodians to sign with
:func:`keys.documents.sign_document`; none of them makes anything trusted.
"""

from __future__ import annotations

from collections.abc import Sequence

from keys import chain
from keys.documents import verify_signed_by
from keys.roster import Roster
from keys.signature import PublicKey
from keys.signer import Verifier, verify_possession
from protocol import codec
from protocol.documents import (
    Compromise,
    CoordinatorEntry,
    Directory,
    Role,
    RoleKeys,
    Root,
    StateEntry,
    StateManifest,
    StateStatus,
    parse_document,
    parse_signed_document,
)
from protocol.enrolment import Community, CoordinatorRequest, StateRequest
from protocol.errors import FormatError, KeyRefused, WrongCommunity
from protocol.signed import Context
from protocol.suite import SUITE_1


def first_root(
    name: str,
    root: RoleKeys,
    directory: RoleKeys,
    *,
    now_ms: int,
    life_ms: int,
    suites: Sequence[int] = (SUITE_1,),
) -> Root:
    """Return version 1 of the root; the hash of its encoding becomes the community's id.

    Args:
        name: What the community is called, one line.
        root: The keys and threshold that govern the root itself.
        directory: The keys and threshold that govern the directory; they may be the same keys.
        now_ms: The time of issue, milliseconds UTC.
        life_ms: How long it is valid, milliseconds.
        suites: The cryptographic suites allowed, preferred first.
    """
    return Root(
        v=1,
        community=None,
        version=1,
        previous=None,
        issued_ms=now_ms,
        expires_ms=now_ms + life_ms,
        name=name,
        root=root,
        directory=directory,
        suites=tuple(suites),
    )


def next_root(
    trusted: Roster,
    *,
    now_ms: int,
    life_ms: int,
    root: RoleKeys | None = None,
    directory: RoleKeys | None = None,
    suites: Sequence[int] | None = None,
) -> Root:
    """Return the root after the trusted one; what is not given stays as it is.

    It needs signatures by a threshold of the trusted root's keys *and* of its own.
    """
    held = trusted.documents.trusted_root()
    version, previous = chain.following(held)
    return Root(
        v=1,
        community=trusted.community,
        version=version,
        previous=previous,
        issued_ms=now_ms,
        expires_ms=now_ms + life_ms,
        name=held.document.name,
        root=root or held.document.root,
        directory=directory or held.document.directory,
        suites=tuple(suites or held.document.suites),
    )


def next_directory(
    trusted: Roster,
    states: Sequence[StateEntry],
    coordinators: Sequence[CoordinatorEntry],
    *,
    now_ms: int,
    life_ms: int,
    compromised: Sequence[Compromise] = (),
) -> Directory:
    """Return the directory after the trusted one, or the first, with exactly these members.

    To admit a member, pass the present entries and the new one; to suspend one, replace its
    entry. Keys confirmed as compromised are carried over; ``compromised`` names further ones, or
    an earlier time for one of them.
    """
    version, previous = chain.following(trusted.documents.directory)
    return Directory(
        v=1,
        community=trusted.community,
        version=version,
        previous=previous,
        issued_ms=now_ms,
        expires_ms=now_ms + life_ms,
        root_version=trusted.root.version,
        states=tuple(sorted(states, key=lambda entry: entry.code)),
        coordinators=tuple(sorted(coordinators, key=lambda entry: entry.code)),
        compromised=_with_compromised(trusted, compromised),
    )


def _with_compromised(trusted: Roster, further: Sequence[Compromise]) -> tuple[Compromise, ...]:
    held = trusted.documents.directory
    listed = held.document.compromised if held is not None else ()
    newest = {(entry.party, entry.key_id): entry for entry in (*listed, *further)}
    return tuple(newest[place] for place in sorted(newest))


def checked_state(trusted: Roster, verifier: Verifier, request: StateRequest, *, since_ms: int) -> StateEntry:
    """Return the entry for a state whose request is sound, active from ``since_ms``.

    Checked: the community, the proof that the state holds its identity key, that nobody else
    has it, that the first document is the state's own manifest signed by that key, and that
    every further document names the same state. Its documents are checked in full when they
    are accepted, after the directory. Who the state is must be confirmed by people first.

    Raises:
        WrongCommunity: it was made for another community.
        KeyRefused: the key is weak, or somebody else's.
        FormatError: the documents are not what a request holds.
        TrustError: a signature or proof in it is wrong.
    """
    _require_community(trusted, request.community)
    _require_unowned(trusted, request.identity, request.code, Role.IDENTITY)
    verify_possession(
        verifier,
        request.identity,
        state=request.code,
        role=Role.IDENTITY,
        community=trusted.community,
        proof=request.possession,
    )
    _check_documents(verifier, request)
    return StateEntry(
        code=request.code,
        name=request.name,
        status=StateStatus.ACTIVE,
        identity=request.identity,
        since_ms=since_ms,
    )


def checked_coordinator(trusted: Roster, verifier: Verifier, request: CoordinatorRequest) -> CoordinatorEntry:
    """Return the entry of a coordinator whose request is sound.

    Raises:
        WrongCommunity: it was made for another community.
        KeyRefused: the key is weak, or somebody else's.
        TrustError: it does not prove that it holds its key.
    """
    _require_community(trusted, request.community)
    entry = request.entry
    _require_unowned(trusted, entry.key, entry.code, Role.COORDINATOR)
    verify_possession(
        verifier,
        entry.key,
        state=entry.code,
        role=Role.COORDINATOR,
        community=trusted.community,
        proof=entry.possession,
    )
    return entry


def community_file(documents: Sequence[bytes]) -> bytes:
    """Return the file of all signed documents, in the order in which they were accepted."""
    return codec.encode(Community(v=1, documents=tuple(documents)))


def _require_community(trusted: Roster, community: bytes) -> None:
    if community != trusted.community:
        raise WrongCommunity(
            "the request was made for another community",
            hint="Give the applicant this community's root hash, and let it make the request again.",
        )


def _require_unowned(trusted: Roster, key: bytes, code: str, role: Role) -> None:
    owner = trusted.documents.owners.get(PublicKey.from_bytes(key).key_id)
    if owner is not None and owner != (code, role):
        raise KeyRefused(f"{code} asks to be listed with a key that {owner.party} has as {owner.use}")


def _check_documents(verifier: Verifier, request: StateRequest) -> None:
    first = parse_signed_document(request.documents[0])
    if not isinstance(parse_document(first.body), StateManifest):
        raise FormatError(f"the first document in the request of {request.code} is not its manifest")
    verify_signed_by(verifier, request.identity, Role.IDENTITY, Context.MANIFEST, first)
    for data in request.documents:
        document = parse_document(parse_signed_document(data).body)
        if isinstance(document, Root | Directory) or document.state != request.code:
            raise FormatError(f"the request of {request.code} holds a document that is not its own")
        if document.community != request.community:
            raise WrongCommunity(f"a document in the request of {request.code} is of another community")
