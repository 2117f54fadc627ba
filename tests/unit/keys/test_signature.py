"""The composite signature: both halves, the draft's own vectors, and which keys are admitted."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from keys.signature import SMALL_ORDER_ENCODINGS, PublicKey, SecretKey, admit_ed25519
from protocol.digest import signing_key_id
from protocol.errors import BadSignature, KeyRefused, LocalProtocolError
from tests.unit.keys.vectors import outside_vectors, own_scenarios

SECRET = SecretKey.from_seed(bytes(range(64)))
PUBLIC = PublicKey.from_bytes(SECRET.public)
LABEL = b"almenara/1/notice"
FIELD_PRIME = 2**255 - 19

# Points of order 1, 2, 4 and 8 with either sign bit, and the same with y + p where that fits.
LOW_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]


def with_ed25519(encoding: bytes) -> bytes:
    """Return a real composite key whose Ed25519 half is replaced."""
    return SECRET.public[:1952] + encoding


def test_what_is_signed_verifies_under_the_same_label() -> None:
    """The plain round trip."""
    PUBLIC.verify(SECRET.sign(b"message", LABEL), b"message", LABEL)


@pytest.mark.parametrize(("message", "label"), [(b"massage", LABEL), (b"message", b"almenara/1/root")])
def test_another_message_or_label_does_not_verify(message: bytes, label: bytes) -> None:
    """A signature covers exactly its message and its label."""
    signature = SECRET.sign(b"message", LABEL)
    with pytest.raises(BadSignature):
        PUBLIC.verify(signature, message, label)


def test_a_longer_label_cannot_borrow_bytes_from_the_message() -> None:
    """The label's length is part of what is signed."""
    signature = SECRET.sign(b"message", b"ab")
    with pytest.raises(BadSignature):
        PUBLIC.verify(signature, b"message", b"a")


@pytest.mark.parametrize("half", [slice(0, 3309), slice(3309, 3373)])
def test_neither_half_is_enough_alone(half: slice) -> None:
    """Each half of another message's signature spoils the whole."""
    signature = bytearray(SECRET.sign(b"message", LABEL))
    signature[half] = SECRET.sign(b"other", LABEL)[half]
    with pytest.raises(BadSignature):
        PUBLIC.verify(bytes(signature), b"message", LABEL)


@pytest.mark.parametrize("position", [0, 1700, 3308, 3309, 3340, 3372])
def test_a_changed_byte_of_the_signature_is_noticed(position: int) -> None:
    """No byte of either half is idle."""
    signature = bytearray(SECRET.sign(b"message", LABEL))
    signature[position] ^= 1
    with pytest.raises(BadSignature):
        PUBLIC.verify(bytes(signature), b"message", LABEL)


@pytest.mark.parametrize("length", [0, 64, 3309, 3372, 3374])
def test_a_signature_of_another_length_is_refused(length: int) -> None:
    """A stripped signature, of one half only, is no signature."""
    signature = (SECRET.sign(b"message", LABEL) + b"\0")[:length]
    with pytest.raises(BadSignature):
        PUBLIC.verify(signature, b"message", LABEL)


def test_two_signatures_of_one_message_differ_and_both_verify() -> None:
    """ML-DSA signing is hedged: nothing may be named by its signature."""
    first, second = SECRET.sign(b"message", LABEL), SECRET.sign(b"message", LABEL)
    assert first != second
    PUBLIC.verify(first, b"message", LABEL)
    PUBLIC.verify(second, b"message", LABEL)


def test_a_label_longer_than_its_length_byte_is_our_bug() -> None:
    """The draft allows contexts of at most 255 bytes."""
    with pytest.raises(LocalProtocolError):
        SECRET.sign(b"message", bytes(256))
    SECRET.sign(b"message", bytes(255))


@pytest.mark.parametrize("encoding", LOW_ORDER)
def test_a_small_order_ed25519_half_is_refused(encoding: str) -> None:
    """Such a key would accept one fixed signature for every message."""
    with pytest.raises(KeyRefused):
        PublicKey.from_bytes(with_ed25519(bytes.fromhex(encoding)))


def test_the_table_of_small_order_points_is_complete() -> None:
    """The file's table and this one agree, and hold every spelling of each point's y."""
    assert {bytes.fromhex(encoding) for encoding in LOW_ORDER} == SMALL_ORDER_ENCODINGS
    heights = {int.from_bytes(each, "little") % 2**255 % FIELD_PRIME for each in SMALL_ORDER_ENCODINGS}
    spellings = {
        (y + shift + sign).to_bytes(32, "little")
        for y in heights
        for shift in (0, FIELD_PRIME)
        for sign in (0, 2**255)
        if y + shift < 2**255
    }
    assert spellings == SMALL_ORDER_ENCODINGS


