"""A coordinator's next certificate, statement key or addresses, asked for by a new request.

Nothing changes before governance lists it. A certificate comes in two steps, each a directory of its
own: first it is listed behind the one in use, so that every member learns it; when all have, it is
listed alone, and used. A statement key needs one step: the coordinator greets whoever was away with
the old one. See :mod:`exchange.coordinator.own_keys`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from exchange.datadir import DataDir
from exchange.keystore import write_secret
from exchange.link.certificate import certificate_der, make_certificate
from exchange.pinned_root import read_pinned_root
from exchange.setup.files import REQUEST_FILE, read_file, require_data, write_file
from exchange.setup.keyring import Protect, described, new_signer
from exchange.setup.words import YEAR_MS, addresses
from keys.enrolment import coordinator_request
from keys.signer import sign_possession
from protocol import codec
from protocol.digest import certificate_id, signing_key_id
from protocol.documents import CoordinatorEntry, Role
from protocol.enrolment import MAX_REQUEST_BYTES, CoordinatorRequest, parse_request
from protocol.errors import BadRequest, FormatError, SetupError, UnknownSigner

CERTIFICATE_LIFE_MS = 2 * YEAR_MS
MAX_CERTIFICATES = 4


@dataclass(frozen=True, slots=True)
class Renewal:
    """What was made, and what is asked of governance."""

    files: tuple[Path, ...]
    request: Path
    entry: CoordinatorEntry


def asked_entry(data: Path) -> CoordinatorEntry:
    """Return the entry that the coordinator asks for.

    Raises:
        SetupError: the request is missing, or is a state's.
        FormatError: it is damaged.
    """
    require_data(data)
    path = data / REQUEST_FILE
    request = parse_request(read_file(path, MAX_REQUEST_BYTES, "request"))
    if not isinstance(request, CoordinatorRequest):
        raise SetupError(
            f"{path} is the request of a state, not of a coordinator",
            hint="Name the coordinator's data directory.",
        )
    return request.entry


def announce_certificate(data: Path, now_ms: int) -> Renewal:
    """Make a certificate, and ask for it to be listed behind the present ones.

    Raises:
        BadRequest: as many are listed as there can be.
        SetupError, KeyfileError: the files cannot be written.
    """
    place, entry = DataDir(data), asked_entry(data)
    if len(entry.certificates) >= MAX_CERTIFICATES:
        raise BadRequest(
            f"{entry.code} asks for {MAX_CERTIFICATES} certificates already, which is the most there can be",
            hint="Finish the last change first: almenara coordinator rotate certificate --finish --data DIR",
        )
    made = make_certificate(entry.code, now_ms, CERTIFICATE_LIFE_MS)
    path = _free(place.keys, "tls", ".crt")
    # The key first: a certificate without one would be passed over.
    write_secret(path.with_suffix(".key"), made.key_pem.decode("ascii"))
    write_file(path, made.pem)
    asked = msgspec.structs.replace(entry, certificates=(*entry.certificates, made.der))
    return _ask(data, asked, (path, path.with_suffix(".key")))


def finish_certificate(data: Path) -> Renewal:
    """Ask for the newest certificate to be listed alone; from then on it is used.

    Raises:
        BadRequest: none was announced.
    """
    entry = asked_entry(data)
    if len(entry.certificates) == 1:
        raise BadRequest(
            f"{entry.code} has one certificate, so there is no change to finish",
            hint="Announce the next one first: almenara coordinator rotate certificate --data DIR",
        )
    return _ask(data, msgspec.structs.replace(entry, certificates=entry.certificates[-1:]), ())


def change_addresses(data: Path, urls: Sequence[str]) -> Renewal:
    """Ask for these addresses to be listed in place of the present ones.

    Raises:
        BadRequest: there is none, one is no address, or there are too many.
        SetupError: the request cannot be written.
    """
    if not urls:
        raise BadRequest("no address is named", hint="Name all of them: --url wss://host:port, once for each")
    asked = msgspec.structs.replace(asked_entry(data), url=addresses(urls, "", 0))
    return _ask(data, asked, ())


def next_statement_key(data: Path, protect: Protect, now_ms: int) -> Renewal:
    """Make a statement key, and ask for it to be listed in place of the present one.

    Raises:
        SetupError, KeyfileError: the files cannot be written.
    """
    entry, community = asked_entry(data), read_pinned_root(data)
    path = _free(DataDir(data).keys, "statement", ".key")
    signer = new_signer(path, f"{entry.code} statements", Role.COORDINATOR, protect(), now_ms)
    possession = sign_possession(signer, entry.code, community)
    asked = msgspec.structs.replace(entry, key=signer.public, possession=possession)
    return _ask(data, asked, (path,))


def require_ours(data: Path, listed: Collection[CoordinatorEntry]) -> None:
    """Return only if the directory lists this coordinator, with a key and a certificate that are here.

    Raises:
        SetupError: it does not list it.
        UnknownSigner: it lists somebody else under its code.
    """
    asked = asked_entry(data)
    entry = next((entry for entry in listed if entry.code == asked.code), None)
    if entry is None:
        raise SetupError(
            f"governance has not admitted the coordinator {asked.code} yet",
            hint=f"Send {REQUEST_FILE} to governance, and join with the community file it sends back.",
        )
    keys = DataDir(data).keys
    held = {described(path).key_id for path in keys.glob("statement*.key")}
    shown = {certificate_id(certificate_der(path.read_bytes())) for path in keys.glob("tls*.crt")}
    pinned = {certificate_id(der) for der in entry.certificates}
    if signing_key_id(entry.key) not in held or not shown & pinned:
        raise UnknownSigner(
            f"the directory lists {asked.code} with a key or certificate that is not here",
            hint="Do not use this file. Tell every custodian at once, unless a key file was lost here.",
        )


def _free(folder: Path, stem: str, suffix: str) -> Path:
    number = 2
    while (path := folder / f"{stem}-{number}{suffix}").exists() or path.with_suffix(".key").exists():
        number += 1
    return path


def _ask(data: Path, entry: CoordinatorEntry, files: tuple[Path, ...]) -> Renewal:
    try:
        content = codec.encode(coordinator_request(entry, read_pinned_root(data)))
        parse_request(content)
    except FormatError as error:
        raise SetupError(f"the next request would not be well formed: {error.message}") from error
    write_file(data / REQUEST_FILE, content)
    return Renewal(files, data / REQUEST_FILE, entry)
