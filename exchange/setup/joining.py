"""A node joins: the community file is verified from the pinned root hash, then stored as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw

from exchange.clock import Clock
from exchange.datadir import DataDir
from exchange.node.mirror import load_directory, store_document
from exchange.node.service import MIGRATIONS
from exchange.pinned_root import read_pinned_root
from exchange.setup.files import COMMUNITY_FILE, REQUEST_FILE, read_file, require_data
from exchange.setup.settings_file import change_setting
from exchange.stores.engine import Engine
from exchange.stores.node_books import read_documents
from keys.enrolment import fingerprint, load_community
from keys.signer import Verifier
from keys.trust import TrustedDirectory
from protocol.documents import (
    Directory,
    Root,
    document_hash,
    parse_document,
    parse_signed_document,
    signed_document_hash,
)
from protocol.enrolment import MAX_COMMUNITY_BYTES, MAX_REQUEST_BYTES, StateRequest, parse_request
from protocol.errors import BadRequest, SetupError, UnknownSigner

SUCCESSION_FILE = "succession.alm"
"""The request of a state's next identity key, beside the first one; see :mod:`exchange.setup.succession`."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A community that a node has joined, and the coordinator it uses."""

    directory: TrustedDirectory
    coordinator: str
    added: int


async def join_community(data: Path, community: Path, *, coordinator: str | None, clock: Clock) -> Joined:
    """Verify a community file and store it; durable when this returns. Repeating it is harmless.

    Args:
        data: The node's data directory; no process may have it.
        community: The file from governance.
        coordinator: The code of the coordinator to use; needed only if there are several.
        clock: The source of time.

    Raises:
        DataDirBusy: the node runs.
        WrongCommunity, TrustError, FormatError: the file is not to be believed; nothing is changed.
        SetupError: governance has not admitted this state yet, or there is no coordinator.
        BadRequest: there are several coordinators, or none of the code that was given.
    """
    content = read_file(community, MAX_COMMUNITY_BYTES, "community file")
    place = DataDir(data)
    with place:
        pinned = read_pinned_root(data)
        request = own_request(data)
        now_ms = clock.now_ms()
        offered, documents = load_community(content, pinned, Verifier(), now_ms)
        _require_listed(offered, request, own_identities(data))
        chosen = _choose_coordinator(offered, coordinator)
        engine = await Engine.open(place.database, MIGRATIONS, clock)
        try:
            stored = await engine.read(read_documents)
            _require_own(documents, [*asked_documents(data), *stored], request.code)
            directory = TrustedDirectory(pinned, Verifier())
            load_directory(directory, stored)
            fresh = _take_over(directory, documents, stored, now_ms)
            await engine.write(lambda db: _store(db, fresh))
        finally:
            await engine.close()
        change_setting(place.settings_file, "coordinator", chosen)
    return Joined(directory, chosen, len(fresh))


def own_request(data: Path, name: str = REQUEST_FILE) -> StateRequest:
    """Return the request that the node made when it was set up.

    Args:
        data: The node's data directory.
        name: Which file it is in.

    Raises:
        SetupError: it is missing, or is a coordinator's.
        FormatError: it is damaged.
    """
    require_data(data)
    request = parse_request(read_file(data / name, MAX_REQUEST_BYTES, "request"))
    if not isinstance(request, StateRequest):
        raise SetupError(
            f"{data} is the data directory of a coordinator, not of a node",
            hint="Name a node's data directory with --data. A coordinator takes a community file with: "
            "almenara "
            "coordinator join --data HUB community.alm",
        )
    return request


def own_identities(data: Path) -> frozenset[bytes]:
    """Return the public identity keys that this state has asked to be listed with, old and new.

    Raises:
        SetupError, FormatError: as :func:`own_request`.
    """
    return frozenset(request.identity for request in _requests(data))


def asked_documents(data: Path) -> tuple[bytes, ...]:
    """Return the signed documents that this state has handed to governance with its requests.

    Raises:
        SetupError, FormatError: as :func:`own_request`.
    """
    return tuple(document for request in _requests(data) for document in request.documents)


def _requests(data: Path) -> list[StateRequest]:
    requests = [own_request(data)]
    if (data / SUCCESSION_FILE).exists():
        requests.append(own_request(data, SUCCESSION_FILE))
    return requests


def _require_listed(offered: TrustedDirectory, request: StateRequest, identities: frozenset[bytes]) -> None:
    """Return only if the directory lists this state with its own key, and its manifest is there."""
    entry = offered.documents.entry(request.code)
    if entry is None:
        raise SetupError(
            f"governance has not admitted {request.code} yet",
            hint=f"Send {REQUEST_FILE} to governance, and join with the {COMMUNITY_FILE} it sends back.",
        )
    if entry.identity not in identities:
        raise UnknownSigner(
            f"the directory lists {request.code} with another key, {fingerprint(entry.identity)}",
            hint="Do not use this file. Tell every custodian at once: somebody was admitted in your name.",
        )
    if offered.documents.manifest(request.code) is None:
        raise SetupError(
            f"the community file lists {request.code} without its manifest",
            hint="Ask governance for the file again: it must hold what came with the request.",
        )


def _require_own(documents: Sequence[bytes], issued: Sequence[bytes], state: str) -> None:
    """Refuse a document in this state's name that this node did not issue."""
    own = {signed_document_hash(document) for document in issued}
    for data in documents:
        signed = parse_signed_document(data)
        document = parse_document(signed.body)
        if isinstance(document, Root | Directory) or document.state != state:
            continue
        if document_hash(signed.body) not in own:
            raise UnknownSigner(
                f"the community file holds a document of {state} that this node did not issue",
                hint="Find out who holds a copy of your identity key before you go on.",
            )


def _choose_coordinator(offered: TrustedDirectory, named: str | None) -> str:
    codes = [entry.code for entry in offered.coordinators()]
    if named is not None and named not in codes:
        raise BadRequest(
            f"the community has no coordinator {named}", hint=f"It has: {', '.join(codes) or 'none yet'}."
        )
    if named is None and len(codes) != 1:
        listed = f"has several: {', '.join(codes)}" if codes else "lists no coordinator yet"
        raise (BadRequest if codes else SetupError)(
            f"the community {listed}",
            hint="Choose one with --coordinator CODE."
            if codes
            else "Have governance admit a coordinator, then join with the new community file.",
        )
    return named or codes[0]


def _take_over(
    directory: TrustedDirectory, documents: Sequence[bytes], stored: Sequence[bytes], now_ms: int
) -> list[bytes]:
    """Advance the directory by what is new to it, and return that."""
    known = {signed_document_hash(document) for document in stored}
    fresh = [document for document in documents if signed_document_hash(document) not in known]
    return [document for document in fresh if directory.update(document, now_ms).changed]


def _store(db: apsw.Connection, documents: Sequence[bytes]) -> None:
    for document in documents:
        store_document(db, document)
