"""How the secret in a key file is protected: not at all, by a passphrase, a token, or keys in a device.

A protection is one word and its parameters on one line of the key file, so that new ones can
join the list without touching the others. Parameters are bounded as they are read, before any
derivation: a file from elsewhere must not make a node compute for hours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keys.signature import Ed25519Half
from keys.token_uri import TokenUri, parse_token_uri
from protocol.digest import tag
from protocol.errors import FormatError, KeyfileError, WrongPassphrase
from protocol.text import format_base64, parse_base64

SALT_BYTES = 32
TOKEN_BYTES = 32
NONCE_BYTES = 12
MAX_MEMORY_KIB = 1024 * 1024
MAX_ITERATIONS = 10
MAX_LANES = 4

_NONE = "none"
_PASSPHRASE = "passphrase"  # noqa: S105  (a word of the format, not a secret)
_TOKEN = "token"  # noqa: S105
PKCS11 = "pkcs11"
_NUMBER = "([1-9][0-9]{0,7})"
_ARGON2 = re.compile(
    rf"passphrase argon2id memory-kib={_NUMBER} iterations={_NUMBER} lanes={_NUMBER} salt=(\S+)"
)
_HKDF = re.compile(r"token hkdf-sha256 salt=(\S+)")


@dataclass(frozen=True, slots=True)
class Unprotected:
    """The secret stands in the file as it is. Chosen explicitly, never a fallback."""


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A passphrase stretched with Argon2id; the defaults cost about 0.12 s and 64 MiB.

    Args:
        passphrase: The bytes the operator typed; never shown.
        memory_kib: Memory in KiB, at most 1 GiB. Used when writing; a file states its own.
        iterations: Passes over it, at most 10.
        lanes: Degree of parallelism, at most 4.
    """

    passphrase: bytes = field(repr=False)
    memory_kib: int = 64 * 1024
    iterations: int = 3
    lanes: int = 1


@dataclass(frozen=True, slots=True)
class Token:
    """A 32-byte random secret kept elsewhere, such as a service manager's credential."""

    secret: bytes = field(repr=False)


class TokenKeys(Protocol):
    """The keys under one name in a PKCS#11 token: they work there, and never leave it."""

    @property
    def uri(self) -> TokenUri:
        """Their name."""
        ...

    def encrypt(self, nonce: bytes, secret: bytes, bound: bytes) -> bytes:
        """Return ``secret`` by AES-256-GCM, with its tag.

        Raises:
            TokenFailed: the token cannot be used now, or has no such key.
        """
        ...

    def decrypt(self, nonce: bytes, data: bytes, bound: bytes) -> bytes:
        """Return what was encrypted.

        Raises:
            WrongPassphrase: it was altered, or encrypted by another key.
            TokenFailed: the token cannot be used now, or has no such key.
        """
        ...

    def ed25519(self) -> Ed25519Half:
        """Return the Ed25519 key of this name.

        Raises:
            TokenFailed: the token cannot be used now, or has no such key.
        """
        ...


@dataclass(frozen=True, slots=True)
class InToken:
    """A signing key whose Ed25519 half is in a token, with the rest locked by a key of that token."""

    keys: TokenKeys = field(repr=False)


Protection: TypeAlias = Unprotected | Passphrase | Token | InToken


@dataclass(frozen=True, slots=True)
class ProtectionLine:
    """What a key file says about its protection, bounds already checked.

    Attributes:
        word: ``none``, ``passphrase``, ``token`` or ``pkcs11``.
        salt: 32 bytes; empty for ``none`` and ``pkcs11``.
        memory_kib: Argon2id memory; 0 unless a passphrase is asked for.
        iterations: Argon2id passes; 0 likewise.
        lanes: Argon2id lanes; 0 likewise.
        uri: The name of the keys in a token; None unless the word is ``pkcs11``.
    """

    word: str
    salt: bytes = b""
    memory_kib: int = 0
    iterations: int = 0
    lanes: int = 0
    uri: TokenUri | None = None

    @property
    def is_sealed(self) -> bool:
        """Whether something is needed to open the file."""
        return self.word != _NONE

    def __str__(self) -> str:
        if self.uri is not None:
            return f"{PKCS11} {self.uri}"
        salt = f"salt={format_base64(self.salt)}"
        if self.word == _PASSPHRASE:
            cost = f"memory-kib={self.memory_kib} iterations={self.iterations} lanes={self.lanes}"
            return f"{_PASSPHRASE} argon2id {cost} {salt}"
        return f"{_TOKEN} hkdf-sha256 {salt}" if self.word == _TOKEN else _NONE


def salt_bytes(protection: Protection) -> int:
    """Return how many fresh random bytes a file under this protection takes."""
    if isinstance(protection, Unprotected):
        return 0
    return NONCE_BYTES if isinstance(protection, InToken) else SALT_BYTES


def protection_line(protection: Protection, salt: bytes) -> ProtectionLine:
    """Return the line to write for a protection.

    Args:
        protection: What the operator chose.
        salt: As many fresh random bytes as :func:`salt_bytes` says.

    Raises:
        KeyfileError: an empty passphrase, a token or salt of a wrong length, or costs out of
            bounds.
    """
    if isinstance(protection, Unprotected):
        line = ProtectionLine(_NONE, salt)
    elif isinstance(protection, InToken):
        if len(salt) != NONCE_BYTES:
            raise KeyfileError(f"a token encrypts with {NONCE_BYTES} random bytes, not {len(salt)}")
        line = ProtectionLine(PKCS11, uri=protection.keys.uri)
    elif isinstance(protection, Token):
        line = ProtectionLine(_TOKEN, salt)
    else:
        costs = (protection.memory_kib, protection.iterations, protection.lanes)
        line = ProtectionLine(_PASSPHRASE, salt, *costs)
    return _checked(line)


