"""Asking a witness for its cosignature, and what it answers (C2SP tlog-witness).

The same bytes as over HTTP; here they travel in session messages. See ``spec/witness.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from protocol.errors import FormatError, TooLarge
from protocol.ledger.checkpoint import parse_hash
from protocol.ledger.note import decode_text
from protocol.text import format_base64, parse_decimal
from protocol.tree import MAX_PATH

MAX_ADD_CHECKPOINT_BYTES = 256 * 1024
SIZE_MEDIA_TYPE = "text/x.tlog.size"


class WitnessStatus(IntEnum):
    """What a witness answers: the status codes of HTTP, kept as numbers."""

    OK = 200
    """Consistent, recorded and cosigned; signature lines follow."""
    MALFORMED = 400
    """The request is not well formed, or its old size is above the checkpoint's."""
    FORBIDDEN = 403
    """The log's own signatures are missing or false."""
    UNKNOWN = 404
    """This witness does not know a log of that origin."""
    CONFLICT = 409
    """The old size is not the one this witness last cosigned; that size follows."""
    INCONSISTENT = 422
    """The proof does not lead from what this witness cosigned to this checkpoint."""


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request to cosign.

    Args:
        old: The size that the witness is thought to have cosigned last; 0 if none.
        proof: The consistency proof from there; at most 63 hashes of 32 bytes.
        checkpoint: The signed checkpoint, verbatim.
    """

    old: int
    proof: tuple[bytes, ...]
    checkpoint: bytes


def format_add_checkpoint(request: AddCheckpoint) -> bytes:
    """Return the request's body."""
    lines = [f"old {request.old}", *(format_base64(one) for one in request.proof)]
    return "".join(f"{line}\n" for line in lines).encode() + b"\n" + request.checkpoint


def parse_add_checkpoint(body: bytes) -> AddCheckpoint:
    """Return what a request's body says. Its checkpoint stays bytes, not yet parsed.

    Raises:
        TooLarge: over 256 KiB, or over 63 hashes.
        FormatError: a line is not in its one permitted spelling, or no checkpoint follows.
    """
    if len(body) > MAX_ADD_CHECKPOINT_BYTES:
        raise TooLarge(f"the request is over {MAX_ADD_CHECKPOINT_BYTES} bytes")
    head, separator, checkpoint = body.partition(b"\n\n")
    if not separator or not checkpoint:
        raise FormatError("the request has no checkpoint")
    old, *proof = decode_text(head, what="request").split("\n")
    if not old.startswith("old "):
        raise FormatError("the request does not begin with the old size")
    if len(proof) > MAX_PATH:
        raise TooLarge(f"a consistency proof has at most {MAX_PATH} hashes")
    size = parse_decimal(old.removeprefix("old "), what="old size")
    return AddCheckpoint(size, tuple(parse_hash(line, what="proof line") for line in proof), checkpoint)


def format_size(size: int) -> bytes:
    """Return the body of a CONFLICT: the size last cosigned."""
    return b"%d\n" % size


def parse_size(body: bytes) -> int:
    """Return the size in the body of a CONFLICT.

    Raises:
        FormatError: it is not one decimal number and a newline.
    """
    text = decode_text(body, what="size")
    if not text.endswith("\n"):
        raise FormatError("the size does not end in a newline")
    return parse_decimal(text[:-1], what="size")
