"""Seal and open an envelope. Nothing else in ``keys`` imports this module.

Opening takes what was in the wrap. Unwrapping itself needs a secret key, and is done elsewhere
(``keys.opening``): a node's process that speaks to the network has none.

Encrypt, committing to the key, then sign; sender, recipients, suite and key ids are bound into
every derivation, so a part of one envelope is useless in another. See ``spec/envelope.md``.

Who may have signed what is checked before anything here opens a byte (``keys.authenticity``):
nobody decrypts unauthenticated bytes.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from keys.payload import open_payload, pad, seal_payload, unpad
from keys.signer import Signer
from keys.wrap import wrap
from protocol import codec
from protocol.digest import tag
from protocol.envelope import Delivery, Submission
from protocol.errors import AlmenaraError, CannotOpen, LocalProtocolError
from protocol.fields import MAX_UINT
from protocol.notice import Body, Header, Manifest, envelope_id, header_hash, parse_body
from protocol.signed import Context
from protocol.suite import WRAP_PLAINTEXT_BYTES

CONTENT_KEY_BYTES = 32
SALT_BYTES = 24
PAIR_START = bytes(32)
NUMBER_BITS = 32
EPOCH_ZERO_MS = 1_577_836_800_000
"""2020-01-01T00:00:00Z."""

Randomness = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class PairPosition:
    """A notice's place in the series from one sender to one recipient.

    ``sequence`` is an epoch times 2^32, plus a number that starts at 1 in each epoch; ``previous`` is
    the id of the envelope before in the same epoch, or 32 zero bytes. The epoch is 0 until a sender
    has lost count. Only the recipient can read it, so only it sees gaps, drops and reorders.
    """

    sequence: int
    previous: bytes

    @property
    def epoch(self) -> int:
        """In which numbering this one stands."""
        return self.sequence >> NUMBER_BITS

    @property
    def number(self) -> int:
        """Its number in that epoch."""
        return self.sequence & (1 << NUMBER_BITS) - 1

    @property
    def possible(self) -> bool:
        """Whether it is within bounds, and number 1 exactly where nothing came before."""
        within = 0 < self.sequence <= MAX_UINT and self.number > 0
        return within and (self.number == 1) == (self.previous == PAIR_START)


def epoch_at(now_ms: int) -> int:
    """Return the epoch that a sender begins who lost count: minutes since 2020, so it never comes twice."""
    return (now_ms - EPOCH_ZERO_MS) // 60_000


def epoch_began_ms(epoch: int) -> int:
    """Return when an epoch began, milliseconds UTC, by the sender's own word."""
    return EPOCH_ZERO_MS + epoch * 60_000


@dataclass(frozen=True, slots=True)
class SealFor:
    """One recipient to seal for: its code, its prekey's public bytes, its pair position."""

    state: str
    prekey: bytes
    position: PairPosition


@dataclass(frozen=True, slots=True)
class SealedNotice:
    """A finished envelope. ``content_key`` opens it: keep it where the plaintext is kept."""

    id: bytes
    submission: Submission
    content_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unsigned:
    """An envelope but for its signature, on which its id does not depend."""

    id: bytes
    key_id: bytes
    manifest: bytes
    wraps: tuple[bytes, ...]
    payload: bytes
    content_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenedNotice:
    """What one recipient reads."""

    body: Body
    position: PairPosition
    content_key: bytes = field(repr=False)


