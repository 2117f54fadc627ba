"""The node's keys at rest and their unlocking."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from exchange.keystore import read_secret
from exchange.passphrases import PassphraseSource
from keys.keyfile import KeyDescription, KeyKind, KeyRecord, parse_secret
from keys.note_keys import NoteRole, NoteSecret
from keys.protection import Passphrase, Protection
from keys.signature import SecretKey
from keys.signer import Signer
from protocol.documents import Role
from protocol.errors import KeyfileError


@dataclass(frozen=True, slots=True)
class NodeSecrets:
    """The node key, the witness's keys and the vault key, unlocked."""

    signer: Signer
    witness: NoteSecret
    vault_key: bytes = field(repr=False)


def unlock_node(keys: Path, passphrase: PassphraseSource) -> NodeSecrets:
    """Unlock the node key, the witness's keys and the vault key of a data directory.

    Args:
        keys: The folder of key files.
        passphrase: Asked only if a file is protected by one.

    Raises:
        KeyfileError: a file is missing, readable by others, damaged, or of the wrong kind.
        WrongPassphrase: the passphrase does not open it.
    """
    node = unlock(keys / "node.key", KeyKind.SIGNING, "node", passphrase)
    witness = unlock(keys / "witness.key", KeyKind.NOTE, NoteRole.WITNESS, passphrase)
    vault = unlock(keys / "vault.key", KeyKind.SYMMETRIC, "vault", passphrase)
    return NodeSecrets(
        signer=Signer(SecretKey.from_seed(node.seed), Role.NODE),
        witness=NoteSecret.from_seed(witness.seed),
        vault_key=vault.seed,
    )


def unlock(path: Path, kind: KeyKind, role: str, passphrase: PassphraseSource) -> KeyRecord:
    """Unlock one key file and check that it is the kind and role wanted.

    Raises:
        KeyfileError: as :func:`unlock_node`.
    """

    def offer(_: KeyDescription) -> Protection:
        return Passphrase(passphrase.passphrase().encode())

    record = parse_secret(read_secret(path), offer)
    if (record.kind, record.role) != (kind, role):
        raise KeyfileError(f"{path} holds a {record.kind} key of role {record.role}, not of role {role}")
    return record
