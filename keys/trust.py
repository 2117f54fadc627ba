"""Deciding which documents to believe. Bytes in; the directory advances, or an error says why not.

What to load, from where, and where to keep it is decided elsewhere; here is only whether to
trust it. The rules are those of The Update Framework (specification, section 5), each stated
as a sentence in :class:`TrustedDirectory` and step by step in ``protocol/spec/documents.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

from keys import governors, members
from keys.held import Documents, Held
from keys.roster import Roster
from keys.signer import Verifier
from protocol.documents import (
    Directory,
    Document,
    PrekeyList,
    Publication,
    Root,
    SignedDocument,
    StateManifest,
    document_hash,
    parse_document,
    parse_signed_document,
)
from protocol.errors import ClockSkew, FormatError, WrongCommunity
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
       names a root version that is neither newer than the trusted one nor older than before. One
       that differs from the trusted one only in that active states are suspended needs two of
       those keys, or the threshold if that is lower; reinstating needs the threshold.
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
    13. A code names one party for ever. While a state is not listed, nothing of it counts and none
        of its documents is accepted; its keys, chains and revocations stay remembered. When its
        code is listed again, with whatever identity key, its chains go on where they ended.
    14. Whatever is refused changes nothing: rules read the old value, and make a new one.

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
        _require_present(document, now_ms)
        # One assignment, after every check: a refused document leaves nothing behind.
        self._trusted = self._advanced(document, digest, signed)
        return Accepted(document, digest, changed=True)

    def supposing(self, body: bytes, now_ms: int) -> TrustedDirectory:
        """Return a copy that supposes a root or directory was signed by enough custodians.

        For those who are asked to sign it, to see what would follow. This directory stays as it is.

        Args:
            body: The unsigned document.
            now_ms: The time now, milliseconds UTC.

        Raises:
            FormatError: it is no root or directory document.
            TrustError: no signature could make it trusted; the subclass says which rule it breaks.
            ClockSkew: it was issued in the future.
        """
        document, digest = parse_document(body), document_hash(body)
        if not isinstance(document, Root | Directory):
            raise FormatError("custodians sign root and directory documents only")
        _require_present(document, now_ms)
        _require_community(document, self.community)
        copy = TrustedDirectory(self.community, self._verifier)
        copy._trusted = governors.supposed(self._trusted, self.community, document, digest, self._verifier)
        return copy

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
        _require_community(document, self.community)
        if isinstance(document, Root | Directory):
            return governors.advanced(self._trusted, self.community, document, digest, signed, self._verifier)
        return members.advanced(self._trusted, document, digest, signed, self._verifier)


def _require_community(document: Document, community: bytes) -> None:
    if not isinstance(document, Root) and document.community != community:
        raise WrongCommunity("the document belongs to another community")


def _require_present(document: Document, now_ms: int) -> None:
    if document.issued_ms > now_ms + MAX_SKEW_MS:
        raise ClockSkew(f"the document claims to be issued at {format_utc(document.issued_ms)}")
