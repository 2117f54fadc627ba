"""The raw keys of logs and witnesses, as C2SP signed notes need them: Ed25519 and ML-DSA-44 side by side.

Seed = ML-DSA-44 seed 32 ‖ Ed25519 seed 32. A log signs a checkpoint with both (signature types 0x01
and 0x06), a witness cosigns with both (0x04 and 0x06), and whoever relies on a checkpoint asks for
both: forging one takes breaking both. Sources: C2SP signed-note, tlog-checkpoint, tlog-cosignature.
"""

from __future__ import annotations

import secrets
from enum import StrEnum
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from keys.signature import admit_ed25519
from protocol.digest import tag
from protocol.documents import NoteKeys
from protocol.errors import BadSignature, FormatError, KeyRefused
from protocol.ledger.checkpoint import Checkpoint
from protocol.ledger.cosignature import (
    ed25519_message,
    join_timestamped,
    mldsa44_message,
    split_timestamped,
)
from protocol.ledger.note import NoteSignature, SignatureType, VerifierKey
from protocol.ledger.origins import Log, origin

SEED_BYTES = 64
PARSED_KEYS_KEPT = 1024
_ED25519_SIGNATURE_BYTES = 64
_POSSESSION_CONTEXT = b"almenara/1/pop"


class NoteRole(StrEnum):
    """What a pair of raw keys is for; one pair, one use."""

    LOG = "log"
    WITNESS = "witness"


class NoteSecret:
    """The secret keys of one log or witness. Its text form shows nothing.

    Args:
        seed: 64 secret bytes, ML-DSA-44's 32 first.

    Attributes:
        ed25519: The 32-byte public key.
        mldsa44: The 1312-byte public key.

    Raises:
        KeyRefused: the seed has another length.
    """

    __slots__ = ("_ed25519", "_mldsa44", "_seed", "ed25519", "mldsa44")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise KeyRefused(f"a note seed has {SEED_BYTES} bytes; this one has {len(seed)}")
        self._seed = bytes(seed)
        self._mldsa44 = MLDSA44PrivateKey.from_seed_bytes(self._seed[:32])
        self._ed25519 = Ed25519PrivateKey.from_private_bytes(self._seed[32:])
        self.mldsa44 = self._mldsa44.public_key().public_bytes_raw()
        self.ed25519 = self._ed25519.public_key().public_bytes_raw()

    @staticmethod
    def generate() -> NoteSecret:
        """Return new keys from the operating system's randomness."""
        return NoteSecret(secrets.token_bytes(SEED_BYTES))

    @staticmethod
    def from_seed(seed: bytes) -> NoteSecret:
        """Return the keys of a 64-byte seed. Raises KeyRefused if it has another length."""
        return NoteSecret(seed)

    @property
    def seed(self) -> bytes:
        """The 64 secret bytes from which both keys follow."""
        return self._seed

    def keys(self, name: str, party: str, role: NoteRole, community: bytes) -> NoteKeys:
        """Return the public keys under a name, with the proof that their owner holds both.

        Args:
            name: The log's or witness's name in signed notes.
            party: The code of the owner in the directory.
            role: What the keys are for.
            community: The 32-byte id of the community.
        """
        message = possession_message(self.ed25519, self.mldsa44, name, party, role, community)
        proof = self._ed25519.sign(message) + self._mldsa44.sign(message, _POSSESSION_CONTEXT)
        return NoteKeys(name=name, ed25519=self.ed25519, mldsa44=self.mldsa44, possession=proof)

    def sign_log(self, checkpoint: Checkpoint, seconds: int) -> tuple[NoteSignature, NoteSignature]:
        """Return the log's two signatures, types 0x01 and 0x06, under the checkpoint's origin.

        Args:
            checkpoint: What is signed.
            seconds: The time now, whole seconds UTC (POSIX), which the second one states.
        """
        plain, quantum_safe = _log_keys(checkpoint.origin, self.ed25519, self.mldsa44)
        return (
            NoteSignature(plain.name, plain.key_id, self._ed25519.sign(checkpoint.text.encode())),
            self._sign_mldsa44(quantum_safe, checkpoint, seconds),
        )

    def cosign(self, checkpoint: Checkpoint, name: str, seconds: int) -> tuple[NoteSignature, NoteSignature]:
        """Return a witness's two cosignatures, types 0x04 and 0x06, under its name.

        Whoever calls this has checked that the checkpoint continues all that it cosigned before,
        and has made that durable.

        Args:
            checkpoint: What is cosigned.
            name: The witness's name.
            seconds: The time now, whole seconds UTC (POSIX).
        """
        plain, quantum_safe = _witness_keys(name, self.ed25519, self.mldsa44)
        raw = self._ed25519.sign(ed25519_message(checkpoint, seconds))
        return (
            NoteSignature(plain.name, plain.key_id, join_timestamped(seconds, raw)),
            self._sign_mldsa44(quantum_safe, checkpoint, seconds),
        )

    def _sign_mldsa44(self, key: VerifierKey, checkpoint: Checkpoint, seconds: int) -> NoteSignature:
        raw = self._mldsa44.sign(mldsa44_message(key.name, checkpoint, seconds))
        return NoteSignature(key.name, key.key_id, join_timestamped(seconds, raw))

    def __repr__(self) -> str:
        return "NoteSecret()"


