"""The raw keys of logs and witnesses."""

from __future__ import annotations

from dataclasses import replace as with_fields

import msgspec
import pytest

from keys.note_keys import (
    NoteRole,
    NoteSecret,
    log_keys_of,
    verify_possession,
    verify_signature,
    witness_keys_of,
)
from keys.signature import SMALL_ORDER_ENCODINGS
from protocol.errors import BadSignature, KeyRefused
from protocol.ledger.checkpoint import Checkpoint
from protocol.ledger.note import NoteSignature, SignatureType, VerifierKey
from protocol.ledger.origins import Log
from tests.community import HUB, log_keys, note_secret, witness_keys

COMMUNITY = bytes(range(32))
SECONDS = 1_772_334_000
POINT = Checkpoint("hub.example/almenara/ack", 9, bytes(range(32, 64)))


def pairs() -> list[tuple[VerifierKey, NoteSignature]]:
    """Return every kind of signature over the checkpoint, with the key it is by."""
    witness, log = note_secret("XAA"), note_secret(HUB)
    cosigned = witness.cosign(POINT, "almenara/test/XAA", SECONDS)
    return [
        *zip(log_keys_of(log_keys(HUB, COMMUNITY), Log.ACK), log.sign_log(POINT, SECONDS), strict=True),
        *zip(witness_keys_of(witness_keys("XAA", COMMUNITY)), cosigned, strict=True),
    ]


def test_each_signature_verifies_and_states_its_time() -> None:
    """Type 0x01 states none; the others state when they were made."""
    assert [key.type for key, _ in pairs()] == [
        SignatureType.ED25519,
        SignatureType.MLDSA44,
        SignatureType.COSIGNATURE_ED25519,
        SignatureType.MLDSA44,
    ]
    assert [verify_signature(key, POINT, one) for key, one in pairs()] == [0, SECONDS, SECONDS, SECONDS]


@pytest.mark.parametrize("number", range(4))
def test_a_signature_covers_origin_size_and_root(number: int) -> None:
    """Any other checkpoint is another sentence."""
    key, signature = pairs()[number]
    for other in (
        with_fields(POINT, size=10),
        with_fields(POINT, root=bytes(32)),
        with_fields(POINT, origin="hub.example/almenara/dir"),
    ):
        with pytest.raises(BadSignature):
            verify_signature(key, other, signature)


@pytest.mark.parametrize("number", range(4))
def test_a_signature_with_any_byte_changed_is_refused(number: int) -> None:
    """The stated time is covered like the rest."""
    key, signature = pairs()[number]
    for place in range(0, len(signature.signature), 61):
        spoilt = bytearray(signature.signature)
        spoilt[place] ^= 1
        with pytest.raises(BadSignature):
            verify_signature(key, POINT, with_fields(signature, signature=bytes(spoilt)))
    for cut in (b"", signature.signature[:-1], signature.signature + b"\0"):
        with pytest.raises(BadSignature):
            verify_signature(key, POINT, with_fields(signature, signature=cut))


def test_one_signature_is_not_taken_for_another() -> None:
    """A log's word is no witness's, and an Ed25519 key no ML-DSA-44 key."""
    for key, _ in pairs():
        for other, signature in pairs():
            if key != other:
                with pytest.raises(BadSignature):
                    verify_signature(key, POINT, signature)


def test_possession_is_proved_for_one_party_role_name_and_community() -> None:
    """Nobody can claim another's keys, nor its own for something else."""
    keys = witness_keys("XAA", COMMUNITY)
    verify_possession(keys, "XAA", NoteRole.WITNESS, COMMUNITY)
    other = note_secret("XBB")
    for wrong, party, role, community in (
        (keys, "XBB", NoteRole.WITNESS, COMMUNITY),
        (keys, "XAA", NoteRole.LOG, COMMUNITY),
        (keys, "XAA", NoteRole.WITNESS, bytes(32)),
        (msgspec.structs.replace(keys, name="almenara/test/XBB"), "XAA", NoteRole.WITNESS, COMMUNITY),
        (msgspec.structs.replace(keys, ed25519=other.ed25519), "XAA", NoteRole.WITNESS, COMMUNITY),
        (msgspec.structs.replace(keys, mldsa44=other.mldsa44), "XAA", NoteRole.WITNESS, COMMUNITY),
    ):
        with pytest.raises(BadSignature):
            verify_possession(wrong, party, role, community)


@pytest.mark.parametrize("encoding", sorted(SMALL_ORDER_ENCODINGS))
def test_a_point_of_small_order_is_no_key(encoding: bytes) -> None:
    """It would accept one signature for every checkpoint."""
    keys = msgspec.structs.replace(witness_keys("XAA", COMMUNITY), ed25519=encoding)
    with pytest.raises(KeyRefused):
        verify_possession(keys, "XAA", NoteRole.WITNESS, COMMUNITY)


def test_a_seed_gives_the_same_keys_again_and_shows_nothing() -> None:
    """The key file keeps the seed alone; no log line may show it."""
    made = NoteSecret.generate()
    again = NoteSecret.from_seed(made.seed)
    assert (again.ed25519, again.mldsa44) == (made.ed25519, made.mldsa44)
    assert made.seed.hex() not in repr(made)
    with pytest.raises(KeyRefused):
        NoteSecret(bytes(63))
