"""The leaves of both logs: opaque to whoever has not the object behind them.

A leaf commits to the object's exact signed bytes, and so pins one of many valid signatures. Its
time is the coordinator's own claim; what bounds it are the witnesses' times before and after.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from enum import IntEnum

from protocol.digest import tagged
from protocol.documents import Directory, Document, PrekeyList, Publication, Root, StateManifest
from protocol.errors import FormatError, UnknownKind
from protocol.fields import MAX_MILLIS, MAX_UINT
from protocol.statement import StatementKind

LEAF_VERSION = 1
STATEMENT_LEAF_BYTES = 42
MAX_DOCUMENT_LEAF_BYTES = 67

_HEAD = struct.Struct(">BBQ")
_LEAF = struct.Struct(">BBQ32s")


class DocumentType(IntEnum):
    """Which kind of trust document a leaf of the directory log is for."""

    ROOT = 1
    DIRECTORY = 2
    MANIFEST = 3
    PREKEYS = 4
    PUBLICATION = 5


_TYPES: dict[type, DocumentType] = {
    Root: DocumentType.ROOT,
    Directory: DocumentType.DIRECTORY,
    StateManifest: DocumentType.MANIFEST,
    PrekeyList: DocumentType.PREKEYS,
    Publication: DocumentType.PUBLICATION,
}
_STATE = re.compile(rb"[A-Z0-9][A-Z0-9-]{1,15}")  # protocol.fields.StateCode
_OF_GOVERNANCE = frozenset({DocumentType.ROOT, DocumentType.DIRECTORY})


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf of the statement log.

    Args:
        type: The statement's kind.
        at_ms: When the coordinator recorded it, milliseconds UTC.
        digest: ``tagged("leaf", signed statement)``, 32 bytes.
    """

    type: StatementKind
    at_ms: int
    digest: bytes

    def encode(self) -> bytes:
        """Return the leaf's 42 bytes."""
        return _LEAF.pack(LEAF_VERSION, self.type, self.at_ms, self.digest)


@dataclass(frozen=True, slots=True)
class DocumentLeaf:
    """A leaf of the directory log.

    Args:
        type: The document's kind.
        at_ms: When the coordinator recorded it, milliseconds UTC.
        state: Whose it is; empty for root and directory.
        version: The document's version.
        digest: ``tagged("leaf", signed document)``, 32 bytes.
    """

    type: DocumentType
    at_ms: int
    state: str
    version: int
    digest: bytes

    def encode(self) -> bytes:
        """Return the leaf's 51 to 67 bytes."""
        state = self.state.encode("ascii")
        head = _HEAD.pack(LEAF_VERSION, self.type, self.at_ms)
        return b"".join([head, bytes([len(state)]), state, self.version.to_bytes(8, "big"), self.digest])


def leaf_digest(data: bytes) -> bytes:
    """Return the 32-byte digest that a leaf gives of a signed object's exact bytes."""
    return tagged("leaf", data)


def statement_leaf(kind: StatementKind, at_ms: int, data: bytes) -> Leaf:
    """Return the leaf of a statement.

    Args:
        kind: What it says.
        at_ms: When the coordinator recorded it, milliseconds UTC.
        data: The signed statement's exact bytes.
    """
    return Leaf(kind, at_ms, leaf_digest(data))


def document_leaf(document: Document, at_ms: int, data: bytes) -> bytes:
    """Return the leaf of a trust document, as bytes.

    Args:
        document: What the signed document's body says.
        at_ms: When the coordinator recorded it, milliseconds UTC.
        data: The signed document's exact bytes.
    """
    state = "" if isinstance(document, Root | Directory) else document.state
    kind = _TYPES[type(document)]
    return DocumentLeaf(kind, at_ms, state, document.version, leaf_digest(data)).encode()


def parse_leaf(data: bytes) -> Leaf:
    """Return a leaf of the statement log.

    Raises:
        UnknownKind: a version or kind that this program does not know.
        FormatError: it has not 42 bytes, or its time is out of bounds.
    """
    if len(data) != STATEMENT_LEAF_BYTES:
        raise FormatError(f"a leaf of the statement log has {STATEMENT_LEAF_BYTES} bytes")
    version, kind, at_ms, digest = _LEAF.unpack(data)
    _check_head(version, at_ms)
    try:
        return Leaf(StatementKind(kind), at_ms, digest)
    except ValueError as error:
        raise UnknownKind(f"no statement has the kind {kind}") from error


def parse_document_leaf(data: bytes) -> DocumentLeaf:
    """Return a leaf of the directory log.

    Raises:
        UnknownKind: a version or kind that this program does not know.
        FormatError: its length, time, state or version is out of bounds.
    """
    if len(data) <= _HEAD.size or len(data) != _HEAD.size + 1 + data[_HEAD.size] + 40:
        raise FormatError("a leaf of the directory log has not the length that it states")
    version, kind, at_ms = _HEAD.unpack_from(data)
    _check_head(version, at_ms)
    if kind not in set(DocumentType):
        raise UnknownKind(f"no document has the kind {kind}")
    number = int.from_bytes(data[-40:-32], "big")
    if not 1 <= number <= MAX_UINT:
        raise FormatError("the document's version is out of bounds")
    state = _parse_state(DocumentType(kind), data[_HEAD.size + 1 : -40])
    return DocumentLeaf(DocumentType(kind), at_ms, state, number, data[-32:])


def _parse_state(kind: DocumentType, data: bytes) -> str:
    if (not data) != (kind in _OF_GOVERNANCE) or (data and not _STATE.fullmatch(data)):
        raise FormatError("the state and the kind of a document leaf do not fit each other")
    return data.decode("ascii")


def _check_head(version: int, at_ms: int) -> None:
    if version != LEAF_VERSION:
        raise UnknownKind(f"no leaf has the version {version}")
    if at_ms > MAX_MILLIS:
        raise FormatError("the time of a leaf is out of bounds")
