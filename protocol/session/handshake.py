"""What the two signed hellos cover.

Each side signs the same facts with its own mark: the node's hello as sent, the chosen version,
the coordinator's nonce, and both TLS certificates *as that side saw them*. A relay with another
certificate, a reflected signature or a stripped version list therefore fails.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

from msgspec import Meta

from protocol import codec
from protocol.fields import U16, Bytes32, Millis, StateCode, Wire
from protocol.session.table import Side


class Transcript(Wire, frozen=True, tag="alm1-session"):
    """The bytes that both sides sign, with ``side`` telling them apart."""

    side: Annotated[str, Meta(max_length=16)]
    hello_hash: Bytes32
    version: U16
    coordinator: StateCode
    nonce: Bytes32
    time_ms: Millis
    node_certificate: Bytes32
    coordinator_certificate: Bytes32


class Certificates(Wire, frozen=True):
    """SHA-256 of the two ends' TLS certificates in DER, as seen on this connection."""

    node: Bytes32
    coordinator: Bytes32


def transcript(
    side: Side,
    hello: bytes,
    version: int,
    coordinator: str,
    nonce: bytes,
    time_ms: int,
    certificates: Certificates,
) -> bytes:
    """Return the bytes that ``side`` signs with the context ``almenara/1/session``.

    Args:
        side: Who signs.
        hello: The Hello message exactly as it was sent.
        version: The version that the coordinator chose.
        coordinator: The coordinator's code.
        nonce: The coordinator's 32-byte nonce.
        time_ms: The coordinator's time in the challenge, milliseconds UTC.
        certificates: Both certificates' hashes as the signer sees them.
    """
    return codec.encode(
        Transcript(
            side=side.value,
            hello_hash=hashlib.sha256(hello).digest(),
            version=version,
            coordinator=coordinator,
            nonce=nonce,
            time_ms=time_ms,
            node_certificate=certificates.node,
            coordinator_certificate=certificates.coordinator,
        )
    )
