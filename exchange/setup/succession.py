"""A state's identity key succeeded by another, without a moment in which nothing of the state counts.

The next manifest is signed by both keys and published while the old one is still listed. Then
governance lists the new key, and that manifest counts on. A state that has lost its identity key
cannot do this: it asks with a manifest that the new key alone has signed, which counts once the
custodians have listed that key on two other members' word.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exchange.pinned_root import read_pinned_root
from exchange.setup.amending import Amendment
from exchange.setup.files import write_file
from exchange.setup.joining import SUCCESSION_FILE, own_request
from exchange.setup.keyring import Protect, new_signer
from exchange.setup.node import MANIFEST_LIFE_MS
from exchange.setup.taking import community_of
from keys.documents import sign_document
from keys.enrolment import fingerprint, load_community, next_manifest, state_request
from keys.held import Held
from keys.signer import Signer, Verifier
from protocol import codec
from protocol.documents import Role, StateEntry, StateManifest
from protocol.errors import SetupError


@dataclass(frozen=True, slots=True)
class Succession:
    """What was made: the new key's file, the request for governance, and what people compare."""

    state: str
    key: Path
    request: Path
    fingerprint: str
    manifest_version: int


async def succeed(amendment: Amendment, key: Path, protect: Protect) -> Succession:
    """Make a state's next identity key, and the manifest and request that hand over to it.

    The manifest is trusted here at once and published when the node runs; it counts under the old key
    and under the new one. Durable when this returns.

    Args:
        amendment: The stopped node, with its present identity key.
        key: Where the new key goes: offline media, never the node's own folder for long.
        protect: How the new key's file is protected.

    Raises:
        SetupError, KeyfileError: a file cannot be written; nothing is published.
        TrustError: this node's own rules refuse the manifest; nothing is published.
    """
    entry = amendment.directory.documents.entry(amendment.state)
    if entry is None:
        raise _unlisted(amendment.state)
    fresh = new_signer(key, f"{entry.code} identity", Role.IDENTITY, protect(), amendment.now_ms)
    manifest = _manifest(amendment.held, amendment.directory.community, amendment.now_ms)
    data = sign_document(manifest, [amendment.identity, fresh])
    # The request first: without it, nobody could ask for the key that the manifest is signed with.
    made = _ask(amendment.place.path, entry, key, fresh, data, manifest)
    await amendment.publish_signed(data, manifest)
    return made


def replace_lost(data: Path, key: Path, protect: Protect, now_ms: int) -> Succession:
    """Make an identity key in place of one that is lost, and the request to have it listed.

    Nothing is published: the node goes on under its present manifest until governance lists the key, and
    what came with the request counts from that directory on. The node may run. Durable when this returns.

    Args:
        data: The node's data directory.
        key: Where the new key goes: offline media.
        protect: How the new key's file is protected.
        now_ms: The time now, milliseconds UTC.

    Raises:
        SetupError: the node has not joined, or the directory does not list its state.
        KeyfileError, StoreFailed: a file cannot be read or written.
    """
    state = own_request(data).code
    directory, _ = load_community(community_of(data), read_pinned_root(data), Verifier(), now_ms)
    entry, held = directory.documents.entry(state), directory.documents.manifests.get(state)
    if entry is None or held is None:
        raise _unlisted(state)
    fresh = new_signer(key, f"{state} identity", Role.IDENTITY, protect(), now_ms)
    manifest = _manifest(held, directory.community, now_ms)
    return _ask(data, entry, key, fresh, sign_document(manifest, [fresh]), manifest)


def _manifest(held: Held[StateManifest], community: bytes, now_ms: int) -> StateManifest:
    present = held.document
    return next_manifest(
        held,
        state=present.state,
        community=community,
        keys=present.keys,
        certificates=present.certificates,
        now_ms=now_ms,
        life_ms=MANIFEST_LIFE_MS,
        revoked=present.revoked,
        suites=present.suites,
    )


def _ask(
    data: Path, entry: StateEntry, key: Path, fresh: Signer, signed: bytes, manifest: StateManifest
) -> Succession:
    request = state_request(
        fresh, code=entry.code, name=entry.name, community=manifest.community, documents=[signed]
    )
    write_file(data / SUCCESSION_FILE, codec.encode(request))
    return Succession(
        state=entry.code,
        key=key,
        request=data / SUCCESSION_FILE,
        fingerprint=fingerprint(fresh.public),
        manifest_version=manifest.version,
    )


def _unlisted(state: str) -> SetupError:
    return SetupError(
        f"the directory does not list {state}",
        hint="There is no key to succeed: make the node again, and have governance admit it.",
    )