def parse_protection(text: str) -> ProtectionLine:
    """Return the line's meaning; every parameter within its bounds.

    Raises:
        KeyfileError: an unknown protection, or parameters malformed or out of bounds.
    """
    if text == _NONE:
        return ProtectionLine(_NONE)
    if match := _HKDF.fullmatch(text):
        return _checked(ProtectionLine(_TOKEN, _salt(match[1])))
    if match := _ARGON2.fullmatch(text):
        memory, iterations, lanes = (int(match[group]) for group in (1, 2, 3))
        return _checked(ProtectionLine(_PASSPHRASE, _salt(match[4]), memory, iterations, lanes))
    if text.startswith(f"{PKCS11} "):
        return _in_token(text)
    raise KeyfileError(
        "the protection line of the key file is not one this program knows",
        hint="It may be from a newer version, or damaged: compare `almenara --version`, or restore a backup.",
    )


def encrypt(secret: bytes, protection: Protection, line: ProtectionLine, header: bytes, salt: bytes) -> bytes:
    """Return the secret as the file holds it, bound to every byte of the header.

    Raises:
        TokenFailed: it is to be locked by a token that cannot be used now.
    """
    if not line.is_sealed:
        return secret
    if isinstance(protection, InToken):
        return salt + protection.keys.encrypt(salt, secret, header)
    # The zero nonce is safe: salt and header make this key, and it encrypts once.
    return _cipher(protection, line, header).encrypt(bytes(12), secret, header)


def decrypt(data: bytes, protection: Protection, line: ProtectionLine, header: bytes) -> bytes:
    """Return the secret from what the file holds.

    Raises:
        KeyfileError: another kind of protection was offered than the file asks for.
        WrongPassphrase: it does not open, or the file was altered; the two cannot be told
            apart.
        TokenFailed: the file names keys in a token that cannot be used now.
    """
    if not line.is_sealed:
        return data
    if isinstance(protection, InToken) and line.uri == protection.keys.uri:
        return protection.keys.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], header)
    try:
        return _cipher(protection, line, header).decrypt(bytes(12), data, header)
    except InvalidTag as error:
        raise WrongPassphrase(f"this {line.word} does not open the key file") from error


def _cipher(protection: Protection, line: ProtectionLine, header: bytes) -> AESGCM:
    key = HKDF(hashes.SHA256(), 32, line.salt, tag("keyfile") + header).derive(_input_key(protection, line))
    return AESGCM(key)


def _input_key(protection: Protection, line: ProtectionLine) -> bytes:
    if isinstance(protection, Passphrase) and line.word == _PASSPHRASE:
        if not protection.passphrase:
            raise KeyfileError(
                "the passphrase is empty", hint="Type one, or choose explicitly to leave the key unprotected."
            )
        return Argon2id(
            salt=line.salt,
            length=32,
            iterations=line.iterations,
            lanes=line.lanes,
            memory_cost=line.memory_kib,
        ).derive(protection.passphrase)
    if isinstance(protection, Token) and line.word == _TOKEN:
        if len(protection.secret) != TOKEN_BYTES:
            raise KeyfileError(f"a token has {TOKEN_BYTES} bytes; this one has {len(protection.secret)}")
        return protection.secret
    if line.word == PKCS11:
        raise KeyfileError(
            "this key file needs the token that it names, and something else was offered",
            hint="Plug the token in, and name its library with --pkcs11-module or ALMENARA_PKCS11_MODULE.",
        )
    raise KeyfileError(
        f"this key file is protected by a {line.word}, and something else was offered",
        hint=f"Give the {line.word} that was set when the key was made.",
    )


def _salt(text: str) -> bytes:
    try:
        return parse_base64(text, what="salt of the key file")
    except FormatError as error:
        raise KeyfileError(error.message) from error


def _in_token(text: str) -> ProtectionLine:
    uri = parse_token_uri(text.removeprefix(f"{PKCS11} "))
    line = ProtectionLine(PKCS11, uri=uri)
    if not uri.names_keys or str(line) != text:
        raise KeyfileError("the protection line of the key file does not name keys in a token canonically")
    return line


def _checked(line: ProtectionLine) -> ProtectionLine:
    if len(line.salt) != (SALT_BYTES if line.word in (_PASSPHRASE, _TOKEN) else 0):
        raise KeyfileError(
            f"a key file protected by {line.word} cannot have a salt of {len(line.salt)} bytes"
        )
    if line.word == _PASSPHRASE and not (
        1 <= line.lanes <= MAX_LANES
        and 1 <= line.iterations <= MAX_ITERATIONS
        and 8 * line.lanes <= line.memory_kib <= MAX_MEMORY_KIB
    ):
        raise KeyfileError(
            f"the passphrase costs of the key file are out of bounds: at most {MAX_MEMORY_KIB} KiB, "
            f"{MAX_ITERATIONS} iterations and {MAX_LANES} lanes",
            hint="Do not use this file: no version of this program wrote it. Restore it from backup.",
        )
    return line
