"""Submission and delivery forms of a sealed, signed notice: layout and integrity only.

Members are opaque byte strings, so nothing is encoded again on the way. The coordinator turns
one submission into one delivery per recipient by leaving out the other recipients' wraps.
See ``spec/envelope.md``.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from protocol import codec
from protocol.errors import Tampered
from protocol.fields import Wire, WrapBytes
from protocol.notice import (
    MAX_MANIFEST_BYTES,
    MAX_RECIPIENTS,
    MAX_SEALED_BYTES,
    Header,
    Manifest,
    envelope_id,
    parse_manifest,
)
from protocol.signed import Proof

MAX_SUBMISSION_BYTES = 2 * 1024 * 1024 - 64 * 1024

ManifestBytes = Annotated[bytes, Meta(max_length=MAX_MANIFEST_BYTES)]
SealedBytes = Annotated[bytes, Meta(max_length=MAX_SEALED_BYTES)]


class Submission(Wire, frozen=True, tag="alm1-submission"):
    """What a sender hands to the coordinator: one sealed payload, one wrap per recipient."""

    manifest: ManifestBytes
    proof: Proof
    wraps: Annotated[tuple[WrapBytes, ...], Meta(min_length=1, max_length=MAX_RECIPIENTS)]
    payload: SealedBytes


class Delivery(Wire, frozen=True, tag="alm1-delivery"):
    """What one recipient gets: the same envelope with only its own wrap, number ``index``."""

    manifest: ManifestBytes
    proof: Proof
    index: Annotated[int, Meta(ge=0, lt=MAX_RECIPIENTS)]
    wrap: WrapBytes
    payload: SealedBytes


@dataclass(frozen=True, slots=True)
class Sealed:
    """An envelope's id with its parsed manifest and header.

    Nothing is believed yet: integrity and signature are checked by whoever holds this.
    """

    id: bytes
    manifest: Manifest
    header: Header


def parse_submission(data: bytes) -> tuple[Submission, Sealed]:
    """Parse a submission with its manifest and header; the parts are not compared yet."""
    submission = codec.decode(data, Submission, limit=MAX_SUBMISSION_BYTES, what="submission")
    return submission, _sealed(submission.manifest)


def parse_delivery(data: bytes) -> tuple[Delivery, Sealed]:
    """Parse a delivery with its manifest and header; the parts are not compared yet."""
    delivery = codec.decode(data, Delivery, limit=MAX_SUBMISSION_BYTES, what="delivery")
    return delivery, _sealed(delivery.manifest)


def check_submission_parts(submission: Submission, manifest: Manifest) -> None:
    """Check that wraps and payload are the ones the manifest names.

    Raises:
        Tampered: a part differs.
    """
    hashes = tuple(hashlib.sha256(wrap).digest() for wrap in submission.wraps)
    if hashes != manifest.wrap_hashes:
        raise Tampered("a wrap is not the one that the sender signed")
    _check_payload(submission.payload, manifest)


def check_delivery_parts(delivery: Delivery, manifest: Manifest) -> None:
    """Check that this recipient's wrap and the payload are the ones the manifest names.

    Raises:
        Tampered: a part differs, or there is no recipient with this index.
    """
    if delivery.index >= len(manifest.wrap_hashes):
        # Tampered, not NotAddressed: the index is the coordinator's word, not the sender's.
        raise Tampered("the delivery names a recipient number that the notice does not have")
    if hashlib.sha256(delivery.wrap).digest() != manifest.wrap_hashes[delivery.index]:
        raise Tampered("the wrap is not the one that the sender signed")
    _check_payload(delivery.payload, manifest)


def deliver(submission: Submission, index: int) -> Delivery:
    """Return the delivery form for recipient number ``index``."""
    return Delivery(
        manifest=submission.manifest,
        proof=submission.proof,
        index=index,
        wrap=submission.wraps[index],
        payload=submission.payload,
    )


def _sealed(manifest_bytes: bytes) -> Sealed:
    manifest, header = parse_manifest(manifest_bytes)
    return Sealed(id=envelope_id(manifest_bytes), manifest=manifest, header=header)


def _check_payload(payload: bytes, manifest: Manifest) -> None:
    if len(payload) != manifest.payload_length:
        raise Tampered("the sealed payload has not the length that the sender signed")
    if not hmac.compare_digest(hashlib.sha256(payload).digest(), manifest.payload_hash):
        raise Tampered("the sealed payload is not the one that the sender signed")
