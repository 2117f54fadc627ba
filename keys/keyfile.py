"""Key text in and out: a key file is a few ``name: value`` lines, ``#`` comments and one secret.

::

    # SECRET. Whoever can read this file can act as its owner. Keep it private (mode 0600).
    almenara-key: 1
    kind: signing
    name: XAA node 2026
    role: node
    id: 5d0c...e1
    created: 2026-03-01T03:14:15.926Z
    protection: passphrase argon2id memory-kib=65536 iterations=3 lanes=1 salt=...
    ALMENARA-SECRET-KEY-1-ENCRYPTED kV8...==

The header lines are authenticated together with the secret, so a file cannot be relabelled.
Blank lines and comments carry no meaning and are not kept. Reading and writing the file
itself, and checking its owner and mode, is the work of ``exchange.keystore``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from keys.protection import (
    InToken,
    Protection,
    ProtectionLine,
    decrypt,
    encrypt,
    parse_protection,
    protection_line,
)
from keys.signature import MLDSA_SEED_BYTES, CompositeKey, Ed25519Half, SecretKey, SplitKey
from protocol.digest import tagged
from protocol.errors import FormatError, KeyfileError, TooLarge
from protocol.text import format_base64, format_utc, parse_base64, parse_hex, parse_utc

MAX_TEXT = 32 * 1024
MAX_NAME = 200
MAX_SECRET_BYTES = 16 * 1024

_WARNING = "# SECRET. Whoever can read this file can act as its owner. Keep it private (mode 0600)."
_NAMES = ("almenara-key", "kind", "name", "role", "id", "created", "protection")
_VERSION = "1"
_OPEN_SECRET = "ALMENARA-SECRET-KEY-1"  # noqa: S105  (a prefix of the format, not a secret)
_SEALED_SECRET = "ALMENARA-SECRET-KEY-1-ENCRYPTED"  # noqa: S105


class KeyKind(StrEnum):
    """What the secret bytes of a key file are."""

    SIGNING = "signing"
    RECIPIENT = "recipient"
    TLS = "tls"
    NOTE = "note"
    SYMMETRIC = "symmetric"


_SEED_SIZES = {
    KeyKind.SIGNING: (64, 64),
    KeyKind.NOTE: (64, 64),
    KeyKind.RECIPIENT: (32, 32),
    KeyKind.TLS: (1, MAX_SECRET_BYTES),
    KeyKind.SYMMETRIC: (32, 32),
}


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One secret key with what its owner calls it; its text form never shows the secret.

    Args:
        kind: What ``seed`` is.
        name: One printable line for people, at most 200 characters.
        role: A lower-case word for what it is used as, such as ``node``.
        seed: 64 bytes for ``signing`` and ``note``, 32 for ``recipient`` and ``symmetric``, a private key
            in DER for ``tls``; of a signing key with its half in a token, the 32 bytes of the other.
        created_ms: When it was made, UTC milliseconds.
        half: The Ed25519 half of a signing key, if that is in a token.

    Raises:
        KeyfileError: a field that a key file cannot carry.
    """

    kind: KeyKind
    name: str
    role: str
    seed: bytes = field(repr=False)
    created_ms: int
    half: Ed25519Half | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_label(self.name, "name", MAX_NAME)
        _check_label(self.role, "role", 32)
        smallest, largest = _SEED_SIZES[self.kind] if self.half is None else (MLDSA_SEED_BYTES,) * 2
        if not smallest <= len(self.seed) <= largest:
            raise KeyfileError(f"a {self.kind} key cannot have a secret of {len(self.seed)} bytes")

    @property
    def key_id(self) -> bytes:
        """For a signing key, its id in the directory; for other kinds, a fingerprint of the secret."""
        if self.kind is KeyKind.SIGNING:
            return self.signing_key.key_id
        return tagged("secret-fingerprint", self.kind.value.encode("ascii") + b"\0", self.seed)

    @property
    def signing_key(self) -> CompositeKey:
        """The composite key of a signing key's record, with both its halves."""
        if self.half is not None:
            return SplitKey(self.seed, self.half)
        return SecretKey.from_seed(self.seed)


@dataclass(frozen=True, slots=True)
class KeyDescription:
    """What a key file says about itself without being opened; a claim until it is."""

    kind: KeyKind
    name: str
    role: str
    key_id: bytes
    created_ms: int
    protection: ProtectionLine


ProtectionProvider = Callable[[KeyDescription], Protection]
"""Asked only for a protected file: returns the passphrase or token for what is described."""


def format_secret(record: KeyRecord, protection: Protection, *, salt: bytes = b"") -> str:
    """Return the text of a key file.

    Args:
        record: The key.
        protection: How to protect it; :class:`~keys.protection.Unprotected` is a choice.
        salt: As many fresh random bytes as :func:`~keys.protection.salt_bytes` says.

    Raises:
        KeyfileError: the protection's parameters are out of bounds.
        TokenFailed: the token cannot be used now.
    """
    line = protection_line(protection, salt)
    values = (
        _VERSION,
        record.kind.value,
        record.name,
        record.role,
        record.key_id.hex(),
        format_utc(record.created_ms),
        str(line),
    )
    header = [f"{name}: {value}" for name, value in zip(_NAMES, values, strict=True)]
    stored = encrypt(record.seed, protection, line, _bound(header), salt)
    secret = f"{_secret_prefix(line)} {format_base64(stored)}"
    return "\n".join((_WARNING, *header, secret, ""))