class Sealing:
    """An envelope in the making: everything but its wraps is there at once, and those may come in slices.

    Args:
        header: The visible part; its recipients are the ones of ``recipients``, in order.
        body: The part that only recipients read; ``body.sender`` is the header's sender.
        recipients: Whom to wrap the content key for.
        randomness: Returns that many fresh random bytes.

    Raises:
        LocalProtocolError: header, body and recipients do not fit each other.
        FormatError: a part is over its bounds.
    """

    def __init__(
        self,
        header: Header,
        body: Body,
        recipients: Sequence[SealFor],
        randomness: Randomness = secrets.token_bytes,
    ) -> None:
        if [entry.state for entry in recipients] != [addressee.state for addressee in header.recipients]:
            raise LocalProtocolError("header and recipients do not fit each other")
        if body.sender != header.sender:
            raise LocalProtocolError("header and body name different senders")
        if not all(entry.position.possible for entry in recipients):
            raise LocalProtocolError("a pair position is impossible")
        body_bytes = codec.encode(body)
        parse_body(body_bytes)
        self._header, self._recipients = header, recipients
        self._header_bytes = codec.encode(header)
        self._bound = header_hash(self._header_bytes)
        self._content_key = randomness(CONTENT_KEY_BYTES)
        salt = randomness(SALT_BYTES)
        self._payload = seal_payload(self._content_key, pad(body_bytes), _payload_context(self._bound), salt)
        self._payload_hash = hashlib.sha256(self._payload).digest()
        self._wraps: list[bytes] = []

    @property
    def wrapped(self) -> int:
        """For how many recipients the content key is wrapped."""
        return len(self._wraps)

    def wrap_some(self, most: int) -> bool:
        """Wrap the content key for at most so many more recipients; return whether all are done.

        Raises:
            KeyRefused: a recipient's key is not admitted.
        """
        begin = len(self._wraps)
        addressees = self._header.recipients[begin : begin + most]
        for entry, addressee in zip(self._recipients[begin : begin + most], addressees, strict=True):
            info = _wrap_info(
                self._header.suite, self._bound, self._payload_hash, entry.state, addressee.prekey_id
            )
            self._wraps.append(wrap(entry.prekey, info, _wrap_plaintext(self._content_key, entry.position)))
        return len(self._wraps) == len(self._recipients)

    def unsigned(self) -> Unsigned:
        """Return the finished envelope, but for its signature.

        Raises:
            LocalProtocolError: a wrap is missing.
        """
        if len(self._wraps) != len(self._recipients):
            raise LocalProtocolError("not every recipient has its wrap yet")
        manifest = codec.encode(
            Manifest(
                header=self._header_bytes,
                wrap_hashes=tuple(hashlib.sha256(one).digest() for one in self._wraps),
                payload_hash=self._payload_hash,
                payload_length=len(self._payload),
                blobs=(),
            )
        )
        return Unsigned(
            id=envelope_id(manifest),
            key_id=self._header.key_id,
            manifest=manifest,
            wraps=tuple(self._wraps),
            payload=self._payload,
            content_key=self._content_key,
        )


def sign_sealed(signer: Signer, envelopes: Sequence[Unsigned]) -> list[SealedNotice]:
    """Sign 1..256 envelopes with one signature, and return them in order.

    Args:
        signer: The sender's node key, the one that every header names.
        envelopes: What to sign; ids do not depend on it.

    Raises:
        LocalProtocolError: a header names another key.
        TokenFailed: the key is in a token that does not sign now.
    """
    if any(one.key_id != signer.key_id for one in envelopes):
        raise LocalProtocolError("header and signer name different senders")
    proofs = signer.sign_batch(Context.NOTICE, [one.manifest for one in envelopes])
    return [
        SealedNotice(
            id=one.id,
            submission=Submission(manifest=one.manifest, proof=proof, wraps=one.wraps, payload=one.payload),
            content_key=one.content_key,
        )
        for one, proof in zip(envelopes, proofs, strict=True)
    ]


def seal(
    header: Header,
    body: Body,
    recipients: Sequence[SealFor],
    signer: Signer,
    randomness: Randomness = secrets.token_bytes,
) -> SealedNotice:
    """Seal one notice for its recipients and sign it alone; arguments as :class:`Sealing`.

    Raises:
        LocalProtocolError: header, body, recipients and signer do not fit each other.
        FormatError: a part is over its bounds.
        KeyRefused: a recipient's key is not admitted.
    """
    sealing = Sealing(header, body, recipients, randomness)
    sealing.wrap_some(len(recipients))
    return sign_sealed(signer, [sealing.unsigned()])[0]


