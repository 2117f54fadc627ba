"""Locking under a key that lives for a day's traffic and is then destroyed.

AES-256-GCM with a random nonce: ``nonce 12 || ciphertext || tag 16``. What is locked is bound, as
associated data, to the state and the UTC day that it belongs to.
"""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol.digest import tag
from protocol.errors import CannotOpen, KeyRefused

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16


def seed_bound(state: str, day: str) -> bytes:
    """Return what a locked prekey seed is bound to: ``almenara/1/prekey``, 0, state, ``|``, day."""
    return tag("prekey") + f"{state}|{day}".encode("ascii")


def day_key_bound(state: str, day: str) -> bytes:
    """Return what a day's wrapping key is bound to where it is kept in a file."""
    return tag("day-key") + f"{state}|{day}".encode("ascii")


def lock(key: bytes, bound: bytes, secret: bytes) -> bytes:
    """Return ``secret`` locked under a 32-byte key.

    Raises:
        KeyRefused: the key has another length; a shorter one would silently be AES-128.
    """
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + _cipher(key).encrypt(nonce, secret, bound)


def unlock(key: bytes, bound: bytes, locked: bytes) -> bytes:
    """Return what was locked.

    Raises:
        KeyRefused: the key has another length.
        CannotOpen: it was altered, or locked under another key or for another state or day.
    """
    try:
        return _cipher(key).decrypt(locked[:NONCE_BYTES], locked[NONCE_BYTES:], bound)
    except (InvalidTag, ValueError) as error:
        raise CannotOpen("what is stored does not open with the key of its day") from error


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise KeyRefused(f"a day's key has {KEY_BYTES} bytes; this one has {len(key)}")
    return AESGCM(key)
