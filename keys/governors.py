"""The rules for what governance signs: the root and the directory.

Each takes everything that is trusted and one document whose bytes parsed, and returns what is
trusted afterwards, or raises. The rules as sentences: :class:`keys.trust.TrustedDirectory`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from msgspec import structs

from keys import chain, members
from keys.chain import Owners
from keys.documents import Tally, count_signatures
from keys.held import Documents, Former, Held
from keys.note_keys import NoteRole
from keys.note_keys import verify_possession as verify_note_possession
from keys.signer import Verifier, verify_possession
from protocol.digest import signing_key_id
from protocol.documents import (
    CONTEXTS,
    CoordinatorEntry,
    Directory,
    Role,
    RoleKeys,
    Root,
    SignedDocument,
    StateEntry,
    StateStatus,
)
from protocol.errors import RolledBack, SuiteRefused, ThresholdNotMet, VersionGap, WrongCommunity
from protocol.suite import KNOWN_SUITES
from protocol.text import format_utc

SUSPENDERS = 2
"""How many directory keys suffice for a directory that does nothing but suspend states."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Whose signatures a document needs: keys of one role, how many of them, and which root lists them."""

    role: Role
    keys: RoleKeys
    root_version: int

    def tally(self, document: Root | Directory, signed: SignedDocument, verifier: Verifier) -> Tally:
        """Return who of these keys signed the document."""
        return count_signatures(verifier, self.keys, self.role, CONTEXTS[type(document)], signed)


def authorities(trusted: Documents, document: Root | Directory) -> tuple[Authority, ...]:
    """Return whose signatures a document needs; each of the thresholds must be reached.

    Raises:
        VersionGap: it is a directory, and no root is trusted yet.
    """
    if isinstance(document, Root):
        roots = (*((trusted.root.document,) if trusted.root else ()), document)
        return tuple(Authority(Role.ROOT, root.root, root.version) for root in roots)
    root = trusted.trusted_root().document
    keys = root.directory
    if trusted.directory is not None and only_suspends(trusted.directory.document, document):
        keys = RoleKeys(threshold=min(SUSPENDERS, keys.threshold), keys=keys.keys)
    return (Authority(Role.DIRECTORY, keys, root.version),)


def only_suspends(before: Directory, after: Directory) -> bool:
    """Return whether a directory is the one before it, except that active states are suspended.

    Version, previous hash and time of issue differ by nature. Nothing else may, not even the expiry.
    """
    if before.states == after.states or len(before.states) != len(after.states):
        return False
    states = tuple(_as_suspended(old, new) for old, new in zip(before.states, after.states, strict=True))
    expected = structs.replace(
        before,
        version=after.version,
        previous=after.previous,
        issued_ms=after.issued_ms,
        states=states,
    )
    return expected == after


def advanced(
    trusted: Documents,
    community: bytes,
    document: Root | Directory,
    digest: bytes,
    signed: SignedDocument,
    verifier: Verifier,
) -> Documents:
    """Return what is trusted once this root or directory is accepted.

    Args:
        trusted: What is trusted now.
        community: The pinned hash of the first root.
        document: What was parsed of the body.
        digest: The hash of the body.
        signed: The received bytes with their signatures.
        verifier: Checks signatures.

    Raises:
        TrustError: it may not be believed; the subclass says which rule it breaks.
    """
    owners = _placed(trusted, community, document, digest)
    for authority in authorities(trusted, document):
        _require_enough(authority, document, signed, verifier)
    return _continued(trusted, community, document, digest, owners, verifier)


def supposed(
    trusted: Documents, community: bytes, document: Root | Directory, digest: bytes, verifier: Verifier
) -> Documents:
    """Return what would be trusted if enough custodians had signed this document; for reviews only.

    Arguments and errors as :func:`advanced`, but nobody's signature is asked for.
    """
    owners = _placed(trusted, community, document, digest)
    return _continued(trusted, community, document, digest, owners, verifier)


def _as_suspended(old: StateEntry, new: StateEntry) -> StateEntry:
    if (old.status, new.status) == (StateStatus.ACTIVE, StateStatus.SUSPENDED):
        return structs.replace(old, status=StateStatus.SUSPENDED)
    return old


