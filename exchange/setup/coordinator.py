"""A coordinator set up by hand: its keys and request, then the community it serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from exchange.clock import Clock
from exchange.coordinator.community import import_community
from exchange.datadir import DataDir
from exchange.keystore import write_secret
from exchange.link.certificate import make_certificate
from exchange.pinned_root import ROOT_HASH_FILE, read_pinned_root
from exchange.setup import words
from exchange.setup.files import REQUEST_FILE, new_place, read_file, write_file
from exchange.setup.keyring import Protect, new_note_secret, new_signer
from exchange.setup.renewing import CERTIFICATE_LIFE_MS, require_ours
from exchange.setup.settings_file import settings_text
from exchange.stores.opening import StorePlace, open_store
from keys.enrolment import coordinator_entry, coordinator_request, fingerprint, load_community
from keys.note_keys import NoteRole
from keys.signer import Verifier
from keys.trust import TrustedDirectory
from protocol import codec
from protocol.documents import Role
from protocol.enrolment import MAX_COMMUNITY_BYTES


@dataclass(frozen=True, slots=True)
class NewCoordinator:
    """What people must know about a coordinator that was set up."""

    code: str
    url: str
    fingerprint: str
    request: Path
    key_id: bytes


def create_coordinator(
    data: Path,
    *,
    code: str,
    name: str,
    root_hash: bytes,
    host: str,
    port: int,
    urls: Sequence[str],
    protect: Protect,
    now_ms: int,
    ledger_port: int | None = None,
    remember: Mapping[str, str] = MappingProxyType({}),
) -> NewCoordinator:
    """Make a coordinator's keys, settings and request to be admitted.

    Args:
        data: A data directory that does not exist, or is empty.
        code: The code under which it asks to be listed.
        name: What it is called.
        root_hash: The hash of the community's first root, from the ceremony.
        host: The address to listen on.
        port: The port to listen on.
        urls: How nodes reach it, or nothing if that is ``wss://host:port``.
        protect: How the files of the statement key and the log keys are protected.
        now_ms: The time now, milliseconds UTC.
        ledger_port: The port on which auditors read the ledger, at the same address; None for none.
        remember: More settings to write, such as the token's library.

    Raises:
        BadRequest: a code, name or address does not fit.
        SetupError, KeyfileError: the files cannot be written; nothing is left behind.
    """
    code, name = words.party_code(code), words.line(name, "coordinator's name")
    reached_at = words.addresses(urls, host, port)
    place = DataDir(data)
    with new_place(data):
        place.create()
        protection = protect()
        signer = new_signer(
            place.keys / "statement.key", f"{code} statements", Role.COORDINATOR, protection, now_ms
        )
        log = new_note_secret(place.keys / "log.key", f"{code} log", NoteRole.LOG, protection, now_ms)
        certificate = make_certificate(code, now_ms, CERTIFICATE_LIFE_MS)
        write_secret(place.keys / "tls.key", certificate.key_pem.decode("ascii"))
        write_file(place.keys / "tls.crt", certificate.pem)
        write_file(data / ROOT_HASH_FILE, f"{root_hash.hex()}\n".encode())
        settings: dict[str, str | int] = {"code": code, "host": host, "port": port, **remember}
        if ledger_port is not None:
            settings |= {"ledger_host": host, "ledger_port": ledger_port}
        write_file(place.settings_file, settings_text(f"The coordinator {code}.", settings))
        entry = coordinator_entry(
            signer,
            code=code,
            name=name,
            url=reached_at,
            community=root_hash,
            certificates=[certificate.der],
            log=log.keys(words.log_name(reached_at, code, root_hash), code, NoteRole.LOG, root_hash),
        )
        # Last: a place with a request is complete.
        write_file(data / REQUEST_FILE, codec.encode(coordinator_request(entry, root_hash)))
    return NewCoordinator(code, reached_at, fingerprint(signer.public), data / REQUEST_FILE, signer.key_id)


async def join_community(
    data: Path, community: Path, clock: Clock, store_at: StorePlace | None = None
) -> TrustedDirectory:
    """Take over a community file, or what is new in a newer one; durable when this returns.

    Args:
        data: The coordinator's data directory; no process may have it.
        community: The file from governance.
        clock: The source of time.
        store_at: Where its store is, if that is not the file in its data directory.

    Raises:
        DataDirBusy: the coordinator runs.
        WrongCommunity, TrustError, FormatError: the file is not to be believed; nothing is changed.
        SetupError: governance has not admitted this coordinator yet.
    """
    place = DataDir(data)
    with place:
        content = checked_community(data, community, clock)
        store = await open_store(store_at or StorePlace(place.database), clock)
        try:
            return await import_community(store, content, read_pinned_root(data), Verifier(), clock.now_ms())
        finally:
            await store.close()


def checked_community(data: Path, community: Path, clock: Clock) -> bytes:
    """Return a community file's content, verified from the pinned root hash; it lists this coordinator.

    Raises:
        WrongCommunity, TrustError, FormatError: the file is not to be believed.
        SetupError: governance has not admitted this coordinator yet.
    """
    content = read_file(community, MAX_COMMUNITY_BYTES, "community file")
    offered, _ = load_community(content, read_pinned_root(data), Verifier(), clock.now_ms())
    held = offered.documents.directory
    require_ours(data, () if held is None else held.document.coordinators)
    return content
