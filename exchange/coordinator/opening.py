"""What a coordinator is made of, read from its data directory.

Expected there: ``keys/statement*.key``, ``keys/log.key``, ``keys/tls*.crt`` with their keys, ``root-hash``,
and a database into which a community file was imported.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from exchange.clock import Clock
from exchange.coordinator.anchor import Anchor
from exchange.coordinator.community import own_code, stored_documents
from exchange.coordinator.own_keys import OwnKeys, read_certificates, read_signers
from exchange.datadir import DataDir
from exchange.keystore import read_secret
from exchange.pinned_root import read_pinned_root
from exchange.restored import require_reconciled
from exchange.settings import CoordinatorSettings
from exchange.stores.contract import CoordinatorStore
from exchange.stores.ledger_contract import LedgerStore
from exchange.stores.opening import StorePlace, open_store
from exchange.stores.sharing_contract import Sharing
from keys.keyfile import KeyKind, ProtectionProvider, parse_secret
from keys.note_keys import NoteRole, NoteSecret
from keys.signer import Verifier
from keys.trust import TrustedDirectory
from protocol.errors import SetupError


@dataclass(frozen=True, slots=True)
class Parts:
    """What a coordinator is made of, read from its data directory.

    ``documents`` says how many of the store's documents the directory is made of.
    """

    store: CoordinatorStore
    ledger: LedgerStore
    sharing: Sharing
    anchor: Anchor
    directory: TrustedDirectory
    documents: int
    verifier: Verifier
    keys: OwnKeys
    log_secret: NoteSecret
    access: Path


@asynccontextmanager
async def opened(
    settings: CoordinatorSettings, provider: ProtectionProvider, clock: Clock
) -> AsyncIterator[Parts]:
    """Lock the data directory, open what lies in it, and close it again at the end.

    Args:
        settings: Where the data directory is.
        provider: Asked for the passphrase if a key file has one.
        clock: The one clock.

    Raises:
        DataDirBusy: another process has it, or the anchor.
        SetupError, KeyfileError, StoreFailed: something in it is missing or wrong.
        FormatError, TrustError: a stored document is not what was accepted.
    """
    place = DataDir(settings.data)
    with place:
        require_reconciled(place.path)
        signers = read_signers(place.keys, provider)
        log_secret = read_log_secret(place.keys / "log.key", provider)
        pinned = read_pinned_root(place.path)
        anchor = Anchor(settings.anchor)
        anchor.open()
        store = None
        try:
            store = await open_store(store_place(settings), clock)
            verifier = Verifier()
            directory, documents = await stored_documents(store, pinned, verifier, clock.now_ms())
            code = own_code(directory, {signer.key_id for signer in signers}, settings.code)
            yield Parts(
                store=store,
                ledger=store.ledger,
                sharing=store.sharing,
                anchor=anchor,
                directory=directory,
                documents=documents,
                verifier=verifier,
                keys=OwnKeys(directory, code, signers, partial(read_certificates, place.keys)),
                log_secret=log_secret,
                access=place.access,
            )
        finally:
            if store is not None:
                await store.close()
            anchor.close()


def store_place(settings: CoordinatorSettings) -> StorePlace:
    """Return where the settings say that the store is."""
    return StorePlace(DataDir(settings.data).database, settings.store, settings.store_password_file)


def read_log_secret(path: Path, provider: ProtectionProvider) -> NoteSecret:
    """Return the keys with which the coordinator signs its ledger's checkpoints.

    Raises:
        KeyfileError: they cannot be used from where they lie, or do not open.
        SetupError: it is a key for something else.
    """
    record = parse_secret(read_secret(path), provider)
    if record.kind is not KeyKind.NOTE or record.role != NoteRole.LOG.value:
        raise SetupError(f"{path} is a {record.role} key, not the key of a coordinator's log")
    return NoteSecret.from_seed(record.seed)
