"""Key files of one place: made, opened, and protected by one passphrase that is asked for once."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from exchange.keystore import read_secret, write_secret
from exchange.passphrases import PassphraseSource
from exchange.unlocking import unlock
from keys.keyfile import KeyDescription, KeyKind, KeyRecord, describe, format_secret, parse_secret
from keys.note_keys import NoteRole, NoteSecret
from keys.protection import SALT_BYTES, Passphrase, Protection, Unprotected
from keys.signature import SecretKey
from keys.signer import Signer
from protocol.documents import Role
from protocol.errors import KeyfileError, WrongPassphrase

CREDENTIAL = "almenara-passphrase"
"""The name of the credential that holds the passphrase of a service's key files."""

Protect = Callable[[], Protection]


def protected_by(source: PassphraseSource) -> Protect:
    """Return what protects new key files by a passphrase."""

    def protect() -> Protection:
        return Passphrase(source.passphrase().encode())

    return protect


def protected_like(path: Path, kind: KeyKind, role: str, source: PassphraseSource) -> Protect:
    """Return what protects a new key file as another one is, so that whoever opens one opens both.

    Raises:
        KeyfileError: the other file cannot be read.
        WrongPassphrase: the passphrase does not open it.
    """
    if not described(path).protection.is_sealed:
        return unprotected
    try:
        unlock(path, kind, role, source)
    except WrongPassphrase as error:
        raise WrongPassphrase(
            f"this passphrase does not open {path}: the node could not open a new key with it either",
            hint="Give the one of the node's own keys with --passphrase-file.",
        ) from error
    return protected_by(source)


def unprotected() -> Protection:
    """Leave the secret in the file as it is: the operator's explicit choice."""
    return Unprotected()


def new_signer(path: Path, name: str, role: Role, protection: Protection, now_ms: int) -> Signer:
    """Make a signing key and its file.

    Args:
        path: Where; the name must be free.
        name: What the key is called, for people.
        role: Its one role.
        protection: How the file is protected.
        now_ms: The time now, milliseconds UTC.

    Raises:
        KeyfileError: it cannot be written.
    """
    secret = SecretKey.generate()
    write_key(path, KeyKind.SIGNING, name, role.value, secret.seed, protection, now_ms)
    return Signer(secret, role)


def new_note_secret(path: Path, name: str, role: NoteRole, protection: Protection, now_ms: int) -> NoteSecret:
    """Make the keys of a log or witness, and their file; arguments and errors as :func:`new_signer`."""
    secret = NoteSecret.generate()
    write_key(path, KeyKind.NOTE, name, role.value, secret.seed, protection, now_ms)
    return secret


def write_key(
    path: Path, kind: KeyKind, name: str, role: str, seed: bytes, protection: Protection, now_ms: int
) -> None:
    """Write a key file of mode 0600; never over another.

    Raises:
        KeyfileError: it cannot be written.
    """
    record = KeyRecord(kind=kind, name=name, role=role, seed=seed, created_ms=now_ms)
    salt = b"" if isinstance(protection, Unprotected) else secrets.token_bytes(SALT_BYTES)
    write_secret(path, format_secret(record, protection, salt=salt))


def open_signer(path: Path, role: Role, source: PassphraseSource) -> Signer:
    """Open a signing key's file; the passphrase is asked for only if the file needs it.

    Raises:
        KeyfileUnsafe: others could read the file.
        WrongPassphrase: the passphrase does not open it.
        KeyfileError: it is missing, damaged, or a key for something else.
    """

    def offer(_: KeyDescription) -> Protection:
        return Passphrase(source.passphrase().encode())

    try:
        record = parse_secret(read_secret(path), offer)
    except WrongPassphrase as error:
        raise WrongPassphrase(
            f"the passphrase does not open {path}, or the file was altered", hint=error.hint
        ) from error
    if (record.kind, record.role) != (KeyKind.SIGNING, role.value):
        raise KeyfileError(
            f"{path} holds a {record.kind} key of role {record.role}, not a signing key of role {role}",
            hint="Name the right key file.",
        )
    return Signer(SecretKey.from_seed(record.seed), role)


def described(path: Path) -> KeyDescription:
    """Return what a key file says about itself, without opening it.

    Raises:
        KeyfileError: it cannot be read, or is no key file.
    """
    return describe(read_secret(path))