def parse_secret(text: str, provider: ProtectionProvider) -> KeyRecord:
    """Return the key in the text of a key file.

    Args:
        text: The whole file.
        provider: Called with the description of a protected file to obtain what opens it.

    Raises:
        KeyfileError: malformed, altered, or protected by something not offered.
        TooLarge: it is longer than a key file can be.
        WrongPassphrase: what was offered does not open it.
        TokenFailed: it names keys in a token that cannot be used now.
    """
    header, secret, description = _parse(text)
    stored = _parse_stored(secret, description.protection)
    seed, half = stored, None
    if description.protection.is_sealed:
        protection = provider(description)
        seed = decrypt(stored, protection, description.protection, _bound(header))
        if isinstance(protection, InToken) and description.kind is KeyKind.SIGNING:
            half = protection.keys.ed25519()
    record = KeyRecord(
        kind=description.kind,
        name=description.name,
        role=description.role,
        seed=seed,
        created_ms=description.created_ms,
        half=half,
    )
    if record.key_id != description.key_id:
        raise KeyfileError("the id line of the key file does not belong to its secret")
    return record


def describe(text: str) -> KeyDescription:
    """Return what a key file says about itself, without opening it.

    Raises:
        KeyfileError: it is malformed.
        TooLarge: it is longer than a key file can be.
    """
    return _parse(text)[2]


def _parse(text: str) -> tuple[list[str], str, KeyDescription]:
    """Return the header lines, the secret line, and the header's meaning."""
    if len(text) > MAX_TEXT:
        raise TooLarge(f"a key file has at most {MAX_TEXT} characters; this one has {len(text)}")
    if "\r" in text:
        raise KeyfileError(
            "the key file has line ends of another system",
            hint="An editor or a copy in text mode changed it: convert it (dos2unix), or copy it anew.",
        )
    # Not splitlines(): that also splits at characters which may not stand in a header at all.
    lines = [line for line in text.split("\n") if line and not line.startswith("#")]
    if len(lines) != len(_NAMES) + 1:
        raise KeyfileError(f"a key file has {len(_NAMES) + 1} lines of content; this one has {len(lines)}")
    header, secret = lines[:-1], lines[-1]
    values = {name: _value(line, name) for name, line in zip(_NAMES, header, strict=True)}
    if values["almenara-key"] != _VERSION:
        raise KeyfileError(
            "the key file is of a version this program does not know",
            hint="It was written by a newer program: upgrade this one, then try again.",
        )
    return header, secret, _description(values)


def _description(values: dict[str, str]) -> KeyDescription:
    try:
        kind = KeyKind(values["kind"])
    except ValueError as error:
        raise KeyfileError(f"the key file's kind is none of {', '.join(KeyKind)}") from error
    try:
        key_id = parse_hex(values["id"], what="id of the key file", size=32)
        created_ms = parse_utc(values["created"], what="creation time of the key file")
        if format_utc(created_ms) != values["created"]:
            raise FormatError("the creation time of the key file is not in canonical form")
    except FormatError as error:
        raise KeyfileError(error.message) from error
    return KeyDescription(
        kind=kind,
        name=_check_label(values["name"], "name", MAX_NAME),
        role=_check_label(values["role"], "role", 32),
        key_id=key_id,
        created_ms=created_ms,
        protection=parse_protection(values["protection"]),
    )


def _value(line: str, name: str) -> str:
    found, separator, value = line.partition(": ")
    if found != name or not separator:
        # The line itself is not quoted: a misplaced secret must not reach a log.
        raise KeyfileError(f"the key file lacks its line `{name}: ...`, or has it out of order")
    return value


def _parse_stored(line: str, protection: ProtectionLine) -> bytes:
    prefix, _, encoded = line.partition(" ")
    expected = _secret_prefix(protection)
    if prefix != expected:
        raise KeyfileError(f"the last line of this key file must begin with {expected}")
    try:
        return parse_base64(encoded, what="secret of the key file")
    except FormatError as error:
        raise KeyfileError(error.message) from error


def _secret_prefix(protection: ProtectionLine) -> str:
    return _SEALED_SECRET if protection.is_sealed else _OPEN_SECRET


def _bound(header: list[str]) -> bytes:
    """Return the header bytes that the secret's encryption authenticates."""
    return "\n".join(header).encode("utf-8")


def _check_label(text: str, what: str, limit: int) -> str:
    if not (1 <= len(text) <= limit and text.isprintable() and text == text.strip()):
        raise KeyfileError(f"the key's {what} is not one printable line of 1 to {limit} characters")
    return text
