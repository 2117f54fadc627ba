"""The bare cryptography of a notice: exactly its operations, called on ``cryptography`` without us.

Not counted as bare, so that it counts as ours: hashing, batch trees, TLS, and the locking of what a
node keeps on its disk.
"""

from __future__ import annotations

import os

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

_CONTEXT = b"COMPSIG-MLDSA65-Ed25519-SHA512"
_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
# As long as the real ones: content key and position; its bindings; the payload's; what is signed.
_WRAPPED = bytes(72)
_INFO = bytes(118)
_PAYLOAD_INFO = bytes(122)
_COVERED_BYTES = 32 + 30 + 1 + 17 + 64


class Bare:
    """The operations, with keys loaded beforehand as a running process has them.

    Args:
        body_bytes: Length of the padded body, below one chunk of 16 KiB.
    """

    def __init__(self, body_bytes: int) -> None:
        self._mldsa, self._ed25519 = MLDSA65PrivateKey.generate(), Ed25519PrivateKey.generate()
        self._mldsa_public, self._ed25519_public = self._mldsa.public_key(), self._ed25519.public_key()
        self._kem = MLKEM768X25519PrivateKey(MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())
        self._kem_public = self._kem.public_key()
        self._covered = bytes(_COVERED_BYTES)
        self._mldsa_half = self._mldsa.sign(self._covered, _CONTEXT)
        self._ed25519_half = self._ed25519.sign(self._covered)
        self._wrapped = _SUITE.encrypt(_WRAPPED, self._kem_public, _INFO)
        self._key, self._nonce, self._body = os.urandom(32), os.urandom(12), bytes(body_bytes)
        self._sealed = self._cipher().encrypt(self._nonce, self._body, None)

    def sign(self) -> None:
        """Make one composite signature."""
        self._mldsa.sign(self._covered, _CONTEXT)
        self._ed25519.sign(self._covered)

    def verify(self) -> None:
        """Verify one composite signature."""
        self._ed25519_public.verify(self._ed25519_half, self._covered)
        self._mldsa_public.verify(self._mldsa_half, self._covered, _CONTEXT)

    def wrap(self) -> None:
        """Wrap a content key for one recipient."""
        _SUITE.encrypt(_WRAPPED, self._kem_public, _INFO)

    def unwrap(self) -> None:
        """Unwrap a content key."""
        _SUITE.decrypt(self._wrapped, self._kem, _INFO)

    def seal_payload(self) -> None:
        """Derive the payload's keys and encrypt it."""
        self._cipher().encrypt(self._nonce, self._body, None)

    def open_payload(self) -> None:
        """Derive the payload's keys and decrypt it."""
        self._cipher().decrypt(self._nonce, self._sealed, None)

    def _cipher(self) -> AESGCM:
        return AESGCM(HKDFExpand(hashes.SHA512(), 76, _PAYLOAD_INFO).derive(self._key)[:32])
