"""The secret half of the X-Wing wrap: the key to which others seal. See :mod:`keys.wrap`.

The secret form is only the 32-byte X-Wing seed, expanded with SHAKE256
(draft-connolly-cfrg-xwing-kem, section 5.2). The code of a node that speaks to the network cannot
reach this module: opening is the work of a process of its own (``protocol/decisions/0021``).
"""

from __future__ import annotations

import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey

from keys.wrap import HPKE_SUITE, SEALING_OVERHEAD
from protocol.digest import kem_key_id
from protocol.errors import CannotOpen, KeyRefused
from protocol.suite import WRAP_BYTES

SEED_BYTES = 32
_MLKEM_SEED_BYTES = 64
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
            return HPKE_SUITE.decrypt(sealed, self._key, info)
        except (InvalidTag, ValueError) as error:
            raise CannotOpen(_CANNOT_OPEN) from error

    def __repr__(self) -> str:
        return f"RecipientKey({self.key_id.hex()})"