def log_keys_of(keys: NoteKeys, log: Log) -> tuple[VerifierKey, VerifierKey]:
    """Return the verifier keys of one of a coordinator's logs: types 0x01 and 0x06, under its origin."""
    return _log_keys(origin(keys.name, log), keys.ed25519, keys.mldsa44)


def witness_keys_of(keys: NoteKeys) -> tuple[VerifierKey, VerifierKey]:
    """Return the verifier keys of a witness: types 0x04 and 0x06, under its name."""
    return _witness_keys(keys.name, keys.ed25519, keys.mldsa44)


def verify_signature(key: VerifierKey, checkpoint: Checkpoint, signature: NoteSignature) -> int:
    """Return the time that a verified signature states, seconds UTC; 0 for type 0x01, which states none.

    Raises:
        BadSignature: it is by another key, malformed, or does not verify over this checkpoint.
    """
    if (signature.name, signature.key_id) != (key.name, key.key_id):
        raise BadSignature(f"the signature is not by the key {key.name} {key.key_id.hex()}")
    try:
        return _verify(key, checkpoint, signature.signature)
    except (InvalidSignature, FormatError) as error:
        raise BadSignature(
            f"the {key.type.name} signature of {key.name} over checkpoint {checkpoint.size} does not verify"
        ) from error


def verify_possession(keys: NoteKeys, party: str, role: NoteRole, community: bytes) -> None:
    """Return only if the keys are fit for use, and their owner proved that it holds both.

    Raises:
        KeyRefused: a key is weak or cannot be loaded.
        BadSignature: one of the two proofs does not verify for this party, role and community.
    """
    admit_ed25519(keys.ed25519)
    message = possession_message(keys.ed25519, keys.mldsa44, keys.name, party, role, community)
    try:
        _ed25519(keys.ed25519).verify(keys.possession[:_ED25519_SIGNATURE_BYTES], message)
        _mldsa44(keys.mldsa44).verify(
            keys.possession[_ED25519_SIGNATURE_BYTES:], message, _POSSESSION_CONTEXT
        )
    except InvalidSignature as error:
        raise BadSignature(f"{party} does not prove that it holds the keys of its {role}") from error


def possession_message(
    ed25519: bytes, mldsa44: bytes, name: str, party: str, role: NoteRole, community: bytes
) -> bytes:
    """Return what both keys sign: every part is of fixed length or carries it. See ``spec/documents.md``."""
    texts = (part.encode("ascii") for part in (party, role.value, name))
    counted = b"".join(bytes((len(text),)) + text for text in texts)
    # The zero byte of the tag keeps this from ever being the text of a note.
    return tag("note-pop") + counted + ed25519 + mldsa44 + community


def _log_keys(name: str, ed25519: bytes, mldsa44: bytes) -> tuple[VerifierKey, VerifierKey]:
    return (
        VerifierKey(name, SignatureType.ED25519, ed25519),
        VerifierKey(name, SignatureType.MLDSA44, mldsa44),
    )


def _witness_keys(name: str, ed25519: bytes, mldsa44: bytes) -> tuple[VerifierKey, VerifierKey]:
    return (
        VerifierKey(name, SignatureType.COSIGNATURE_ED25519, ed25519),
        VerifierKey(name, SignatureType.MLDSA44, mldsa44),
    )


def _verify(key: VerifierKey, checkpoint: Checkpoint, signature: bytes) -> int:
    match key.type:
        case SignatureType.ED25519:
            _ed25519(key.public).verify(signature, checkpoint.text.encode())
            return 0
        case SignatureType.COSIGNATURE_ED25519:
            seconds, raw = split_timestamped(signature, key.type)
            _ed25519(key.public).verify(raw, ed25519_message(checkpoint, seconds))
        case SignatureType.MLDSA44:
            seconds, raw = split_timestamped(signature, key.type)
            _mldsa44(key.public).verify(raw, mldsa44_message(key.name, checkpoint, seconds))
    return seconds


@lru_cache(maxsize=PARSED_KEYS_KEPT)
def _ed25519(raw: bytes) -> Ed25519PublicKey:
    admit_ed25519(raw)
    try:
        return Ed25519PublicKey.from_public_bytes(raw)
    except ValueError as error:
        raise KeyRefused("the Ed25519 key of a log or witness cannot be loaded") from error


@lru_cache(maxsize=PARSED_KEYS_KEPT)
def _mldsa44(raw: bytes) -> MLDSA44PublicKey:
    try:
        return MLDSA44PublicKey.from_public_bytes(raw)
    except ValueError as error:
        raise KeyRefused("the ML-DSA-44 key of a log or witness cannot be loaded") from error
