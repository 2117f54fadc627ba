"""A state's identity key succeeded by another, without a moment in which nothing of the state counts.

The next manifest is signed by both keys and published while the old one is still listed. Then
governance lists the new key, and that manifest counts on. A state that has lost its identity key
cannot do this: it makes a request as at the beginning, and the custodians replace the key.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exchange.setup.amending import Amendment
from exchange.setup.files import write_file
from exchange.setup.joining import SUCCESSION_FILE
from exchange.setup.keyring import Protect, new_signer
from exchange.setup.node import MANIFEST_LIFE_MS
from keys.documents import sign_document
from keys.enrolment import fingerprint, next_manifest, state_request
from keys.signer import Signer
from protocol import codec
from protocol.documents import Role, StateManifest
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
        raise SetupError(
            f"the directory does not list {amendment.state}",
            hint="There is no key to succeed: make the node again, and have governance admit it.",
        )
    fresh = new_signer(key, f"{entry.code} identity", Role.IDENTITY, protect(), amendment.now_ms)
    manifest = _manifest(amendment)
    data = sign_document(manifest, [amendment.identity, fresh])
    request = _request(amendment, fresh, entry.name, data)
    # The request first: without it, nobody could ask for the key that the manifest is signed with.
    write_file(amendment.place.path / SUCCESSION_FILE, request)
    await amendment.publish_signed(data, manifest)
    return Succession(
        state=entry.code,
        key=key,
        request=amendment.place.path / SUCCESSION_FILE,
        fingerprint=fingerprint(fresh.public),
        manifest_version=manifest.version,
    )


def _manifest(amendment: Amendment) -> StateManifest:
    held = amendment.held
    present = held.document
    return next_manifest(
        held,
        state=amendment.state,
        community=amendment.directory.community,
        keys=present.keys,
        certificates=present.certificates,
        now_ms=amendment.now_ms,
        life_ms=MANIFEST_LIFE_MS,
        revoked=present.revoked,
        suites=present.suites,
    )


def _request(amendment: Amendment, fresh: Signer, name: str, manifest: bytes) -> bytes:
    request = state_request(
        fresh,
        code=amendment.state,
        name=name,
        community=amendment.directory.community,
        documents=[manifest],
    )
    return codec.encode(request)
