"""A request to be admitted, read again: who asks, with which key, and what would be published.

Nothing here is verified; governance does that before anybody is admitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exchange.setup.files import read_file
from protocol.digest import certificate_id, signing_key_id
from protocol.documents import (
    PrekeyList,
    Publication,
    StateManifest,
    parse_document,
    parse_signed_document,
)
from protocol.enrolment import MAX_REQUEST_BYTES, CoordinatorRequest, Request, StateRequest, parse_request
from protocol.errors import UnknownKind
from protocol.text import format_utc


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for; ``key_id`` is what people compare, ``contents`` one line a piece."""

    kind: str
    code: str
    name: str
    key_id: bytes
    community: bytes
    contents: tuple[str, ...]


def read_request(path: Path) -> Request:
    """Read a request's file.

    Raises:
        SetupError, TooLarge: it cannot be read.
        UnknownKind, FormatError: it is no request.
    """
    data = read_file(path, MAX_REQUEST_BYTES, "request")
    try:
        return parse_request(data)
    except UnknownKind as error:
        raise UnknownKind(
            f"{path} is no request to be admitted: {error.message}",
            hint="Name the request.alm of a node or coordinator; community.alm goes the other way, to join.",
        ) from error


def asked(request: Request) -> Asked:
    """Return what a request asks for.

    Raises:
        FormatError: a document in it is malformed.
    """
    match request:
        case StateRequest():
            return Asked(
                "state",
                request.code,
                request.name,
                signing_key_id(request.identity),
                request.community,
                tuple(line for document in request.documents for line in document_lines(document)),
            )
        case CoordinatorRequest(community=community, entry=entry):
            contents = (f"nodes reach it at {entry.url}", f"its logs sign as {entry.log.name}")
            key_id = signing_key_id(entry.key)
            return Asked("coordinator", entry.code, entry.name, key_id, community, contents)


def document_lines(data: bytes) -> list[str]:
    """Return what a signed document holds, one line a piece; nothing is verified.

    Raises:
        FormatError: it is malformed.
    """
    document = parse_document(parse_signed_document(data).body)
    match document:
        case StateManifest():
            until = max((key.until_ms for key in document.keys), default=document.expires_ms)
            return [
                *(f"{key.role} key {key.key_id.hex()[:16]} of {key.owner}" for key in document.keys),
                *(f"TLS certificate {certificate_id(der).hex()[:16]}" for der in document.certificates),
                *(f"revokes the key {item.key_id.hex()[:16]}" for item in document.revoked),
                f"manifest version {document.version}, its keys until {format_utc(until)}",
            ]
        case PrekeyList():
            last = document.keys[-1].use_until_ms
            return [f"{len(document.keys)} daily keys, the last day ends {format_utc(last)}"]
        case Publication():
            return [f"publication {document.topic} {document.name}@{document.version}"]
    return [f"a {type(document).__name__}, which only governance signs"]
