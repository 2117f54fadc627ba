"""Manifest, header and body: shape, and the rules between fields. See ``spec/notice.md``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from protocol.notice import Addressee, Attachment, BlobRef, Manifest
from protocol.severity import SeverityTag
from tests.vectors.kept import Kept
from tests.vectors.world import HOUR_MS, NOW_MS, body, fixed, header, packed

Scenario = dict[str, str | int | None]


def scenarios(kept: Kept) -> Iterator[tuple[str, Scenario]]:
    """Yield each scenario with its name; these need nothing random."""
    for name, comment, layer, data in _headers():
        yield name, _scenario("manifest", comment, layer, data)
    for name, comment, layer, data in _manifests():
        yield name, _scenario("manifest", comment, layer, data)
    for name, comment, layer, data in _bodies():
        yield name, _scenario("body", comment, layer, data)
    blob = _manifest(packed(header("XBB")), blobs=(BlobRef(hash=bytes(32), length=1),))
    long_form = packed(header("XBB"))
    long_form = long_form[:1] + b"\xcc\x01" + long_form[2:]
    found = _scenario("manifest", "The version as uint 8.", "encoding", _manifest(long_form))
    yield "header-not-canonical", {**found, "code": "not-canonical"}
    found = _scenario("manifest", "32 KiB and a byte.", "size", b"\0")
    yield "manifest-over-the-limit", {**found, "repeat_last_byte_to": 32769}
    found = _scenario("manifest", "Blobs are reserved: version 1 carries none.", "layout", blob)
    yield "manifest-with-a-blob", {**found, "code": "unknown-kind"}


def _scenario(type_: str, comment: str, layer: str, data: bytes) -> Scenario:
    code = {"none": None, "size": "too-large"}.get(layer, "malformed")
    return {"comment": comment, "layer": layer, "code": code, "type": type_, "input": data.hex()}


def _manifest(header_bytes: bytes, wraps: int = 1, **changes: Any) -> bytes:
    plain = Manifest(
        header=header_bytes,
        wrap_hashes=tuple(fixed(f"wrap {number}", 32) for number in range(wraps)),
        payload_hash=fixed("payload", 32),
        payload_length=1096,
        blobs=(),
    )
    return packed(msgspec.structs.replace(plain, **changes))


def _headers() -> Iterator[tuple[str, str, str, bytes]]:
    def with_header(*recipients: str, **changes: Any) -> bytes:
        return _manifest(packed(header(*recipients, **changes)), max(1, len(recipients)))

    def of_version(number: int) -> bytes:
        plain = packed(header("XBB"))
        return _manifest(plain[:1] + bytes([number]) + plain[2:])

    addressees = [Addressee(state=f"X{number:03d}", prekey_id=bytes(32)) for number in range(201)]
    week = NOW_MS + 168 * HOUR_MS
    yield "good", "One recipient.", "none", with_header("XBB")
    yield (
        "good-no-answer-expected",
        "Nil as the time to respond by.",
        "none",
        with_header("XBB", respond_by_ms=None),
    )
    yield "good-seven-days", "The longest life.", "none", with_header("XBB", expires_ms=week)
    last = 253_402_300_799_999
    beyond = with_header("XBB", created_ms=last, expires_ms=last + 1)
    yield "header-time-beyond-year-9999", "It could not be shown.", "shape", beyond
    latest = with_header("XBB", created_ms=last - 1, expires_ms=last)
    yield "good-end-of-year-9999", "The last time there is.", "none", latest
    yield "header-of-version-2", "Version 2.", "shape", of_version(2)
    yield "header-of-no-kind", "Kind 8.", "shape", with_header("XBB", kind=8)
    yield "header-without-recipients", "Nobody is told.", "shape", with_header()
    yield "header-with-201-recipients", "One too many.", "shape", with_header(recipients=tuple(addressees))
    yield "header-nonce-short", "A nonce of 15 bytes.", "shape", with_header("XBB", nonce=bytes(15))
    yield "header-state-in-small-letters", "Codes are capitals.", "shape", with_header("XBB", sender="xaa")
    yield (
        "header-point-6",
        "No such point.",
        "shape",
        with_header("XBB", severity=SeverityTag(schema="xaa-national", version=1, level="grave", point=6)),
    )
    yield "recipients-not-sorted", "XCC before XBB.", "layout", with_header("XCC", "XBB")
    yield "recipient-twice", "XBB twice.", "layout", with_header("XBB", "XBB")
    yield "life-too-long", "Seven days and a millisecond.", "layout", with_header("XBB", expires_ms=week + 1)
    yield "life-empty", "It expires when it is made.", "layout", with_header("XBB", expires_ms=NOW_MS)
    yield (
        "life-negative",
        "It expires before it is made.",
        "layout",
        with_header("XBB", expires_ms=NOW_MS - 1),
    )


def _manifests() -> Iterator[tuple[str, str, str, bytes]]:
    plain = packed(header("XBB"))
    yield "wrap-too-many", "Two wraps for one recipient.", "layout", _manifest(plain, 2)
    yield "wrap-too-few", "One wrap for two recipients.", "layout", _manifest(packed(header("XBB", "XCC")), 1)
    yield "payload-over-the-limit", "1.5 MiB and a byte.", "layout", _manifest(plain, payload_length=1572865)
    yield "header-over-the-limit", "A header of 16385 bytes.", "shape", _manifest(bytes(16385))
    yield "header-not-messagepack", "The header is 0xc1.", "encoding", _manifest(b"\xc1")


def _bodies() -> Iterator[tuple[str, str, str, bytes]]:
    def file(content: bytes, name: str = "a") -> Attachment:
        return Attachment(name=name, media_type="text/plain", content=content)

    plain = packed(body())
    yield "body-good", "A subject, a text, a file.", "none", plain
    yield "body-good-empty-text", "The subject may say it all.", "none", packed(body(text="", attachments=()))
    yield "body-of-version-2", "Version 2.", "shape", plain[:1] + b"\x02" + plain[2:]
    yield "body-tlp-white", "A label of TLP 1.0.", "shape", packed(body()).replace(b"\xa5amber", b"\xa5white")
    yield (
        "body-tlp-in-capitals",
        "On the wire it is small.",
        "shape",
        plain.replace(b"\xa5amber", b"\xa5AMBER"),
    )
    yield "body-without-subject", "An empty subject.", "shape", packed(body(subject=""))
    yield "body-subject-of-two-lines", "A line feed.", "shape", packed(body(subject="a\nb"))
    yield "body-subject-of-201-characters", "One too many.", "shape", packed(body(subject="a" * 201))
    yield "body-language-unknown-form", "Not es or es-MX.", "shape", packed(body(language="Spanish"))
    yield "body-33-attachments", "One too many.", "shape", packed(body(attachments=(file(b""),) * 33))
    yield (
        "body-media-type-in-capitals",
        "Small letters.",
        "shape",
        plain.replace(b"text/plain", b"Text/Plain"),
    )
    yield "body-text-with-carriage-return", "U+000D.", "encoding", packed(body(text="a\r\nb"))
