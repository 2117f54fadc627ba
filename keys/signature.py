"""The composite signature id-MLDSA65-Ed25519-SHA512: both halves must verify.

Layout (draft-ietf-lamps-pq-composite-sigs): public key = ML-DSA-65 key 1952 ‖ Ed25519 key 32,
signature = ML-DSA-65 signature 3309 ‖ Ed25519 signature 64, seed = ML-DSA seed 32 ‖ Ed25519
seed 32. Both halves sign ``M' = prefix ‖ algorithm ‖ u8 len(label) ‖ label ‖ SHA-512(message)``.

A secret key is a seed (:class:`SecretKey`), or its Ed25519 half is elsewhere and only signs
(:class:`SplitKey`). What is signed, and by whom it may be signed, is decided in :mod:`keys.signer`.
"""

from __future__ import annotations

import hashlib
import secrets
from functools import lru_cache
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

from protocol.digest import signing_key_id
from protocol.errors import BadSignature, KeyRefused, LocalProtocolError, TokenFailed
from protocol.suite import SIGNATURE_BYTES, SIGNING_PUBLIC_BYTES

SEED_BYTES = 64
MLDSA_SEED_BYTES = 32
PARSED_KEYS_KEPT = 512

_PREFIX = b"CompositeAlgorithmSignatures2025"
_ALGORITHM = b"COMPSIG-MLDSA65-Ed25519-SHA512"
_MLDSA_PUBLIC_BYTES = 1952
_MLDSA_SIGNATURE_BYTES = 3309
_MAX_LABEL_BYTES = 255

_FIELD_PRIME = 2**255 - 19

# Every encoding that OpenSSL loads as a point of order 1, 2, 4 or 8, canonical or not. Such a
# key accepts one fixed signature for every message. Source: C2SP/CCTV ed25519vectors.json, the
# keys of the cases flagged low_order_A.
SMALL_ORDER_ENCODINGS = frozenset(
    bytes.fromhex(encoding)
    for encoding in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    )
)


class PublicKey:
    """A composite public key that passed admission; immutable.

    Attributes:
        raw: The 1984 bytes it was parsed from.
        key_id: Its 32-byte id, as directories and headers name it.
    """

    __slots__ = ("_ed25519", "_mldsa", "key_id", "raw")

    def __init__(self, raw: bytes) -> None:
        if len(raw) != SIGNING_PUBLIC_BYTES:
            raise KeyRefused(f"a signing key has {SIGNING_PUBLIC_BYTES} bytes; this one has {len(raw)}")
        admit_ed25519(raw[_MLDSA_PUBLIC_BYTES:])
        try:
            self._mldsa = MLDSA65PublicKey.from_public_bytes(raw[:_MLDSA_PUBLIC_BYTES])
            self._ed25519 = Ed25519PublicKey.from_public_bytes(raw[_MLDSA_PUBLIC_BYTES:])
        except ValueError as error:
            raise KeyRefused("the signing key cannot be loaded") from error
        self.raw = raw
        self.key_id = signing_key_id(raw)

    @staticmethod
    def from_bytes(raw: bytes) -> PublicKey:
        """Return the admitted key of these bytes; recently used ones are parsed only once.

        Raises:
            KeyRefused: wrong length, an Ed25519 half of small order or not a canonical point,
                or a half that cannot be loaded.
        """
        return _parsed(bytes(raw))

    def verify(self, signature: bytes, message: bytes, label: bytes) -> None:
        """Return only if both halves of ``signature`` cover ``message`` under ``label``.

        Raises:
            BadSignature: wrong length, or either half fails. Which half is not said.
        """
        if len(signature) != SIGNATURE_BYTES:
            raise BadSignature(
                f"a composite signature has {SIGNATURE_BYTES} bytes; this one has {len(signature)}"
            )
        covered = _message_representative(message, label)
        try:
            # The cheap half first: a forged flood costs the verifier as little as possible.
            self._ed25519.verify(signature[_MLDSA_SIGNATURE_BYTES:], covered)
            self._mldsa.verify(signature[:_MLDSA_SIGNATURE_BYTES], covered, _ALGORITHM)
        except InvalidSignature as error:
            raise BadSignature("the composite signature does not verify") from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"PublicKey({self.key_id.hex()})"


class CompositeKey(Protocol):
    """A composite secret key, wherever its halves are."""

    @property
    def public(self) -> bytes:
        """The 1984-byte public key."""
        ...

    @property
    def key_id(self) -> bytes:
        """The 32-byte id of the public key."""
        ...

    def sign(self, message: bytes, label: bytes) -> bytes:
        """Return a 3373-byte signature of ``message`` under the context string ``label``."""
        ...


class Ed25519Half(Protocol):
    """An Ed25519 key that signs and does not leave where it is, such as in a token."""

    @property
    def public(self) -> bytes:
        """The 32-byte public key."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature (RFC 8032, pure Ed25519).

        Raises:
            TokenFailed: it cannot sign now.
        """
        ...


