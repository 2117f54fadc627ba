"""One AES-GCM ciphertext that opens under two keys, and the commitment that refuses it.

AES-GCM does not commit to its key. Its tag is ``E(J0) + sum(block_i * H^i)`` over GF(2^128),
with H and J0 from the key: linear in every ciphertext block. Ask two keys for the same tag and
one free block solves the equation ("invisible salamanders"; Dodis et al., CRYPTO 2018). A
sender could so show two states two texts under one signature.
"""

from __future__ import annotations

import hashlib
import secrets

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from keys.payload import open_payload
from protocol.errors import CannotOpen

BLOCKS = 8
CONTEXT = b"one header"
POLYNOMIAL = (1 << 128) | 0b10000111


def element(block: bytes) -> int:
    """Read a block as a field element: GCM writes the constant term first, in its highest bit."""
    return int(f"{int.from_bytes(block, 'big'):0128b}"[::-1], 2)


def block_of(value: int) -> bytes:
    """Write a field element as GCM does."""
    return int(f"{value:0128b}"[::-1], 2).to_bytes(16, "big")


def times(left: int, right: int) -> int:
    """Multiply in GF(2^128) modulo x^128 + x^7 + x^2 + x + 1."""
    product = 0
    while right:
        if right & 1:
            product ^= left
        right >>= 1
        left <<= 1
        if left >> 128:
            left ^= POLYNOMIAL
    return product


def power(base: int, exponent: int) -> int:
    """Raise a field element to a power; ``2^128 - 2`` inverts it."""
    result = 1
    while exponent:
        if exponent & 1:
            result = times(result, base)
        base, exponent = times(base, base), exponent >> 1
    return result


class Half:
    """One of the two keys, with what its tag is made of."""

    def __init__(self, key: bytes, nonce: bytes) -> None:
        self.key, self.nonce = key, nonce
        self.hash_key = element(self.encrypt_block(bytes(16)))
        self.mask = element(self.encrypt_block(nonce + b"\0\0\0\1"))

    def encrypt_block(self, block: bytes) -> bytes:
        """Apply the bare block cipher."""
        return Cipher(algorithms.AES(self.key), modes.ECB()).encryptor().update(block)

    def tag(self, blocks: list[int]) -> int:
        """Return the GCM tag over whole blocks without associated data."""
        total = 0
        for value in [*blocks, element((0).to_bytes(8, "big") + (len(blocks) * 128).to_bytes(8, "big"))]:
            total = times(total ^ value, self.hash_key)
        return total ^ self.mask

    def open(self, ciphertext: bytes) -> bytes:
        """Decrypt with the library, as any careless recipient would."""
        return AESGCM(self.key).decrypt(self.nonce, ciphertext, None)


def salamander(first: Half, second: Half) -> bytes:
    """Return a ciphertext with its tag that both halves open, each to its own text."""
    blocks = [0, *(element(secrets.token_bytes(16)) for _ in range(BLOCKS - 1))]
    # The first of n blocks is multiplied by H^(n+1); what it adds must cancel the difference.
    slope = power(first.hash_key, BLOCKS + 1) ^ power(second.hash_key, BLOCKS + 1)
    blocks[0] = times(first.tag(blocks) ^ second.tag(blocks), power(slope, 2**128 - 2))
    return b"".join(block_of(value) for value in [*blocks, first.tag(blocks)])


def derived(content_key: bytes, salt: bytes) -> tuple[Half, bytes]:
    """Return the first chunk's key and nonce, and the commitment, worked from the published format."""
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + CONTEXT
    output = HKDFExpand(SHA512(), 76, info).derive(content_key)
    return Half(output[:32], output[32:44]), output[44:]


def test_bare_aes_gcm_opens_one_ciphertext_under_two_keys() -> None:
    """The attack is real: the library accepts both keys, and they show different texts."""
    first, second = (Half(secrets.token_bytes(32), secrets.token_bytes(12)) for _ in range(2))
    ciphertext = salamander(first, second)
    assert first.open(ciphertext) != second.open(ciphertext)
    with pytest.raises(InvalidTag):
        Half(secrets.token_bytes(32), first.nonce).open(ciphertext)


@pytest.mark.parametrize("committed", [0, 1])
def test_the_commitment_refuses_one_of_two_keys_that_aes_gcm_accepts(committed: int) -> None:
    """A payload whose chunk opens under both keys still opens under only the committed one."""
    salt = hashlib.sha256(b"salt").digest()[:24]
    keys = (secrets.token_bytes(32), secrets.token_bytes(32))
    halves, commitments = zip(*(derived(key, salt) for key in keys), strict=True)
    chunk = salamander(*halves)
    texts = [half.open(chunk) for half in halves]
    assert texts[0] != texts[1]

    payload = salt + commitments[committed] + chunk
    assert open_payload(keys[committed], payload, CONTEXT) == texts[committed]
    with pytest.raises(CannotOpen):
        open_payload(keys[1 - committed], payload, CONTEXT)


def test_no_commitment_lets_both_keys_open() -> None:
    """Whatever is put in its place, at least one of the two is refused."""
    salt = bytes(24)
    keys = (secrets.token_bytes(32), secrets.token_bytes(32))
    halves, commitments = zip(*(derived(key, salt) for key in keys), strict=True)
    chunk = salamander(*halves)
    for commitment in (*commitments, bytes(32), bytes(a ^ b for a, b in zip(*commitments, strict=True))):
        refused = 0
        for key in keys:
            try:
                open_payload(key, salt + commitment + chunk, CONTEXT)
            except CannotOpen:
                refused += 1
        assert refused >= 1
