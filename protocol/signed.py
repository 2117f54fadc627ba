"""What exactly is signed: the object's type, then its received bytes, in a small batch tree.

A signature never covers a re-serialisation. The signed message is the DSSE pre-authentication
encoding of the object's media type and a batch root; the root is the RFC 6962 root over
``SHA-256(PAE(type, object))`` of 1..256 objects of one type and signer ("Batch Signatures,
Revisited", 2023). A batch of one has size 1 and an empty path. See ``spec/signatures.md``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import Enum
from typing import Annotated

from msgspec import Meta

from protocol import tree
from protocol.fields import Bytes32, SignatureBytes, Wire

MAX_BATCH = 256
MAX_PATH = 8


class Context(Enum):
    """One context per object kind: a signature of one kind is no signature of another."""

    NOTICE = "notice"
    STATEMENT = "statement"
    ROOT = "root"
    DIRECTORY = "directory"
    MANIFEST = "manifest"
    PREKEYS = "prekeys"
    PUBLICATION = "publication"
    POSSESSION = "pop"
    SESSION = "session"

    @property
    def label(self) -> bytes:
        """The context string given to the composite signature, at most 255 bytes."""
        return b"almenara/1/" + self.value.encode("ascii")

    @property
    def media_type(self) -> bytes:
        """The type that the pre-authentication encoding names."""
        return b"application/vnd.almenara." + self.value.encode("ascii") + b".v1+msgpack"


class Proof(Wire, frozen=True):
    """A composite signature over a batch root, and the way from one object to that root."""

    signature: SignatureBytes
    index: Annotated[int, Meta(ge=0, lt=MAX_BATCH)]
    size: Annotated[int, Meta(ge=1, le=MAX_BATCH)]
    path: Annotated[tuple[Bytes32, ...], Meta(max_length=MAX_PATH)]


def pae(media_type: bytes, payload: bytes) -> bytes:
    """Return the DSSE v1 pre-authentication encoding of a type and a payload."""
    return b"DSSEv1 %d %b %d %b" % (len(media_type), media_type, len(payload), payload)


def batch_leaf(context: Context, obj: bytes) -> bytes:
    """Return the batch-tree leaf hash of one object's exact bytes."""
    return tree.leaf_hash(hashlib.sha256(pae(context.media_type, obj)).digest())


def signing_message(context: Context, root: bytes) -> bytes:
    """Return the message that the composite signature covers, for a 32-byte batch root."""
    return pae(context.media_type, root)


def batch_root(context: Context, objects: Sequence[bytes]) -> bytes:
    """Return the batch root over the exact bytes of 1..256 objects."""
    return tree.root_of([batch_leaf(context, obj) for obj in objects])


def root_implied(context: Context, obj: bytes, proof: Proof) -> bytes:
    """Return the batch root that an object and its proof imply.

    Raises:
        FormatError: index, size and path do not fit each other.
    """
    return tree.root_from_path(batch_leaf(context, obj), proof.index, proof.size, proof.path)
