"""The node's keys at rest and their unlocking."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from exchange.node.key_files import key_files
from exchange.passphrases import PassphraseSource
from exchange.unlocking import unlock
from keys.keyfile import KeyKind
from keys.note_keys import NoteRole, NoteSecret
from keys.signer import Signer
from protocol.documents import Role

NODE = Role.NODE.value
WITNESS = NoteRole.WITNESS.value
VAULT = "vault"


@dataclass(frozen=True, slots=True)
class NodeSecrets:
    """The node keys, the witness keys and the vault key, unlocked; of several, the oldest first.

    ``passphrase`` opens key files that are made later, while the node runs; None if nobody can answer then.
    """

    signers: tuple[Signer, ...]
    witnesses: tuple[NoteSecret, ...]
    vault_key: bytes = field(repr=False)
    passphrase: PassphraseSource | None = None


def unlock_node(keys: Path, passphrase: PassphraseSource) -> NodeSecrets:
    """Unlock every node key and witness key of a data directory, and the vault key.

    Args:
        keys: The folder of key files.
        passphrase: Asked only if a file is protected by one.

    Raises:
        KeyfileError: a file is missing, readable by others, damaged, or of the wrong kind.
        WrongPassphrase: the passphrase does not open it.
    """
    vault = unlock(keys / f"{VAULT}.key", KeyKind.SYMMETRIC, VAULT, passphrase)
    return NodeSecrets(
        signers=tuple(unlock_signer(path, passphrase) for path in key_files(keys, NODE)),
        witnesses=tuple(unlock_witness(path, passphrase) for path in key_files(keys, WITNESS)),
        vault_key=vault.seed,
    )


def unlock_signer(path: Path, passphrase: PassphraseSource) -> Signer:
    """Unlock a node key. Raises KeyfileError as :func:`unlock_node`."""
    return Signer(unlock(path, KeyKind.SIGNING, NODE, passphrase).signing_key, Role.NODE)


def unlock_witness(path: Path, passphrase: PassphraseSource) -> NoteSecret:
    """Unlock a pair of witness keys. Raises KeyfileError as :func:`unlock_node`."""
    return NoteSecret.from_seed(unlock(path, KeyKind.NOTE, WITNESS, passphrase).seed)
