"""Tagged SHA-256: every hash in the protocol says what it is a hash of.

``tagged(label, part, ...) = SHA-256("almenara/1/" label 0x00 part ...)``. Parts are of fixed
length, or last, so concatenation is unambiguous.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

KEY_IDS_KEPT = 1024
TAGS_KEPT = 64

PREFIX = b"almenara/1/"
KEM_MLKEM768_X25519 = 0x647A


def tagged(label: str, *parts: bytes) -> bytes:
    """Return the 32-byte tagged hash of ``parts`` under ``label``."""
    digest = hashlib.sha256(tag(label))
    for part in parts:
        digest.update(part)
    return digest.digest()


@lru_cache(maxsize=TAGS_KEPT)
def tag(label: str) -> bytes:
    """Return the domain-separation prefix: ``almenara/1/``, the label, and a zero byte."""
    return PREFIX + label.encode("ascii") + b"\0"


@lru_cache(maxsize=KEY_IDS_KEPT)
def signing_key_id(public_key: bytes) -> bytes:
    """Return the 32-byte id of a 1984-byte composite public key."""
    return tagged("sig", b"COMPSIG-MLDSA65-Ed25519-SHA512\0", public_key)


@lru_cache(maxsize=KEY_IDS_KEPT)
def kem_key_id(public_key: bytes) -> bytes:
    """Return the 32-byte id of a 1216-byte X-Wing public key."""
    return tagged("kem", KEM_MLKEM768_X25519.to_bytes(2, "big"), public_key)


@lru_cache(maxsize=KEY_IDS_KEPT)
def note_key_id(public_key: bytes) -> bytes:
    """Return the 32-byte id by which a raw key of a log or witness has one owner."""
    return tagged("note-key", public_key)


def note_name_id(name: str) -> bytes:
    """Return the 32-byte id by which the name of a log or witness has one owner."""
    return tagged("note-name", name.encode("ascii"))


def certificate_id(der: bytes) -> bytes:
    """Return SHA-256 of a TLS certificate in DER, as pinned in the directory."""
    return hashlib.sha256(der).digest()