@pytest.mark.parametrize("y", range(FIELD_PRIME, 2**255))
@pytest.mark.parametrize("sign", [0, 2**255])
def test_a_non_canonical_ed25519_half_is_refused(y: int, sign: int) -> None:
    """RFC 8032 section 5.1.3: decoding fails where y is not below p."""
    with pytest.raises(KeyRefused):
        PublicKey.from_bytes(with_ed25519((y + sign).to_bytes(32, "little")))


@pytest.mark.parametrize("length", [0, 32, 1952, 1983, 1985])
def test_a_public_key_of_another_length_is_refused(length: int) -> None:
    """Half a composite key is no key."""
    with pytest.raises(KeyRefused):
        PublicKey.from_bytes((SECRET.public + b"\0")[:length])


def test_a_bare_ed25519_key_of_another_length_is_refused() -> None:
    """The admission check also serves plain Ed25519 keys."""
    with pytest.raises(KeyRefused):
        admit_ed25519(SECRET.public[1952:-1])


def test_a_refused_key_is_refused_again() -> None:
    """The memory of parsed keys keeps no refusal and no way round one."""
    raw = with_ed25519(bytes(32))
    for _ in range(2):
        with pytest.raises(KeyRefused):
            PublicKey.from_bytes(raw)


@pytest.mark.parametrize("length", [0, 32, 63, 65])
def test_a_seed_of_another_length_is_refused(length: int) -> None:
    """A secret key is exactly its two seeds."""
    with pytest.raises(KeyRefused):
        SecretKey.from_seed(bytes(length))


def test_a_seed_gives_the_same_key_again() -> None:
    """The seed is the whole of the secret key."""
    fresh = SecretKey.generate()
    again = SecretKey.from_seed(fresh.seed)
    assert again.public == fresh.public
    assert fresh.seed != SecretKey.generate().seed


def test_text_forms_show_the_key_id_and_no_secret() -> None:
    """A key that reaches a log tells only which key it is."""
    assert repr(SECRET) == f"SecretKey({signing_key_id(SECRET.public).hex()})"
    assert repr(PUBLIC) == f"PublicKey({signing_key_id(SECRET.public).hex()})"
    assert SECRET.seed.hex() not in f"{SECRET!r}{SECRET}"


def test_equal_keys_compare_equal() -> None:
    """Parsed keys stand for their bytes."""
    assert PublicKey(SECRET.public) == PUBLIC
    assert len({PublicKey(SECRET.public), PUBLIC}) == 1
    assert PublicKey.from_bytes(SecretKey.generate().public) != PUBLIC


@pytest.mark.parametrize("scenario", own_scenarios("signature"))
def test_our_own_vectors(scenario: dict[str, Any]) -> None:
    """Each file names the layer that must refuse, or none."""
    public, signature = bytes.fromhex(scenario["public"]), bytes.fromhex(scenario["signature"])
    message, label = bytes.fromhex(scenario["message"]), scenario["label"].encode()
    if scenario["layer"] == "admission":
        with pytest.raises(KeyRefused):
            PublicKey.from_bytes(public)
    elif scenario["layer"] == "signature":
        with pytest.raises(BadSignature):
            PublicKey.from_bytes(public).verify(signature, message, label)
    else:
        assert scenario["layer"] == "none"
        assert SecretKey.from_seed(bytes.fromhex(scenario["seed"])).public == public
        PublicKey.from_bytes(public).verify(signature, message, label)


def test_the_drafts_own_vectors_verify() -> None:
    """lamps-wg/draft-composite-sigs: with and without a context, and the key from its seed."""
    vectors = outside_vectors("composite-mldsa65-ed25519.json")
    message, label = (base64.b64decode(vectors[name]) for name in ("m", "ctx"))
    (case,) = vectors["tests"]
    public = PublicKey.from_bytes(base64.b64decode(case["pk"]))
    assert SecretKey.from_seed(base64.b64decode(case["sk"])).public == public.raw
    public.verify(base64.b64decode(case["s"]), message, b"")
    public.verify(base64.b64decode(case["sWithContext"]), message, label)
    with pytest.raises(BadSignature):
        public.verify(base64.b64decode(case["s"]), message, label)


def test_every_low_order_key_of_the_community_vectors_is_refused() -> None:
    """C2SP/CCTV: the 14 encodings that OpenSSL loads and that verify forged signatures."""
    cases = outside_vectors("cctv-ed25519.json")
    low = {case["key"] for case in cases if "low_order_A" in (case["flags"] or ())}
    assert len(low) == 14
    for encoding in low:
        with pytest.raises(KeyRefused):
            PublicKey.from_bytes(with_ed25519(bytes.fromhex(encoding)))
