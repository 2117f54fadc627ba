"""The rules for what states themselves sign: manifest, prekey list, publication.

Each takes everything that is trusted and one document whose bytes parsed, and returns what is
trusted afterwards, or raises. The rules as sentences: :class:`keys.trust.TrustedDirectory`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from keys import chain
from keys.documents import count_signatures, verify_signed_by
from keys.held import Documents, Held
from keys.note_keys import NoteRole
from keys.note_keys import verify_possession as verify_note_possession
from keys.signer import Verifier, verify_possession
from protocol.digest import signing_key_id
from protocol.documents import (
    Directory,
    KeyEntry,
    PrekeyList,
    Publication,
    Role,
    RoleKeys,
    SignedDocument,
    StateManifest,
)
from protocol.errors import BadSignature, KeyRefused, KeyRevoked, SuiteRefused, TooLarge, UnknownSigner
from protocol.signed import Context

MAX_PUBLICATIONS = 64
"""How many publications, by topic and name, one state may have: everybody keeps them in memory."""


def advanced(
    trusted: Documents,
    document: StateManifest | PrekeyList | Publication,
    digest: bytes,
    signed: SignedDocument,
    verifier: Verifier,
) -> Documents:
    """Return what is trusted once this document of the right community is accepted.

    Raises:
        TrustError: it may not be believed; the subclass says which rule it breaks.
        TooLarge: it would be one publication too many.
    """
    trusted.trusted_directory()
    match document:
        case StateManifest():
            return _with_manifest(trusted, document, digest, signed, verifier)
        case PrekeyList():
            return _with_prekeys(trusted, document, digest, signed, verifier)
        case Publication():
            return _with_publication(trusted, document, digest, signed, verifier)


def _with_manifest(
    trusted: Documents, manifest: StateManifest, digest: bytes, signed: SignedDocument, verifier: Verifier
) -> Documents:
    state = manifest.state
    what = f"manifest of {state}"
    held = trusted.manifests.get(state)
    chain.require_next_version(held, manifest, what)
    identity = _identity(trusted, state)
    verify_signed_by(verifier, identity, Role.IDENTITY, Context.MANIFEST, signed)
    chain.require_unforked(held, manifest, what)
    owners = chain.with_manifest(trusted.owners, manifest)
    for entry in manifest.keys:
        _require_possession(verifier, manifest, entry)
    verify_note_possession(manifest.witness, state, NoteRole.WITNESS, manifest.community)
    if not set(trusted.trusted_root().document.suites).intersection(manifest.suites):
        raise SuiteRefused(f"the manifest of {state} supports no suite that the root document allows")
    # It takes effect where it is logged: a time in the future would promise the key a longer life.
    revoked = {(state, item.key_id): min(item.at_ms, manifest.issued_ms) for item in manifest.revoked}
    kept = signed if len(signed.signatures) > 1 else None
    return replace(
        trusted,
        manifests={**trusted.manifests, state: Held(manifest, digest, signing_key_id(identity), kept)},
        owners=owners,
        # What was revoked first stays: neither the fact nor its time can be taken back.
        revoked={**revoked, **trusted.revoked},
    )


def succeeded(
    manifests: Mapping[str, Held[StateManifest]], directory: Directory, verifier: Verifier
) -> dict[str, Held[StateManifest]]:
    """Return the manifests under a directory: one that its state's new identity key signed too, counts on.

    So a state may change its identity key without a moment in which nothing of it counts.
    """
    following = dict(manifests)
    for entry in directory.states:
        held = manifests.get(entry.code)
        if held is None or held.signed is None:
            continue
        able = RoleKeys(threshold=1, keys=(entry.identity,))
        if count_signatures(verifier, able, Role.IDENTITY, Context.MANIFEST, held.signed):
            following[entry.code] = replace(held, signer=signing_key_id(entry.identity))
    return following


def _with_prekeys(
    trusted: Documents, prekeys: PrekeyList, digest: bytes, signed: SignedDocument, verifier: Verifier
) -> Documents:
    state = prekeys.state
    what = f"prekey list of {state}"
    held = trusted.prekeys.get(state)
    chain.require_next_version(held, prekeys, what)
    signer = _signing_node(trusted, prekeys, signed, verifier)
    chain.require_unforked(held, prekeys, what)
    offered = {key.public for key in prekeys.keys}
    for other, theirs in trusted.prekeys.items():
        if other != state and offered.intersection(key.public for key in theirs.document.keys):
            raise KeyRefused(f"{state} publishes a sealing key that {other} published already")
    return replace(trusted, prekeys={**trusted.prekeys, state: Held(prekeys, digest, signing_key_id(signer))})


def _with_publication(
    trusted: Documents, document: Publication, digest: bytes, signed: SignedDocument, verifier: Verifier
) -> Documents:
    place = (document.state, document.topic, document.name)
    what = f"publication {document.topic}/{document.name} of {document.state}"
    held = trusted.publications.get(place)
    chain.require_next_version(held, document, what)
    identity = _identity(trusted, document.state)
    verify_signed_by(verifier, identity, Role.IDENTITY, Context.PUBLICATION, signed)
    chain.require_unforked(held, document, what)
    if held is None and _published_by(trusted, document.state) >= MAX_PUBLICATIONS:
        raise TooLarge(
            f"{document.state} has {MAX_PUBLICATIONS} publications already",
            hint="Publish the next version of one of them instead.",
        )
    accepted = Held(document, digest, signing_key_id(identity))
    return replace(trusted, publications={**trusted.publications, place: accepted})


def _published_by(trusted: Documents, state: str) -> int:
    return sum(publisher == state for publisher, _, _ in trusted.publications)


def _identity(trusted: Documents, state: str) -> bytes:
    entry = trusted.entry(state)
    if entry is None:
        raise UnknownSigner(f"the directory lists no state {state}")
    return entry.identity


def _require_possession(verifier: Verifier, manifest: StateManifest, entry: KeyEntry) -> None:
    verify_possession(
        verifier,
        entry.key,
        state=manifest.state,
        role=entry.role,
        community=manifest.community,
        proof=entry.possession,
    )


def _signing_node(
    trusted: Documents, prekeys: PrekeyList, signed: SignedDocument, verifier: Verifier
) -> bytes:
    """Return the node key of the state's manifest that signed its list, and may."""
    state = prekeys.state
    manifest = trusted.manifest(state)
    if manifest is None:
        raise UnknownSigner(f"{state} has no manifest signed by its present identity key")
    named = {signature.key_id for signature in signed.signatures}
    nodes = [entry for entry in manifest.keys if entry.role is Role.NODE and entry.key_id in named]
    if not nodes:
        raise UnknownSigner(f"no node key in the manifest of {state} signed its prekey list")
    # A revoked key could claim any time for its list, so the claimed time does not save it.
    nodes = [entry for entry in nodes if trusted.withdrawn_ms(state, entry.key_id) is None]
    if not nodes:
        raise KeyRevoked(f"the node key that signed the prekey list of {state} is revoked")
    keys = tuple(entry.key for entry in nodes if entry.from_ms <= prekeys.issued_ms < entry.until_ms)
    if not keys:
        raise UnknownSigner(f"the node key that signed the prekey list of {state} was not valid then")
    able = RoleKeys(threshold=1, keys=keys)
    tally = count_signatures(verifier, able, Role.NODE, Context.PREKEYS, signed)
    if not tally:
        raise BadSignature(f"the signature of the node key over the prekey list of {state} is wrong")
    return min(tally.signed)
