"""Header, manifest and body: what a state says.

The header is visible to the coordinator and signed; the manifest binds the header to the
sealed parts and gives the envelope its id; the body is sealed. See ``spec/notice.md``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Literal

from msgspec import Meta

from protocol import codec
from protocol.digest import tagged
from protocol.errors import FormatError, UnknownKind
from protocol.fields import U16, Bytes16, Bytes32, Line, Millis, StateCode, Uint, Wire
from protocol.marking import Tlp
from protocol.severity import SeverityTag

MAX_RECIPIENTS = 200
MAX_LIFE_MS = 7 * 24 * 3600 * 1000
DEFAULT_LIFE_MS = 72 * 3600 * 1000
MAX_TEXT_BYTES = 256 * 1024
MAX_ATTACHMENTS = 32
MAX_ATTACHED_BYTES = 1024 * 1024
MAX_HEADER_BYTES = 16 * 1024
MAX_MANIFEST_BYTES = 32 * 1024
MAX_BODY_BYTES = MAX_ATTACHED_BYTES + MAX_TEXT_BYTES + 32 * 1024
MAX_SEALED_BYTES = 1536 * 1024


MediaType = Annotated[str, Meta(max_length=100, pattern=r"\A[a-z0-9.+-]+/[a-z0-9.+-]+\Z")]
"""A lower-case media type without parameters, such as ``application/stix+json``."""


class Kind(IntEnum):
    """What sort of notice this is."""

    REPORT = 1
    UPDATE = 2
    REQUEST = 3
    RESPONSE = 4
    RETRACTION = 5
    CLOSURE = 6
    CHECK = 7


class DirectoryHead(Wire, frozen=True):
    """Version and hash of the directory document that a signer resolved keys from."""

    version: Uint
    hash: Bytes32


class Addressee(Wire, frozen=True):
    """A recipient state, and the id of the one prekey its content key is wrapped for."""

    state: StateCode
    prekey_id: Bytes32


class Header(Wire, frozen=True):
    """The signed, visible part of a notice.

    ``severity`` carries the sender's *national* level; ``respond_by_ms`` is an expectation
    agreed by the parties, never a duty.
    """

    v: Literal[1]
    suite: U16
    kind: Kind
    exercise: bool
    sender: StateCode
    key_id: Bytes32
    nonce: Bytes16
    created_ms: Millis
    expires_ms: Millis
    directory: DirectoryHead
    recipients: Annotated[tuple[Addressee, ...], Meta(min_length=1, max_length=MAX_RECIPIENTS)]
    severity: SeverityTag
    respond_by_ms: Millis | None


class BlobRef(Wire, frozen=True):
    """Hash and padded length of a separately stored sealed blob. Reserved: version 1 has none."""

    hash: Bytes32
    length: Uint


class Manifest(Wire, frozen=True):
    """Binds the header to every sealed part; its hash names the envelope, and it is signed."""

    header: Annotated[bytes, Meta(max_length=MAX_HEADER_BYTES)]
    wrap_hashes: Annotated[tuple[Bytes32, ...], Meta(min_length=1, max_length=MAX_RECIPIENTS)]
    payload_hash: Bytes32
    payload_length: Uint
    blobs: Annotated[tuple[BlobRef, ...], Meta(max_length=16)]


class Attachment(Wire, frozen=True):
    """A file that travels inside the sealed payload."""

    name: Line
    media_type: MediaType
    content: Annotated[bytes, Meta(max_length=MAX_ATTACHED_BYTES)]


class Body(Wire, frozen=True):
    """The sealed part: only recipients read it.

    ``notice`` stays the same when the sender seals the same notice again under other keys;
    ``incident`` groups the notices about one incident; ``refers_to`` is the envelope id that
    an update, response, retraction or closure speaks of.
    """

    v: Literal[1]
    sender: StateCode
    notice: Bytes16
    incident: Bytes16
    refers_to: Bytes32 | None
    tlp: Tlp
    language: Annotated[str, Meta(pattern=r"\A[a-z]{2,3}(-[A-Z]{2})?\Z")]
    subject: Line
    text: Annotated[str, Meta(max_length=MAX_TEXT_BYTES)]
    attachments: Annotated[tuple[Attachment, ...], Meta(max_length=MAX_ATTACHMENTS)]


def parse_manifest(data: bytes) -> tuple[Manifest, Header]:
    """Parse a manifest and the header inside it, and check what their layout promises.

    Raises:
        FormatError: a bound is broken, or manifest and header do not fit each other.
        UnknownKind: it names blobs, which this version does not carry.
    """
    manifest = codec.decode(data, Manifest, limit=MAX_MANIFEST_BYTES, what="manifest")
    header = codec.decode(manifest.header, Header, limit=MAX_HEADER_BYTES, what="header")
    if manifest.blobs:
        raise UnknownKind("the manifest names separate blobs, which version 1 does not carry")
    if len(manifest.wrap_hashes) != len(header.recipients):
        raise FormatError("the manifest has not one wrap for each recipient")
    codes = [addressee.state for addressee in header.recipients]
    if codes != sorted(set(codes)):
        raise FormatError("the recipients are not sorted and unique")
    if not 0 < header.expires_ms - header.created_ms <= MAX_LIFE_MS:
        raise FormatError("the notice lives longer than seven days, or not at all")
    if manifest.payload_length > MAX_SEALED_BYTES:
        raise FormatError("the sealed payload is over the inline limit")
    return manifest, header


def parse_body(data: bytes) -> Body:
    """Parse the unsealed body.

    Raises:
        FormatError: a bound is broken, or the attachments are over 1 MiB in all.
    """
    body = codec.decode(data, Body, limit=MAX_BODY_BYTES, what="body")
    if sum(len(attachment.content) for attachment in body.attachments) > MAX_ATTACHED_BYTES:
        raise FormatError("the attachments are over 1 MiB in all")
    if len(body.text.encode()) > MAX_TEXT_BYTES:
        raise FormatError("the text is over 256 KiB")
    return body


def header_hash(header: bytes) -> bytes:
    """Return the hash of the header's bytes that every derivation binds."""
    return tagged("hdr", header)


def envelope_id(manifest: bytes) -> bytes:
    """Return the envelope's only name: the hash of its manifest, signature excluded."""
    return tagged("eid", manifest)
