"""Key files of one place: made, opened, and protected by one passphrase or by a token.

Where new keys are made is named by a URI: ``file:``, or ``pkcs11:token=LABEL`` for keys that are made
in a token and stay there.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from exchange.hsm.tokens import Tokens
from exchange.keystore import read_secret, write_secret
from exchange.passphrases import PassphraseSource
from exchange.unlocking import tokens_behind, unlock
from keys.keyfile import KeyDescription, KeyKind, KeyRecord, describe, format_secret
from keys.note_keys import NoteRole, NoteSecret
from keys.protection import InToken, Passphrase, Protection, Unprotected, salt_bytes
from keys.signature import MLDSA_SEED_BYTES, SEED_BYTES
from keys.signer import Signer
from keys.token_uri import TokenUri, parse_token_uri
from protocol.documents import Role
from protocol.errors import KeyfileError, WrongPassphrase

CREDENTIAL = "almenara-passphrase"
"""The name of the credential that holds the passphrase of a service's key files."""

IN_FILES = "file:"


@dataclass(frozen=True, slots=True)
class TokenStore:
    """A token in which new keys are made."""

    tokens: Tokens
    uri: TokenUri


KeyStore: TypeAlias = Protection | TokenStore
"""Where a new key is kept: in its file, protected, or in a token that its file names."""

Protect = Callable[[], KeyStore]


def parse_key_store(text: str) -> TokenUri | None:
    """Return the token that the URI of a key store names, or None for files.

    Raises:
        KeyfileError: it is no such URI, or names keys and not a whole token.
    """
    if text == IN_FILES:
        return None
    uri = parse_token_uri(text)
    if uri.names_keys:
        raise KeyfileError(
            "this names keys in a token, and not the token in which to make some",
            hint="Leave out object= and id=: pkcs11:token=LABEL",
        )
    return uri


def protected_by(source: PassphraseSource) -> Protect:
    """Return what protects new key files by a passphrase."""

    def protect() -> Protection:
        return Passphrase(source.passphrase().encode())

    return protect


def in_token(tokens: Tokens, uri: TokenUri) -> Protect:
    """Return what makes new keys in a token."""
    return lambda: TokenStore(tokens, uri)


def protected_like(path: Path, kind: KeyKind, role: str, source: PassphraseSource) -> Protect:
    """Return what protects a new key file as another one is, so that whoever opens one opens both.

    Raises:
        KeyfileError: the other file cannot be read.
        WrongPassphrase: the passphrase does not open it.
    """
    protection = described(path).protection
    if not protection.is_sealed:
        return unprotected
    if protection.uri is not None:
        return in_token(tokens_behind(source), protection.uri.whole)
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


def new_signer(path: Path, name: str, role: Role, store: KeyStore, now_ms: int) -> Signer:
    """Make a signing key and its file.

    Args:
        path: Where; the name must be free.
        name: What the key is called, for people.
        role: Its one role.
        store: How the file is protected; in a token, the key's Ed25519 half never leaves that.
        now_ms: The time now, milliseconds UTC.

    Raises:
        KeyfileError: it cannot be written, or the token cannot be used; nothing is left behind.
    """
    with _kept_in(store, name, signing=True) as protection:
        half = protection.keys.ed25519() if isinstance(protection, InToken) else None
        record = KeyRecord(
            kind=KeyKind.SIGNING,
            name=name,
            role=role.value,
            seed=secrets.token_bytes(SEED_BYTES if half is None else MLDSA_SEED_BYTES),
            created_ms=now_ms,
            half=half,
        )
        _write(path, record, protection)
    return Signer(record.signing_key, role)


def new_note_secret(path: Path, name: str, role: NoteRole, store: KeyStore, now_ms: int) -> NoteSecret:
    """Make the keys of a log or witness, and their file; arguments and errors as :func:`new_signer`."""
    secret = NoteSecret.generate()
    write_key(path, KeyKind.NOTE, name, role.value, secret.seed, store, now_ms)
    return secret


def write_key(
    path: Path, kind: KeyKind, name: str, role: str, seed: bytes, store: KeyStore, now_ms: int
) -> None:
    """Write a key file of mode 0600; never over another. In a token, it is a key there that locks the file.

    Raises:
        KeyfileError: it cannot be written, or the token cannot be used; nothing is left behind.
    """
    with _kept_in(store, name, signing=False) as protection:
        _write(path, KeyRecord(kind=kind, name=name, role=role, seed=seed, created_ms=now_ms), protection)


def open_signer(path: Path, role: Role, source: PassphraseSource) -> Signer:
    """Open a signing key's file; errors as :func:`exchange.unlocking.unlock`."""
    return Signer(unlock(path, KeyKind.SIGNING, role.value, source).signing_key, role)


def described(path: Path) -> KeyDescription:
    """Return what a key file says about itself, without opening it.

    Raises:
        KeyfileError: it cannot be read, or is no key file.
    """
    return describe(read_secret(path))


@contextmanager
def _kept_in(store: KeyStore, name: str, *, signing: bool) -> Iterator[Protection]:
    """Give the protection of a new file; keys made for it in a token go again if it is not written."""
    if not isinstance(store, TokenStore):
        yield store
        return
    keys = store.tokens.make(store.uri, name, signing=signing)
    try:
        yield InToken(keys)
    except BaseException:
        keys.destroy()
        raise


def _write(path: Path, record: KeyRecord, protection: Protection) -> None:
    salt = secrets.token_bytes(salt_bytes(protection))
    write_secret(path, format_secret(record, protection, salt=salt))
