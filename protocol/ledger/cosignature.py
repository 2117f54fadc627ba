"""What a timestamped signature over a checkpoint covers (C2SP tlog-cosignature).

The time is the signer's own, in whole seconds since 1970 (POSIX), and is always stated: zero,
which C2SP keeps for signers that say nothing about time, is refused.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from protocol.errors import FormatError
from protocol.fields import MAX_MILLIS
from protocol.ledger.checkpoint import Checkpoint
from protocol.ledger.note import SignatureType, require_name

SIGNATURE_BYTES: dict[SignatureType, int] = {
    SignatureType.COSIGNATURE_ED25519: 64,
    SignatureType.MLDSA44: 2420,
}

_LABEL = b"subtree/v1\n\0"
_TIME = struct.Struct(">Q")
_RANGE = struct.Struct(">QQ")


class Timestamped(NamedTuple):
    """A signature, and the time that it states and covers, in seconds."""

    seconds: int
    signature: bytes


def ed25519_message(checkpoint: Checkpoint, seconds: int) -> bytes:
    """Return what an Ed25519 cosignature (type 0x04) covers.

    It does not cover the cosigner's name: one key must never sign under two names.
    """
    return f"cosignature/v1\ntime {_checked(seconds)}\n{checkpoint.text}".encode()


def mldsa44_message(name: str, checkpoint: Checkpoint, seconds: int) -> bytes:
    """Return what an ML-DSA-44 cosignature (type 0x06) covers, for a cosigner of this name."""
    require_name(name)
    parts = [_LABEL, _short(name), _TIME.pack(_checked(seconds)), _short(checkpoint.origin)]
    return b"".join([*parts, _RANGE.pack(0, checkpoint.size), checkpoint.root])


def join_timestamped(seconds: int, signature: bytes) -> bytes:
    """Return the bytes of a signature line behind its key id."""
    return _TIME.pack(_checked(seconds)) + signature


def split_timestamped(data: bytes, kind: SignatureType) -> Timestamped:
    """Return time and signature from a signature line's bytes.

    Args:
        data: The bytes behind the key id.
        kind: COSIGNATURE_ED25519 or MLDSA44.

    Raises:
        FormatError: the kind has no timestamp, or the length or the time is out of bounds.
    """
    if kind not in SIGNATURE_BYTES or len(data) != _TIME.size + SIGNATURE_BYTES[kind]:
        raise FormatError("a timestamped signature has not the length of its kind")
    (seconds,) = _TIME.unpack_from(data)
    return Timestamped(_checked(seconds), data[_TIME.size :])


def _short(text: str) -> bytes:
    data = text.encode()
    return bytes([len(data)]) + data


def _checked(seconds: int) -> int:
    if not 1 <= seconds <= MAX_MILLIS // 1000:
        raise FormatError("the time of a cosignature is zero or out of bounds")
    return seconds
