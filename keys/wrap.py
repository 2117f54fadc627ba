"""The X-Wing wrap: HPKE base mode to one recipient key, everything bound through ``info``.

Suite 0x0001 of RFC 9180 and draft-ietf-hpke-pq: KEM MLKEM768-X25519 (0x647a), HKDF-SHA256,
AES-256-GCM, single shot. A public key is the ML-KEM-768 key 1184 ‖ X25519 key 32, a sealed
text is the encapsulation 1120 ‖ ciphertext ‖ tag 16. The secret form is only the 32-byte
X-Wing seed, expanded with SHAKE256 (draft-connolly-cfrg-xwing-kem, section 5.2).

HPKE's cipher does not commit to its key. That is harmless here, because the recipient picks
exactly one key by its id, never by trial, and lengths are fixed.
"""

from __future__ import annotations

import hashlib
import secrets
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from protocol.digest import kem_key_id
from protocol.errors import CannotOpen, KeyRefused, LocalProtocolError
from protocol.suite import KEM_PUBLIC_BYTES, WRAP_BYTES, WRAP_PLAINTEXT_BYTES

SEED_BYTES = 32
SEALING_OVERHEAD = WRAP_BYTES - WRAP_PLAINTEXT_BYTES
PARSED_KEYS_KEPT = 512

_MLKEM_PUBLIC_BYTES = 1184
_MLKEM_SEED_BYTES = 64
_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_CANNOT_OPEN = "the wrap does not open with this key and these bindings"


class RecipientKey:
    """An X-Wing secret key. Its text form shows only the id of its public key.

    Attributes:
        public: The 1216-byte public key.
        key_id: The 32-byte id of the public key.
    """

    __slots__ = ("_key", "_seed", "key_id", "public")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise KeyRefused(f"a sealing seed has {SEED_BYTES} bytes; this one has {len(seed)}")
        self._seed = bytes(seed)
        expanded = hashlib.shake_256(self._seed).digest(_MLKEM_SEED_BYTES + 32)
        mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:_MLKEM_SEED_BYTES])
        x25519 = X25519PrivateKey.from_private_bytes(expanded[_MLKEM_SEED_BYTES:])
        self._key = MLKEM768X25519PrivateKey(mlkem, x25519)
        self.public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
        self.key_id = kem_key_id(self.public)

    @staticmethod
    def generate() -> RecipientKey:
        """Return a new key from the operating system's randomness."""
        return RecipientKey(secrets.token_bytes(SEED_BYTES))

    @staticmethod
    def from_seed(seed: bytes) -> RecipientKey:
        """Return the key of a 32-byte X-Wing seed.

        Raises:
            KeyRefused: the seed has another length.
        """
        return RecipientKey(seed)

    @property
    def seed(self) -> bytes:
        """The 32 secret bytes from which the whole key follows."""
        return self._seed

    def unwrap(self, wrapped: bytes, info: bytes) -> bytes:
        """Return the 72 bytes of one wrap.

        Args:
            wrapped: Exactly 1208 bytes; any other length is refused before anything is tried.
            info: The same binding the sender used.

        Raises:
            CannotOpen: for every failure, with no finer reason.
        """
        if len(wrapped) != WRAP_BYTES:
            raise CannotOpen(_CANNOT_OPEN)
        return self.open_sealed(wrapped, info)

    def open_sealed(self, sealed: bytes, info: bytes) -> bytes:
        """Return a text of any length sealed with :func:`seal_to`, such as an officer's note.

        Raises:
            CannotOpen: for every failure, with no finer reason.
        """
        if len(sealed) < SEALING_OVERHEAD:
            raise CannotOpen(_CANNOT_OPEN)
        try:
            return _SUITE.decrypt(sealed, self._key, info)
        except (InvalidTag, ValueError) as error:
            raise CannotOpen(_CANNOT_OPEN) from error

    def __repr__(self) -> str:
        return f"RecipientKey({self.key_id.hex()})"


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
    return _SUITE.encrypt(plaintext, _parsed(bytes(public)), info)


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