def _placed(trusted: Documents, community: bytes, document: Root | Directory, digest: bytes) -> Owners:
    """Refuse what does not follow the trusted version; return the owners with a root's keys among them."""
    if isinstance(document, Directory):
        trusted.trusted_root()
        chain.require_next_version(trusted.directory, document, "directory")
        return trusted.owners
    if document.version == 1 and digest != community:
        raise WrongCommunity("this first root document is not the one that was pinned")
    if document.version > 1 and document.community != community:
        raise WrongCommunity("the root document belongs to another community")
    chain.require_next_version(trusted.root, document, "root document")
    # Before its signatures are counted, because a root's own keys count among them.
    return chain.with_governance(trusted.owners, document)


def _require_enough(
    authority: Authority, document: Root | Directory, signed: SignedDocument, verifier: Verifier
) -> None:
    tally = authority.tally(document, signed, verifier)
    if authority.role is Role.ROOT and not tally:
        raise ThresholdNotMet(f"by the keys of root version {authority.root_version}, {tally}")
    tally.require()


def _continued(
    trusted: Documents,
    community: bytes,
    document: Root | Directory,
    digest: bytes,
    owners: Owners,
    verifier: Verifier,
) -> Documents:
    if isinstance(document, Directory):
        return _with_directory(trusted, community, document, digest, verifier)
    chain.require_unforked(trusted.root, document, "root document")
    if not KNOWN_SUITES.intersection(document.suites):
        raise SuiteRefused(
            "the root document allows no cryptographic suite that this program knows",
            hint="Update this program, then load the document again.",
        )
    return replace(trusted, root=Held(document, digest), owners=owners)


def _with_directory(
    trusted: Documents, community: bytes, directory: Directory, digest: bytes, verifier: Verifier
) -> Documents:
    chain.require_unforked(trusted.directory, directory, "directory")
    if directory.root_version > trusted.trusted_root().document.version:
        raise VersionGap("the directory was made under a root document not seen here yet")
    if trusted.directory and directory.root_version < trusted.directory.document.root_version:
        raise RolledBack("the directory was made under an older root document than the one before")
    if trusted.directory:
        _require_still_compromised(trusted.directory.document, directory)
    owners = chain.with_directory(trusted.owners, directory)
    for coordinator in directory.coordinators:
        _require_possession(coordinator, community, verifier)
    former = {**trusted.former, **_replaced(trusted.directory, directory)}
    return replace(
        trusted,
        directory=Held(directory, digest),
        manifests=members.succeeded(trusted.manifests, directory, verifier),
        owners=owners,
        former=former,
        suspended={
            entry.code: trusted.suspended.get(entry.code, directory.version)
            for entry in directory.states
            if entry.status is StateStatus.SUSPENDED
        },
    )


def _require_possession(coordinator: CoordinatorEntry, community: bytes, verifier: Verifier) -> None:
    verify_possession(
        verifier,
        coordinator.key,
        state=coordinator.code,
        role=Role.COORDINATOR,
        community=community,
        proof=coordinator.possession,
    )
    verify_note_possession(coordinator.log, coordinator.code, NoteRole.LOG, community)


def _require_still_compromised(before: Directory, after: Directory) -> None:
    """Refuse a directory that takes back a compromise, or moves its time to later."""
    listed = {(entry.party, entry.key_id): entry.since_ms for entry in after.compromised}
    for entry in before.compromised:
        if listed.get((entry.party, entry.key_id), entry.since_ms + 1) > entry.since_ms:
            raise RolledBack(
                f"the directory no longer says that the key {entry.key_id.hex()[:16]} of {entry.party} "
                f"was compromised since {format_utc(entry.since_ms)}"
            )


def _replaced(held: Held[Directory] | None, directory: Directory) -> dict[tuple[str, bytes], Former]:
    """Return the statement keys that the trusted directory lists and this next one does not."""
    listed = {entry.key for entry in directory.coordinators}
    before = () if held is None else held.document.coordinators
    return {
        (entry.code, signing_key_id(entry.key)): Former(entry.key, directory.version)
        for entry in before
        if entry.key not in listed
    }
