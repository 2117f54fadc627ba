"""Submission and delivery: opaque parts that must be the ones that were signed."""

from __future__ import annotations

import msgspec
import pytest

from protocol import codec
from protocol.envelope import (
    MAX_SUBMISSION_BYTES,
    Delivery,
    Submission,
    check_delivery_parts,
    check_submission_parts,
    deliver,
    parse_delivery,
    parse_submission,
)
from protocol.errors import FormatError, NotCanonical, Tampered, TooLarge
from protocol.notice import (
    MAX_MANIFEST_BYTES,
    MAX_RECIPIENTS,
    MAX_SEALED_BYTES,
    Manifest,
    envelope_id,
    parse_manifest,
)
from tests.vectors import examples
from tests.vectors.world import packed

SUBMISSION = examples.submission()
MANIFEST = examples.manifest_and_header()[0]


def changed(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def test_a_submission_comes_back_with_its_id() -> None:
    """The id is that of the manifest's received bytes."""
    submission, sealed = parse_submission(codec.encode(SUBMISSION))
    assert submission == SUBMISSION
    assert sealed.id == envelope_id(SUBMISSION.manifest)
    check_submission_parts(submission, sealed.manifest)


def test_a_delivery_carries_the_same_bytes_and_one_wrap() -> None:
    """Nothing is encoded again on the way, so the id stays."""
    delivery, sealed = parse_delivery(codec.encode(deliver(SUBMISSION, 0)))
    assert (delivery.manifest, delivery.proof) == (SUBMISSION.manifest, SUBMISSION.proof)
    assert (delivery.wrap, delivery.payload) == (SUBMISSION.wraps[0], SUBMISSION.payload)
    assert sealed.id == envelope_id(SUBMISSION.manifest)
    check_delivery_parts(delivery, sealed.manifest)


def test_one_form_is_not_taken_for_the_other() -> None:
    """Each has its tag."""
    with pytest.raises(FormatError):
        parse_delivery(codec.encode(SUBMISSION))
    with pytest.raises(FormatError):
        parse_submission(codec.encode(deliver(SUBMISSION, 0)))


def test_a_changed_or_missing_part_of_a_submission_is_tampering() -> None:
    """Whatever the signature says."""
    for bad in (
        msgspec.structs.replace(SUBMISSION, wraps=(changed(SUBMISSION.wraps[0]),)),
        msgspec.structs.replace(SUBMISSION, wraps=SUBMISSION.wraps * 2),
        msgspec.structs.replace(SUBMISSION, payload=changed(SUBMISSION.payload)),
        msgspec.structs.replace(SUBMISSION, payload=SUBMISSION.payload[:-1]),
        msgspec.structs.replace(SUBMISSION, payload=b""),
    ):
        with pytest.raises(Tampered):
            check_submission_parts(bad, MANIFEST)


def test_a_changed_part_of_a_delivery_is_tampering() -> None:
    """Also a recipient number that does not exist: it is the coordinator's word, not the sender's."""
    delivery = deliver(SUBMISSION, 0)
    for bad in (
        msgspec.structs.replace(delivery, wrap=changed(delivery.wrap)),
        msgspec.structs.replace(delivery, payload=changed(delivery.payload)),
        msgspec.structs.replace(delivery, index=1),
        msgspec.structs.replace(delivery, index=199),
    ):
        with pytest.raises(Tampered):
            check_delivery_parts(bad, MANIFEST)


def test_the_header_inside_must_be_canonical_too() -> None:
    """A manifest in order may hold a header that is not."""
    inside = MANIFEST.header[:1] + b"\xcc\x01" + MANIFEST.header[2:]
    bad = packed(msgspec.structs.replace(MANIFEST, header=inside))
    with pytest.raises(NotCanonical):
        parse_submission(packed(msgspec.structs.replace(SUBMISSION, manifest=bad)))


def test_a_wrap_of_another_length_is_no_submission() -> None:
    """Fixed lengths leave nothing to try."""
    for wrap in (SUBMISSION.wraps[0][:-1], SUBMISSION.wraps[0] + b"\0", b""):
        with pytest.raises(FormatError):
            parse_submission(packed(msgspec.structs.replace(SUBMISSION, wraps=(wrap,))))


def test_the_largest_submission_fits_its_limit_and_a_larger_one_is_not_parsed() -> None:
    """Two hundred wraps, the longest payload, the longest manifest."""
    proof = msgspec.structs.replace(SUBMISSION.proof, index=255, size=256, path=(bytes(32),) * 8)
    largest = Submission(
        manifest=bytes(MAX_MANIFEST_BYTES),
        proof=proof,
        wraps=SUBMISSION.wraps * MAX_RECIPIENTS,
        payload=bytes(MAX_SEALED_BYTES),
    )
    assert len(codec.encode(largest)) <= MAX_SUBMISSION_BYTES
    with pytest.raises(TooLarge):
        parse_submission(bytes(MAX_SUBMISSION_BYTES + 1))
    with pytest.raises(TooLarge):
        parse_delivery(bytes(MAX_SUBMISSION_BYTES + 1))


def test_a_parsed_envelope_knows_the_manifest_it_came_with() -> None:
    """Verified bytes and parsed bytes are one object."""
    delivery, sealed = parse_delivery(packed(examples.delivery()))
    assert isinstance(delivery, Delivery)
    assert isinstance(sealed.manifest, Manifest)
    assert parse_manifest(delivery.manifest) == (sealed.manifest, sealed.header)
