"""Deciding which documents to believe. Bytes in; the directory advances, or an error says why not.

What to load, from where, and where to keep it is decided elsewhere; here is only whether to
trust it. The rules are those of The Update Framework (specification, section 5), each stated
as a sentence in :class:`TrustedDirectory` and step by step in ``protocol/spec/documents.md``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from keys import chain, members
from keys.documents import count_signatures
from keys.held import Documents, Former, Held
from keys.note_keys import NoteRole
from keys.note_keys import verify_possession as verify_note_possession
from keys.roster import Roster
from keys.signer import Verifier, verify_possession
from protocol.digest import signing_key_id
from protocol.documents import (
    CoordinatorEntry,
    Directory,
    Document,
    PrekeyList,
    Publication,
    Role,
    Root,
    SignedDocument,
    StateManifest,
    document_hash,
    parse_document,
    parse_signed_document,
)
from protocol.errors import (
    ClockSkew,
    RolledBack,
    SuiteRefused,
    ThresholdNotMet,
    VersionGap,
    WrongCommunity,
)
from protocol.signed import Context
from protocol.suite import KNOWN_SUITES
from protocol.text import format_utc

MAX_SKEW_MS = 10 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Accepted:
    """A document that is trusted now, with the 32-byte hash of its body.

    ``changed`` is false when this very body was trusted already; then the signatures of the
    new copy were not looked at, and the copy at hand is the one to keep.
    """

    document: Document
    hash: bytes
    changed: bool


class TrustedDirectory(Roster):
    """The documents of one community, and the rules by which they advance.

    1. The first root is the one whose hash was pinned, signed by its own threshold.
    2. A later root is signed by a threshold of the old root's keys and of its own.
    3. Distinct listed public keys are counted, each once; other signatures count nothing.
    4. Every document is exactly one version after the trusted one of its chain and names its
       hash. Chains are: root, directory, each state's manifest, each state's prekey list, and
       each publication by state, topic and name.
    5. The directory is signed by a threshold of the directory keys in the trusted root, and
       names a root version that is neither newer than the trusted one nor older than before.
    6. A manifest or publication is signed by the identity key that the directory names for its
       state; a prekey list by a node key of its state's manifest, valid when it was issued,
       and not revoked whatever time it claims.
    7. No key or certificate is ever admitted for two parties or two roles, except that the
       root and directory roles may share theirs; so it is with the keys and names of logs and
       witnesses. Every online key, log and witness proves its possession.
    8. A revocation is for ever; a later manifest cannot take it back or move its time. So is a
       directory's word that a key was compromised; a later one may only name an earlier time.
    9. A document issued more than ten minutes from now is refused.
    10. Expiry is judged when a document is used, not when it is accepted, so that a member who
        was away can follow the chains to the present.
    11. Suspended states may publish; looking them up is what fails. After a directory replaces
        an identity key, a state's manifest is not used until the new key has signed one; a manifest
        that both keys have signed counts without a break.
    12. A coordinator's statement key that a directory replaces goes on counting for what names an
        earlier directory; so nothing that was said before is lost on its way.
    13. Whatever is refused changes nothing: rules read the old value, and make a new one.

    The history is not kept here. Whoever stores the bytes of every accepted change, and feeds
    them to a new instance in the same order, has the same directory again.

    Args:
        pinned_root_hash: The hash of the first root's body, from the ceremony, never from the
            network.
        verifier: Checks signatures; may be shared.
    """

    def __init__(self, pinned_root_hash: bytes, verifier: Verifier) -> None:
        super().__init__(pinned_root_hash)
        self._verifier = verifier

    def update(self, data: bytes, now_ms: int) -> Accepted:
        """Verify one signed document and trust it from now on.

        Args:
            data: The signed document exactly as received.
            now_ms: The time now, milliseconds UTC.

        Raises:
            FormatError: it is not a well-formed signed document.
            TrustError: it may not be believed; the subclass says which rule it breaks.
            ClockSkew: it was issued in the future.
        """
        signed = parse_signed_document(data)
        digest = document_hash(signed.body)
        document = parse_document(signed.body)
        held = self._held(document)
        if held is not None and held.hash == digest:
            return Accepted(held.document, digest, changed=False)
        if document.issued_ms > now_ms + MAX_SKEW_MS:
            raise ClockSkew(f"the document claims to be issued at {format_utc(document.issued_ms)}")
        # One assignment, after every check: a refused document leaves nothing behind.
        self._trusted = self._advanced(document, digest, signed)
        return Accepted(document, digest, changed=True)

    def _held(self, document: Document) -> Held[Document] | None:
        """Return the trusted document at whose place in its chain this one would stand."""
        trusted = self._trusted
        match document:
            case Root():
                return trusted.root
            case Directory():
                return trusted.directory
            case StateManifest():
                return trusted.manifests.get(document.state)
            case PrekeyList():
                return trusted.prekeys.get(document.state)
            case Publication():
                return trusted.publications.get((document.state, document.topic, document.name))

    def _advanced(self, document: Document, digest: bytes, signed: SignedDocument) -> Documents:
        if isinstance(document, Root):
            return self._with_root(document, digest, signed)
        if document.community != self.community:
            raise WrongCommunity("the document belongs to another community")
        if isinstance(document, Directory):
            return self._with_directory(document, digest, signed)
        return members.advanced(self._trusted, document, digest, signed, self._verifier)

    def _with_root(self, root: Root, digest: bytes, signed: SignedDocument) -> Documents:
        trusted = self._trusted
        if root.version == 1 and digest != self.community:
            raise WrongCommunity("this first root document is not the one that was pinned")
        if root.version > 1 and root.community != self.community:
            raise WrongCommunity("the root document belongs to another community")
        chain.require_next_version(trusted.root, root, "root document")
        owners = chain.with_governance(trusted.owners, root)
        if trusted.root is not None:
            self._count_root(trusted.root.document, signed)
        self._count_root(root, signed)
        chain.require_unforked(trusted.root, root, "root document")
        if not KNOWN_SUITES.intersection(root.suites):
            raise SuiteRefused(
                "the root document allows no cryptographic suite that this program knows",
                hint="Update this program, then load the document again.",
            )
        return replace(trusted, root=Held(root, digest), owners=owners)

    def _count_root(self, authority: Root, signed: SignedDocument) -> None:
        tally = count_signatures(self._verifier, authority.root, Role.ROOT, Context.ROOT, signed)
        if not tally:
            raise ThresholdNotMet(f"by the keys of root version {authority.version}, {tally}")

    def _with_directory(self, directory: Directory, digest: bytes, signed: SignedDocument) -> Documents:
        trusted = self._trusted
        root = trusted.trusted_root().document
        chain.require_next_version(trusted.directory, directory, "directory")
        count_signatures(self._verifier, root.directory, Role.DIRECTORY, Context.DIRECTORY, signed).require()
        chain.require_unforked(trusted.directory, directory, "directory")
        if directory.root_version > root.version:
            raise VersionGap("the directory was made under a root document not seen here yet")
        if trusted.directory and directory.root_version < trusted.directory.document.root_version:
            raise RolledBack("the directory was made under an older root document than the one before")
        if trusted.directory:
            _require_still_compromised(trusted.directory.document, directory)
        owners = chain.with_directory(trusted.owners, directory)
        for coordinator in directory.coordinators:
            self._require_possession(coordinator)
        former = {**trusted.former, **_replaced(trusted.directory, directory)}
        return replace(
            trusted,
            directory=Held(directory, digest),
            manifests=members.succeeded(trusted.manifests, directory, self._verifier),
            owners=owners,
            former=former,
        )

    def _require_possession(self, coordinator: CoordinatorEntry) -> None:
        verify_possession(
            self._verifier,
            coordinator.key,
            state=coordinator.code,
            role=Role.COORDINATOR,
            community=self.community,
            proof=coordinator.possession,
        )
        verify_note_possession(coordinator.log, coordinator.code, NoteRole.LOG, self.community)


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
