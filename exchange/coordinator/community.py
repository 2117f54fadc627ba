"""Which community this coordinator serves: taken over from a file once, rebuilt at every start."""

from __future__ import annotations

import ssl
from collections.abc import Collection
from functools import lru_cache

import structlog

from exchange.coordinator.documents import fitting
from exchange.stores.contract import CoordinatorStore
from keys.enrolment import load_community
from keys.roster import Roster
from keys.signer import Verifier
from keys.trust import TrustedDirectory
from protocol.digest import certificate_id, signing_key_id
from protocol.documents import signed_document_hash
from protocol.errors import SetupError

PAGE_DOCUMENTS = 64
PAGE_BYTES = 8 * 1024 * 1024
CERTIFICATES_KEPT = 1024
"""Of so many certificates it is remembered whether TLS can load them: all are asked for at every change."""

log = structlog.get_logger()


async def import_community(
    store: CoordinatorStore, data: bytes, pinned_root_hash: bytes, verifier: Verifier, now_ms: int
) -> TrustedDirectory:
    """Take over a community file; its documents are durable when this returns.

    Repeating it, also with a newer file of the same community, adds what is new. What does not fit what
    its member has published since is left out, as :meth:`CommunityDocuments.publish_all` says.

    Args:
        store: The coordinator's store.
        data: The file's bytes.
        pinned_root_hash: The 32-byte hash of the first root, from the ceremony.
        verifier: Checks signatures.
        now_ms: The time now, milliseconds UTC.

    Raises:
        FormatError, TrustError, ClockSkew: nothing of the file is used.
        StoreFailed, OutcomeUnknown: repeat the import.
    """
    _, documents = load_community(data, pinned_root_hash, verifier, now_ms)
    while True:
        directory, held = await stored_documents(store, pinned_root_hash, verifier, now_ms)
        unknown = [document for document in documents if not await _is_stored(store, document)]
        fresh, _ = fitting(directory, unknown, now_ms)
        async with store.turn() as turn:
            # If another process added some meanwhile, these are tried behind them.
            if turn.documents == held:
                await turn.append_documents(fresh, now_ms)
                return directory


async def stored_directory(
    store: CoordinatorStore, pinned_root_hash: bytes, verifier: Verifier, now_ms: int
) -> TrustedDirectory:
    """Return what the stored documents add up to; raises as :func:`stored_documents`."""
    return (await stored_documents(store, pinned_root_hash, verifier, now_ms))[0]


async def stored_documents(
    store: CoordinatorStore, pinned_root_hash: bytes, verifier: Verifier, now_ms: int
) -> tuple[TrustedDirectory, int]:
    """Verify every stored document again, in order, and return what they add up to, and how many they are.

    Raises:
        FormatError, TrustError: a stored document is not what was accepted.
    """
    directory = TrustedDirectory(pinned_root_hash, verifier)
    index = 0
    while documents := await store.documents(index, limit=PAGE_DOCUMENTS, max_bytes=PAGE_BYTES):
        for document in documents:
            directory.update(document, now_ms)
        index += len(documents)
    return directory, index


def own_code(directory: Roster, held: Collection[bytes], expected: str = "") -> str:
    """Return the code under which the directory lists one of this coordinator's statement keys.

    Args:
        directory: The trusted directory.
        held: The ids of the statement keys that are here.
        expected: The code that the settings name, or nothing for any.

    Raises:
        SetupError: it lists none of them under that code.
    """
    for entry in directory.coordinators():
        if signing_key_id(entry.key) in held and expected in ("", entry.code):
            return entry.code
    shown = ", ".join(sorted(key_id.hex()[:16] for key_id in held))
    raise SetupError(
        f"the directory lists no coordinator {expected} with the statement key {shown}",
        hint="If governance has admitted it already: almenara coordinator join --data DIR community.alm; "
        "otherwise send request.alm to governance first.",
    )


def pinned_certificates(directory: Roster) -> tuple[bytes, ...]:
    """Return the TLS certificates of all active states that TLS can load, in DER.

    One member's broken certificate must not shut the others out.
    """
    usable = []
    for state in directory.states():
        for der in directory.certificates(state.code):
            if _loads(der):
                usable.append(der)
            else:
                log.warning("certificate.unusable", state=state.code, certificate=certificate_id(der).hex())
    return tuple(usable)


async def _is_stored(store: CoordinatorStore, document: bytes) -> bool:
    return await store.document_index(signed_document_hash(document)) is not None


@lru_cache(maxsize=CERTIFICATES_KEPT)
def _loads(der: bytes) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=der)
    except (ValueError, ssl.SSLError):
        return False
    return True
