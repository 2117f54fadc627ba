"""Signatures and seals that cost microseconds and follow from their keys: for simulations, and nothing else.

Anybody can forge them, so they prove nothing about cryptography, which has its own tests. Everything
round them is the product's: batches, roles, contexts, cached roots, proofs, notes, payloads, chains. A
signature over other bytes, or by another key, still does not verify.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from cryptography.exceptions import InvalidSignature

from exchange.unsealer.messages import MadeKey
from keys.calendar import DAY_MS, KEEP_MS, day_of
from keys.note_keys import NoteSecret
from keys.signer import Claim, Signer, Verifier
from keys.wrap import SEALING_OVERHEAD
from protocol.digest import kem_key_id, signing_key_id
from protocol.documents import Prekey, Role
from protocol.errors import AlmenaraError, BadSignature, CannotOpen
from protocol.signed import signing_message
from protocol.suite import KEM_PUBLIC_BYTES, SIGNATURE_BYTES, SIGNING_PUBLIC_BYTES

_TAG = 16


def spread(seed: bytes, size: int) -> bytes:
    """Return so many bytes that follow from a seed."""
    return hashlib.shake_256(seed).digest(size)


def seal_bytes(public: bytes, message: bytes, size: int) -> bytes:
    """Return what stands for a signature of so many bytes."""
    digest = hashlib.blake2b(message, key=public[:64]).digest()
    return (digest * (size // len(digest) + 1))[:size]


class CheapKey:
    """A :class:`~keys.signature.CompositeKey` that follows from a label."""

    def __init__(self, label: str) -> None:
        self.public = spread(label.encode(), SIGNING_PUBLIC_BYTES)
        self.key_id = signing_key_id(self.public)

    def sign(self, message: bytes, label: bytes) -> bytes:
        """Return a signature of the right size."""
        return seal_bytes(self.public, label + message, SIGNATURE_BYTES)


@lru_cache(maxsize=1024)
def cheap_signer(label: str, role: Role) -> Signer:
    """Return the key that follows from a label such as ``"QAA node"``."""
    return Signer(CheapKey(f"{label} {role}"), role)


class CheapVerifier(Verifier):
    """Verifies what :class:`CheapKey` signs; batches and roles as the product's."""

    def check(self, claim: Claim) -> None:
        """Return only if a claim is true."""
        message = claim.context.label + signing_message(claim.context, claim.root)
        if claim.signature != seal_bytes(claim.public_key, message, SIGNATURE_BYTES):
            raise BadSignature("the signature does not verify")


class CheapRaw:
    """One raw key of a log or witness, both its halves."""

    def __init__(self, public: bytes, size: int) -> None:
        self._public = public
        self._size = size

    def sign(self, message: bytes, _context: bytes | None = None) -> bytes:
        """Return a signature of the right size."""
        return seal_bytes(self._public, message, self._size)

    def verify(self, signature: bytes, message: bytes, _context: bytes | None = None) -> None:
        """Return only if it is this key's over these bytes."""
        if signature != seal_bytes(self._public, message, self._size):
            raise InvalidSignature


def cheap_ed25519(raw: bytes) -> CheapRaw:
    """Stand for the Ed25519 key of a log or witness."""
    return CheapRaw(raw, 64)


def cheap_mldsa44(raw: bytes) -> CheapRaw:
    """Stand for the ML-DSA-44 key of a log or witness."""
    return CheapRaw(raw, 2420)


class CheapNoteSecret(NoteSecret):
    """The keys of a log or witness; notes and their lines are the product's."""

    __slots__ = ()

    def __init__(self, label: str) -> None:
        self._seed = hashlib.sha512(label.encode()).digest()
        self.ed25519 = spread(b"ed25519" + self._seed, 32)
        self.mldsa44 = spread(b"mldsa44" + self._seed, 1312)
        self._ed25519 = cheap_ed25519(self.ed25519)  # type: ignore[assignment]
        self._mldsa44 = cheap_mldsa44(self.mldsa44)  # type: ignore[assignment]


def cheap_seal_to(public: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Stand for :func:`keys.wrap.seal_to`; as long as the real one."""
    covered = _mask(public, info, plaintext)
    filler = bytes(SEALING_OVERHEAD - _TAG)
    return filler + covered + seal_bytes(public, info + plaintext, _TAG)


def _mask(public: bytes, info: bytes, text: bytes) -> bytes:
    stream = spread(public + info, len(text))
    return (int.from_bytes(text, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(text), "big")


def cheap_prekeys(label: str, first_ms: int, days: int) -> tuple[MadeKey, ...]:
    """Return one key for each day, as the unsealer makes them: its "locked seed" is the public key."""
    start = first_ms - first_ms % DAY_MS
    made = []
    for at_ms in range(start, start + days * DAY_MS, DAY_MS):
        public = spread(f"{label} {at_ms}".encode(), KEM_PUBLIC_BYTES)
        until = at_ms + DAY_MS
        key = Prekey(public=public, use_from_ms=at_ms, use_until_ms=until, keep_until_ms=until + KEEP_MS)
        made.append(MadeKey(public=key, day=day_of(at_ms), locked=public[:32]))
    return tuple(made)


class CheapUnsealer:
    """Stands for the node's end of :class:`~exchange.unsealer.client.Unsealer`.

    What it must remember is on a disk of its own, which outlives the node's process.
    """

    def __init__(self, state: str) -> None:
        self._state = state
        self._made = 0
        self._keys: dict[bytes, bytes] = {}
        self.trouble: AlmenaraError | None = None

    def hold(self, keys: Sequence[MadeKey]) -> None:
        """Remember the secret halves of keys."""
        self._keys.update({key.public.key_id: key.public.public for key in keys})

    async def open_wrap(
        self, prekey_id: bytes, _day: str, locked: bytes, sealed: bytes, info: bytes
    ) -> bytes:
        """Return what is in a wrap, or raise CannotOpen."""
        public = self._keys.get(prekey_id)
        if public is None or kem_key_id(public) != prekey_id or public[:32] != locked:
            raise CannotOpen("no such key")
        plaintext = _mask(public, info, sealed[SEALING_OVERHEAD - _TAG : -_TAG])
        if sealed[-_TAG:] != seal_bytes(public, info + plaintext, _TAG):
            raise CannotOpen("it does not open")
        return plaintext

    open_note = open_wrap

    async def open_wraps(
        self, prekey_id: bytes, day: str, locked: bytes, wraps: Sequence[tuple[bytes, bytes]]
    ) -> list[bytes | None]:
        """Return what is in each of several wraps, or None."""
        opened: list[bytes | None] = []
        for sealed, info in wraps:
            try:
                opened.append(await self.open_wrap(prekey_id, day, locked, sealed, info))
            except CannotOpen:
                opened.append(None)
        return opened

    async def make_days(self, first_ms: int, days: int) -> tuple[MadeKey, ...]:
        """Make keys; no two calls make the same."""
        self._made += 1
        made = cheap_prekeys(f"{self._state} prekey {self._made}", first_ms, days)
        self.hold(made)
        return made

    async def destroy_days(self, _before: str, _keep: Sequence[str]) -> tuple[str, ...]:
        """Destroy nothing: the store's rows are what the node itself destroys."""
        return ()
