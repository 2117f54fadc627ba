"""Threat 2: whoever breaks one half of a wrap's key exchange has not opened it."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite

from keys.wrap import wrap

SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
INFO = b"everything the wrap is bound to"
CONTENT = bytes(range(72))
SEED = hashlib.shake_256(bytes(range(32))).digest(96)
MLKEM = MLKEM768PrivateKey.from_seed_bytes(SEED[:64])
X25519 = X25519PrivateKey.from_private_bytes(SEED[64:])
PUBLIC = MLKEM.public_key().public_bytes_raw() + X25519.public_key().public_bytes_raw()


def opened(mlkem: MLKEM768PrivateKey, x25519: X25519PrivateKey) -> bytes:
    return SUITE.decrypt(wrap(PUBLIC, INFO, CONTENT), MLKEM768X25519PrivateKey(mlkem, x25519), INFO)


def test_both_halves_together_open() -> None:
    """The control: what the tests below try does open with the whole key."""
    assert opened(MLKEM, X25519) == CONTENT


def test_knowing_the_classical_half_opens_nothing() -> None:
    """A quantum computer gives X25519 away; what was recorded stays closed."""
    with pytest.raises(InvalidTag):
        opened(MLKEM768PrivateKey.generate(), X25519)


def test_knowing_the_lattice_half_opens_nothing() -> None:
    """Nor does a break of ML-KEM alone."""
    with pytest.raises(InvalidTag):
        opened(MLKEM, X25519PrivateKey.generate())
