"""Says which layer refuses the bytes of a vector, by asking the project's public functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keys.authenticity import verify_delivery, verify_submission
from keys.evidence import verify_statement
from keys.payload import open_payload, unpad
from keys.sealing import OpenedNotice
from protocol import codec
from protocol.envelope import MAX_SUBMISSION_BYTES, Delivery, Submission, parse_delivery, parse_submission
from protocol.errors import AlmenaraError, CannotOpen, FormatError, TooLarge
from protocol.fields import Wire
from protocol.notice import (
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    MAX_MANIFEST_BYTES,
    Attachment,
    Body,
    DirectoryHead,
    Header,
    Manifest,
    header_hash,
    parse_body,
    parse_manifest,
)
from protocol.statement import (
    MAX_SIGNED_STATEMENT_BYTES,
    MAX_STATEMENT_BYTES,
    SignedStatement,
    Statement,
    parse_statement,
)
from tests.openings import open_delivery
from tests.vectors.world import VERIFIER, directory, info, prekey, tag

Verdict = tuple[str, str | None]

BY_CODE = {
    "suite-refused": "suite",
    "forked": "directory",
    "unknown-signer": "signer",
    "malformed": "proof",
    "bad-signature": "signature",
    "tampered": "parts",
    "not-addressed": "addressee",
    "expired": "expiry",
    "clock-skew": "clock",
}


def verdict(folder: str, vector: dict[str, Any]) -> Verdict:
    """Return the layer that refuses the vector's bytes and its code, or ``none``."""
    data = bytes.fromhex(vector["input"])
    data += data[-1:] * (vector.get("repeat_last_byte_to", 0) - len(data))
    return {
        "encoding": _encoding,
        "notice": _notice,
        "envelope": _envelope,
        "opening": _opening,
        "statement": _statement,
    }[folder](vector, data)


def opened(vector: dict[str, Any]) -> OpenedNotice:
    """Return what XBB reads."""
    data = bytes.fromhex(vector["input"])
    found = verify_delivery(directory(), VERIFIER, data, vector["me"], vector["now_ms"])
    return open_delivery(found.delivery, found.manifest, found.header, prekey(vector["me"]))


def _encoding(vector: dict[str, Any], data: bytes) -> Verdict:
    types: dict[str, type[Wire]] = {"head": DirectoryHead, "file": Attachment}
    return _first(_decodes(data, types[vector["type"]], 4096))


def _notice(vector: dict[str, Any], data: bytes) -> Verdict:
    if vector["type"] == "body":
        return _first(_decodes(data, Body, MAX_BODY_BYTES), (_layout, lambda: parse_body(data)))
    return _first(*_manifest_decodes(data), (_layout, lambda: parse_manifest(data)))


def _envelope(vector: dict[str, Any], data: bytes) -> Verdict:
    now_ms = vector["now_ms"]
    if vector["type"] == "submission":
        found = _first(_decodes(data, Submission, MAX_SUBMISSION_BYTES))
        if found[0] != "none":
            return found
        manifest = _decoded(data, Submission).manifest
        return _first(
            *_manifest_decodes(manifest),
            (_layout, lambda: parse_submission(data)),
            (_trust, lambda: verify_submission(directory(), VERIFIER, data, vector["by"], now_ms)),
        )
    found = _first(_decodes(data, Delivery, MAX_SUBMISSION_BYTES))
    if found[0] != "none":
        return found
    manifest = _decoded(data, Delivery).manifest
    return _first(
        *_manifest_decodes(manifest),
        (_layout, lambda: parse_delivery(data)),
        (_trust, lambda: verify_delivery(directory(), VERIFIER, data, vector["me"], now_ms)),
    )


def _opening(vector: dict[str, Any], data: bytes) -> Verdict:
    before = _envelope(vector, data)
    if before[0] != "none":
        return before
    try:
        opened(vector)
    except CannotOpen as error:
        return _stage(vector["me"], data), error.code
    return "none", None


def _stage(me: str, data: bytes) -> str:
    """Return the step of opening that fails; the program itself never tells."""
    delivery, found = parse_delivery(data)
    bound = header_hash(found.manifest.header)
    named = found.header.recipients[delivery.index]
    try:
        wrapped = prekey(me).unwrap(
            delivery.wrap, info(bound, found.manifest.payload_hash, named.state, named.prekey_id)
        )
    except CannotOpen:
        return "wrap"
    number, previous = int.from_bytes(wrapped[32:40], "big"), wrapped[40:]
    counted = number % 2**32
    if not number < 2**63 or counted == 0 or (counted == 1) != (previous == bytes(32)):
        return "position"
    try:
        padded = open_payload(wrapped[:32], delivery.payload, tag("payload") + bound)
    except CannotOpen:
        return "payload"
    try:
        body = unpad(padded)
    except CannotOpen:
        return "padding"
    try:
        parse_body(body)
    except FormatError:
        return "body"
    return "sender"


def _statement(vector: dict[str, Any], data: bytes) -> Verdict:
    found = _first(_decodes(data, SignedStatement, MAX_SIGNED_STATEMENT_BYTES))
    if found[0] != "none":
        return found
    body = _decoded(data, SignedStatement).body
    return _first(
        _decodes(body, Statement, MAX_STATEMENT_BYTES),
        (_layout, lambda: parse_statement(data)),
        (_trust, lambda: verify_statement(directory(), VERIFIER, data, vector["now_ms"])),
    )


Layer = Callable[[AlmenaraError], str]
Step = tuple[Layer, Callable[[], object]]


def _first(*steps: Step) -> Verdict:
    """Return the first step that refuses, under the layer that its error belongs to."""
    for layer, step in steps:
        try:
            step()
        except AlmenaraError as error:
            return layer(error), error.code
    return "none", None


def _layout(error: AlmenaraError) -> str:
    return "layout"


def _trust(error: AlmenaraError) -> str:
    return BY_CODE[error.code]


def _decoding(error: AlmenaraError) -> str:
    if isinstance(error, TooLarge):
        return "size"
    return "shape" if "wrong shape" in error.message else "encoding"


def _decodes(data: bytes, type_: type[Wire], limit: int) -> Step:
    return _decoding, lambda: codec.decode(data, type_, limit=limit, what="vector")


def _manifest_decodes(data: bytes) -> list[Step]:
    def header() -> None:
        codec.decode(_decoded(data, Manifest).header, Header, limit=MAX_HEADER_BYTES, what="header")

    return [_decodes(data, Manifest, MAX_MANIFEST_BYTES), (_decoding, header)]


def _decoded(data: bytes, type_: type[Any]) -> Any:
    return codec.decode(data, type_, limit=MAX_SUBMISSION_BYTES, what="vector")
