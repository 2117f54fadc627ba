"""What a node keeps secret at rest in its store: content, notes and content keys.

AES-256-GCM under one vault key with a random nonce per item; the associated data names what
the item is and which row it belongs to, so rows cannot be swapped.
"""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol.errors import KeyRefused, StoreFailed

VAULT_KEY_BYTES = 32
_NONCE_BYTES = 12


class Vault:
    """Locks and unlocks single items with one 32-byte key.

    A random 96-bit nonce is safe for some 2^32 items per key (NIST SP 800-38D, section 8.3); a
    node that stores a thousand items an hour reaches that in 490 years.

    Raises:
        KeyRefused: the key has another length; a shorter one would silently be AES-128.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != VAULT_KEY_BYTES:
            raise KeyRefused(f"a vault key has {VAULT_KEY_BYTES} bytes; this one has {len(key)}")
        self._cipher = AESGCM(key)

    def lock(self, kind: str, row: bytes, plaintext: bytes) -> bytes:
        """Return the item locked for this kind and row."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plaintext, _bound(kind, row))

    def unlock(self, kind: str, row: bytes, locked: bytes) -> bytes:
        """Return the item's plaintext.

        Raises:
            StoreFailed: the item was altered, swapped, or locked with another vault key.
        """
        try:
            return self._cipher.decrypt(locked[:_NONCE_BYTES], locked[_NONCE_BYTES:], _bound(kind, row))
        except (InvalidTag, ValueError) as error:
            raise StoreFailed(
                f"a stored {kind} does not open with this node's vault key",
                hint="The store or the vault key was altered or replaced. Restore both from one backup.",
            ) from error


def _bound(kind: str, row: bytes) -> bytes:
    return b"almenara/1/vault\0" + kind.encode("ascii") + b"\0" + row
