"""The X-Wing wrap: HPKE base mode to one recipient key, everything bound through ``info``.

Suite 0x0001 of RFC 9180 and draft-ietf-hpke-pq: KEM MLKEM768-X25519 (0x647a), HKDF-SHA256,
AES-256-GCM, single shot. A public key is the ML-KEM-768 key 1184 ‖ X25519 key 32, a sealed
text is the encapsulation 1120 ‖ ciphertext ‖ tag 16. This is the half that needs no secret; the
other is :mod:`keys.opening`.

HPKE's cipher does not commit to its key. That is harmless here, because the recipient picks
exactly one key by its id, never by trial, and lengths are fixed.
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PublicKey,
    Suite,
)

from protocol.errors import KeyRefused, LocalProtocolError
from protocol.suite import KEM_PUBLIC_BYTES, WRAP_BYTES, WRAP_PLAINTEXT_BYTES

HPKE_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
SEALING_OVERHEAD = WRAP_BYTES - WRAP_PLAINTEXT_BYTES
PARSED_KEYS_KEPT = 512

_MLKEM_PUBLIC_BYTES = 1184


def wrap(public: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Return the 1208-byte wrap of exactly 72 bytes to one recipient key.

    Raises:
        KeyRefused: the recipient's key is not admitted.
        LocalProtocolError: the plaintext has another length.
    """
    if len(plaintext) != WRAP_PLAINTEXT_BYTES:
        raise LocalProtocolError(f"a wrap holds exactly {WRAP_PLAINTEXT_BYTES} bytes, not {len(plaintext)}")
    return seal_to(public, info, plaintext)


def seal_to(public: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Return ``plaintext`` of any length sealed to one recipient key; it grows by 1136 bytes.

    Every call draws a fresh encapsulation, so one text sealed twice gives two results.

    Raises:
        KeyRefused: the recipient's key is not admitted.
    """
    return HPKE_SUITE.encrypt(plaintext, _parsed(bytes(public)), info)


def admit_recipient(public: bytes) -> None:
    """Refuse a public key to which nothing could be sealed.

    Raises:
        KeyRefused: wrong length, ML-KEM coefficients out of range (FIPS 203, section 7.2), or
            an X25519 half of small order.
    """
    _parsed(bytes(public))


@lru_cache(maxsize=PARSED_KEYS_KEPT)
def _parsed(public: bytes) -> MLKEM768X25519PublicKey:
    """Parse once per key; a refusal raises, and is therefore never kept."""
    if len(public) != KEM_PUBLIC_BYTES:
        raise KeyRefused(f"a sealing key has {KEM_PUBLIC_BYTES} bytes; this one has {len(public)}")
    try:
        mlkem = MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC_BYTES])
        x25519 = X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC_BYTES:])
        # A point of small order makes every exchange all zero, which OpenSSL refuses.
        X25519PrivateKey.from_private_bytes(b"\x40" * 32).exchange(x25519)
    except ValueError as error:
        raise KeyRefused("the sealing key cannot be loaded or is of small order") from error
    return MLKEM768X25519PublicKey(mlkem, x25519)
