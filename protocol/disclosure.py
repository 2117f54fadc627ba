"""A disclosure: one notice handed to an auditor with the key that opens it. See ``spec/bundle.md``.

It is not signed: the manifest is signed by the notice's sender, names the sealed bytes by their
hash, and those commit to one key. It opens this notice and no other.
"""

from __future__ import annotations

from protocol import codec
from protocol.envelope import ManifestBytes, SealedBytes
from protocol.fields import Bytes32, Wire
from protocol.notice import MAX_MANIFEST_BYTES, MAX_SEALED_BYTES, Header, Manifest, parse_manifest
from protocol.signed import Proof

MAX_DISCLOSURE_BYTES = MAX_SEALED_BYTES + MAX_MANIFEST_BYTES + 8192


class Disclosure(Wire, frozen=True, tag="alm1-disclosure"):
    """The signed manifest, the sealed payload, and the 32-byte content key. Keep it as secret as the text."""

    manifest: ManifestBytes
    proof: Proof
    payload: SealedBytes
    content_key: Bytes32


def parse_disclosure(data: bytes) -> tuple[Disclosure, Manifest, Header]:
    """Parse a disclosure; nothing is verified or opened.

    Raises:
        FormatError: it is not well formed.
    """
    disclosure = codec.decode(data, Disclosure, limit=MAX_DISCLOSURE_BYTES, what="disclosure")
    return (disclosure, *parse_manifest(disclosure.manifest))
