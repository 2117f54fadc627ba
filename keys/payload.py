"""The payload of a notice: C2SP chunked encryption, Cobblestone-256, over a padded body.

``salt 24 ‖ commitment 32 ‖ chunks``: HKDF-Expand-SHA-512 over the content key gives the cipher
key, a base nonce and the commitment; each 16 KiB chunk is AES-256-GCM under the base nonce
XOR its number, and the last chunk is always short (c2sp.org/chunked-encryption). The
commitment pins one content key, hence one plaintext, for all recipients of a notice.

The body is padded to Padmé lengths, so that its size tells at most a few bits about it.
"""

from __future__ import annotations

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from protocol.errors import CannotOpen, LocalProtocolError, TooLarge

KEY_BYTES = 32
SALT_BYTES = 24
COMMITMENT_BYTES = 32
CHUNK_BYTES = 16384
TAG_BYTES = 16
SMALLEST_PADDED = 1024

_NONCE_BYTES = 12
_HEADER_BYTES = SALT_BYTES + COMMITMENT_BYTES
_SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES
_INFO_PREFIX = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0"
_LENGTH_BYTES = 4
_CANNOT_OPEN = "the payload does not open with this key and context"
_BAD_PADDING = "the payload is not padded as it must be"


def seal_payload(key: bytes, plaintext: bytes, context: bytes, salt: bytes) -> bytes:
    """Return the encryption of ``plaintext``, committed to ``key``.

    Args:
        key: The 32-byte content key.
        plaintext: What to encrypt, already padded.
        context: What the key derivation binds, such as the header's hash.
        salt: 24 fresh random bytes; a repeated one under the same key and context would
            repeat every nonce.

    Raises:
        LocalProtocolError: the key or salt has another length.
    """
    if len(key) != KEY_BYTES or len(salt) != SALT_BYTES:
        raise LocalProtocolError(f"a payload needs a key of {KEY_BYTES} and a salt of {SALT_BYTES} bytes")
    cipher, base_nonce, commitment = _derive(key, salt, context)
    view = memoryview(plaintext)
    # One chunk more than there are full ones: the last is short, and says "this is the end".
    chunks = (
        cipher.encrypt(_nonce(base_nonce, number), view[start : start + CHUNK_BYTES], None)
        for number, start in enumerate(range(0, len(plaintext) + 1, CHUNK_BYTES))
    )
    return b"".join((salt, commitment, *chunks))


def open_payload(key: bytes, data: bytes, context: bytes) -> bytes:
    """Return the plaintext, only after its last chunk has verified.

    Args:
        key: The 32-byte content key.
        data: Salt, commitment and chunks, complete.
        context: The same bytes the sealing side bound.

    Raises:
        CannotOpen: for every failure, with no finer reason.
    """
    if len(key) != KEY_BYTES or len(data) < _HEADER_BYTES + TAG_BYTES:
        raise CannotOpen(_CANNOT_OPEN)
    cipher, base_nonce, commitment = _derive(key, data[:SALT_BYTES], context)
    # Before any chunk is decrypted: AES-GCM alone would accept a second key.
    if not hmac.compare_digest(commitment, data[SALT_BYTES:_HEADER_BYTES]):
        raise CannotOpen(_CANNOT_OPEN)
    return _open_chunks(cipher, base_nonce, memoryview(data)[_HEADER_BYTES:])


def pad(body: bytes) -> bytes:
    """Return ``u32 length ‖ body ‖ zeros``, as long as :func:`padded_length` says.

    Raises:
        TooLarge: the body does not fit a 32-bit length.
    """
    if len(body) >= 1 << 8 * _LENGTH_BYTES:
        raise TooLarge(f"a body of {len(body)} bytes cannot be padded; the limit is 2^32-1")
    zeros = padded_length(len(body)) - _LENGTH_BYTES - len(body)
    return b"".join((len(body).to_bytes(_LENGTH_BYTES, "big"), body, bytes(zeros)))


def unpad(padded: bytes) -> bytes:
    """Return the body of exactly what :func:`pad` makes, and of nothing else.

    Raises:
        CannotOpen: the length is not the one canonical length, or a pad byte is not zero.
    """
    size = int.from_bytes(padded[:_LENGTH_BYTES], "big")
    if len(padded) < SMALLEST_PADDED or len(padded) != padded_length(size):
        raise CannotOpen(_BAD_PADDING)
    end = _LENGTH_BYTES + size
    if padded.count(0, end) != len(padded) - end:
        raise CannotOpen(_BAD_PADDING)
    return padded[_LENGTH_BYTES:end]


def padded_length(body_length: int) -> int:
    """Return the padded length in bytes of a body: Padmé of at least 1 KiB.

    Padmé (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files", 2019) keeps
    log2(log2(n)) bits of the length and grows it by less than 12 percent.
    """
    length = max(SMALLEST_PADDED, _LENGTH_BYTES + body_length)
    exponent = length.bit_length() - 1
    low_bits = exponent - exponent.bit_length()
    return (length + (1 << low_bits) - 1) >> low_bits << low_bits


def _derive(key: bytes, salt: bytes, context: bytes) -> tuple[AESGCM, int, bytes]:
    """Return the chunk cipher, the base nonce as a number, and the commitment."""
    length = KEY_BYTES + _NONCE_BYTES + COMMITMENT_BYTES
    derived = HKDFExpand(hashes.SHA512(), length, _INFO_PREFIX + salt + context).derive(key)
    base_nonce = int.from_bytes(derived[KEY_BYTES : KEY_BYTES + _NONCE_BYTES], "big")
    return AESGCM(derived[:KEY_BYTES]), base_nonce, derived[-COMMITMENT_BYTES:]


def _nonce(base_nonce: int, number: int) -> bytes:
    return (base_nonce ^ number).to_bytes(_NONCE_BYTES, "big")


def _open_chunks(cipher: AESGCM, base_nonce: int, sealed: memoryview) -> bytes:
    # The last chunk must be there and short: a cut at a chunk border is otherwise unseen.
    if len(sealed) % _SEALED_CHUNK_BYTES < TAG_BYTES:
        raise CannotOpen(_CANNOT_OPEN)
    try:
        chunks = [
            cipher.decrypt(_nonce(base_nonce, number), sealed[start : start + _SEALED_CHUNK_BYTES], None)
            for number, start in enumerate(range(0, len(sealed), _SEALED_CHUNK_BYTES))
        ]
    except InvalidTag as error:
        raise CannotOpen(_CANNOT_OPEN) from error
    return b"".join(chunks)