def wrap_info(manifest: Manifest, header: Header, number: int) -> bytes:
    """Return what the wrap of the recipient at this place binds; whoever unwraps it must say the same.

    Args:
        manifest: The manifest, already parsed.
        header: Its header, already parsed.
        number: The recipient's place among the header's recipients.
    """
    addressee = header.recipients[number]
    bound = header_hash(manifest.header)
    return _wrap_info(header.suite, bound, manifest.payload_hash, addressee.state, addressee.prekey_id)


def open_delivery(delivery: Delivery, manifest: Manifest, header: Header, unwrapped: bytes) -> OpenedNotice:
    """Open a delivery whose authenticity has been verified and whose wrap has been opened.

    Args:
        delivery: The delivery.
        manifest: Its manifest, already parsed.
        header: Its header, already parsed.
        unwrapped: What was in its wrap, opened under :func:`wrap_info` with the one key that
            ``header.recipients[delivery.index]`` names by id.

    Raises:
        CannotOpen: wrap, commitment, decryption, padding or body is wrong; no finer reason.
    """
    content_key, position = _parse_wrap(unwrapped)
    body = open_sealed_body(delivery.payload, manifest.header, content_key)
    if body.sender != header.sender:
        raise CannotOpen("the sealed sender is not the signed sender")
    return OpenedNotice(body=body, position=position, content_key=content_key)


def open_sealed_body(payload: bytes, header: bytes, content_key: bytes) -> Body:
    """Open a payload with its content key, as a recipient or a disclosure does.

    Raises:
        CannotOpen: the key is not the one committed to, or anything after it is wrong.
    """
    padded = open_payload(content_key, payload, _payload_context(header_hash(header)))
    try:
        return parse_body(unpad(padded))
    except CannotOpen:
        raise
    except AlmenaraError as error:
        raise CannotOpen("the opened content is not a well-formed body") from error


def sealed_again(body: Body, header: bytes, content_key: bytes, salt: bytes) -> bytes:
    """Return the very payload that was sealed with this key and salt; its hash must be compared.

    Args:
        body: What was sealed.
        header: The encoded header.
        content_key: The 32-byte content key.
        salt: The first 24 bytes of the payload.
    """
    return seal_payload(content_key, pad(codec.encode(body)), _payload_context(header_hash(header)), salt)


def decryption_proof(content_key: bytes, envelope: bytes, state: str) -> bytes:
    """Return the 32 bytes that prove a state held the content key of an envelope.

    HKDF-Expand-SHA256 over the content key, with the tag ``pod``, envelope id and state as info.
    """
    info = tag("pod") + envelope + state.encode("ascii")
    return HKDFExpand(hashes.SHA256(), 32, info).derive(content_key)


def _payload_context(bound: bytes) -> bytes:
    return tag("payload") + bound


def _wrap_info(suite: int, bound: bytes, payload_hash: bytes, state: str, prekey_id: bytes) -> bytes:
    code = state.encode("ascii")
    return b"".join(
        (tag("wrap"), suite.to_bytes(2, "big"), bound, payload_hash, bytes((len(code),)), code, prekey_id)
    )


def _wrap_plaintext(content_key: bytes, position: PairPosition) -> bytes:
    return content_key + position.sequence.to_bytes(8, "big") + position.previous


def _parse_wrap(plaintext: bytes) -> tuple[bytes, PairPosition]:
    if len(plaintext) != WRAP_PLAINTEXT_BYTES:
        raise CannotOpen("the wrap holds another number of bytes than a wrap does")
    position = PairPosition(int.from_bytes(plaintext[32:40], "big"), plaintext[40:])
    if not position.possible:
        raise CannotOpen("the wrap holds an impossible pair position")
    return plaintext[:32], position
