"""Opening a key file of a service: whatever protects it, and only if it is the key wanted."""

from __future__ import annotations

from pathlib import Path

from exchange.keystore import read_secret
from exchange.passphrases import PassphraseSource
from keys.keyfile import KeyDescription, KeyKind, KeyRecord, parse_secret
from keys.protection import Passphrase, Protection
from protocol.errors import KeyfileError


def unlock(path: Path, kind: KeyKind, role: str, passphrase: PassphraseSource) -> KeyRecord:
    """Unlock one key file and check that it is the kind and role wanted.

    Raises:
        KeyfileError: it is missing, readable by others, damaged, or of another kind or role.
        WrongPassphrase: the passphrase does not open it.
    """

    def offer(_: KeyDescription) -> Protection:
        return Passphrase(passphrase.passphrase().encode())

    record = parse_secret(read_secret(path), offer)
    if (record.kind, record.role) != (kind, role):
        raise KeyfileError(f"{path} holds a {record.kind} key of role {record.role}, not of role {role}")
    return record