class SecretKey:
    """A composite secret key. Its text form shows only the id of its public key.

    Attributes:
        public: The 1984-byte public key.
        key_id: The 32-byte id of the public key.
    """

    __slots__ = ("_ed25519", "_mldsa", "_seed", "key_id", "public")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise KeyRefused(f"a signing seed has {SEED_BYTES} bytes; this one has {len(seed)}")
        self._seed = bytes(seed)
        self._mldsa = MLDSA65PrivateKey.from_seed_bytes(self._seed[:32])
        self._ed25519 = Ed25519PrivateKey.from_private_bytes(self._seed[32:])
        self.public = (
            self._mldsa.public_key().public_bytes_raw() + self._ed25519.public_key().public_bytes_raw()
        )
        self.key_id = signing_key_id(self.public)

    @staticmethod
    def generate() -> SecretKey:
        """Return a new key from the operating system's randomness."""
        return SecretKey(secrets.token_bytes(SEED_BYTES))

    @staticmethod
    def from_seed(seed: bytes) -> SecretKey:
        """Return the key of a 64-byte seed, ML-DSA's 32 bytes first.

        Raises:
            KeyRefused: the seed has another length.
        """
        return SecretKey(seed)

    @property
    def seed(self) -> bytes:
        """The 64 secret bytes from which the whole key follows."""
        return self._seed

    def sign(self, message: bytes, label: bytes) -> bytes:
        """Return a 3373-byte signature of ``message`` under the context string ``label``.

        Two signatures of one message differ, because ML-DSA signing is hedged; nothing may
        therefore be named by its signature.

        Raises:
            LocalProtocolError: the label is longer than 255 bytes.
        """
        covered = _message_representative(message, label)
        return self._mldsa.sign(covered, _ALGORITHM) + self._ed25519.sign(covered)

    def __repr__(self) -> str:
        return f"SecretKey({self.key_id.hex()})"


class SplitKey:
    """A composite secret key whose Ed25519 half is elsewhere: signing takes both.

    Args:
        mldsa_seed: The 32 secret bytes of the ML-DSA half.
        half: The Ed25519 half.

    Attributes:
        public: The 1984-byte public key.
        key_id: The 32-byte id of the public key.

    Raises:
        KeyRefused: the seed has another length, or the half's public key is none.
    """

    __slots__ = ("_ed25519", "_half", "_mldsa", "key_id", "public")

    def __init__(self, mldsa_seed: bytes, half: Ed25519Half) -> None:
        if len(mldsa_seed) != MLDSA_SEED_BYTES:
            raise KeyRefused(f"an ML-DSA seed has {MLDSA_SEED_BYTES} bytes; this one has {len(mldsa_seed)}")
        self._mldsa = MLDSA65PrivateKey.from_seed_bytes(bytes(mldsa_seed))
        self._half = half
        admit_ed25519(half.public)
        self._ed25519 = Ed25519PublicKey.from_public_bytes(half.public)
        self.public = self._mldsa.public_key().public_bytes_raw() + half.public
        self.key_id = signing_key_id(self.public)

    def sign(self, message: bytes, label: bytes) -> bytes:
        """Return a signature, after checking what the other half gave.

        A device that fails silently, or is another than it was, must not send out signatures that
        every peer refuses. The check costs about a tenth of the signature.

        Raises:
            LocalProtocolError: the label is longer than 255 bytes.
            TokenFailed: the other half cannot sign now, or what it gave does not verify.
        """
        covered = _message_representative(message, label)
        other = self._half.sign(covered)
        try:
            self._ed25519.verify(other, covered)
        except InvalidSignature as error:
            raise TokenFailed(
                f"the Ed25519 half of key {self.key_id.hex()[:16]} gave a signature that does not verify",
                hint="Do not go on with this token: it is damaged, or holds another key under that name.",
            ) from error
        return self._mldsa.sign(covered, _ALGORITHM) + other

    def __repr__(self) -> str:
        return f"SplitKey({self.key_id.hex()})"


def admit_ed25519(encoding: bytes) -> None:
    """Refuse an Ed25519 public key that OpenSSL would load but nobody should trust.

    Bytes that are no point of the curve at all pass: no signature ever verifies under them.

    Raises:
        KeyRefused: ``encoding`` is not 32 bytes, is a point of small order, has a
            non-canonical y (RFC 8032, section 5.1.3: decoding fails for y >= p).
    """
    if len(encoding) != 32:
        raise KeyRefused(f"an Ed25519 key has 32 bytes; this one has {len(encoding)}")
    if encoding in SMALL_ORDER_ENCODINGS:
        raise KeyRefused("the Ed25519 key is a point of small order: it accepts forged signatures")
    if int.from_bytes(encoding, "little") & (2**255 - 1) >= _FIELD_PRIME:
        raise KeyRefused("the Ed25519 key is not canonically encoded")


def _message_representative(message: bytes, label: bytes) -> bytes:
    """Return ``M'`` of the draft, which both halves sign."""
    if len(label) > _MAX_LABEL_BYTES:
        raise LocalProtocolError(f"a signature label has at most {_MAX_LABEL_BYTES} bytes")
    return b"".join(
        (_PREFIX, _ALGORITHM, bytes((len(label),)), label, hashlib.sha512(message).digest()),
    )


@lru_cache(maxsize=PARSED_KEYS_KEPT)
def _parsed(raw: bytes) -> PublicKey:
    """Parse once per key; a refusal raises, and is therefore never kept."""
    return PublicKey(raw)
