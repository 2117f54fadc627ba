"""One leaf's place under one checkpoint, as text (C2SP tlog-proof)."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.errors import FormatError, TooLarge
from protocol.ledger.checkpoint import parse_hash
from protocol.ledger.note import MAX_NOTE_BYTES, decode_text
from protocol.text import format_base64, parse_base64, parse_decimal
from protocol.tree import MAX_PATH

HEADER = "c2sp.org/tlog-proof@v1"
MAX_PROOF_CHARS = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TlogProof:
    """Where a leaf is, and what leads from it to a signed root.

    Args:
        index: The leaf's index.
        path: Its inclusion path, lowest sibling first; at most 63 hashes of 32 bytes.
        checkpoint: The signed checkpoint, verbatim.
        extra: What the application adds; authenticated by nothing.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None


def format_proof(proof: TlogProof) -> str:
    """Return the proof as text, conventionally kept in files named ``.tlog-proof``.

    Raises:
        FormatError: the checkpoint is not text.
    """
    lines = [HEADER]
    if proof.extra:
        lines.append(f"extra {format_base64(proof.extra)}")
    lines.append(f"index {proof.index}")
    lines.extend(format_base64(one) for one in proof.path)
    return "\n".join(lines) + "\n\n" + decode_text(proof.checkpoint, what="checkpoint")


def parse_proof(text: str) -> TlogProof:
    """Return what a proof says. Neither the path nor the checkpoint is checked.

    Raises:
        TooLarge: over 4 Mi characters, a checkpoint over 1 MiB, or a path over 63 hashes.
        FormatError: a line is not in its one permitted spelling, or no checkpoint follows.
    """
    if len(text) > MAX_PROOF_CHARS:
        raise TooLarge(f"the proof is over {MAX_PROOF_CHARS} characters")
    head, separator, rest = text.partition("\n\n")
    checkpoint = rest.encode("utf-8", "surrogatepass")
    if not separator or not rest:
        raise FormatError("the proof has no checkpoint")
    if len(checkpoint) > MAX_NOTE_BYTES:
        raise TooLarge(f"the proof's checkpoint is over {MAX_NOTE_BYTES} bytes")
    decode_text(checkpoint, what="checkpoint")
    return _parse_head(head.split("\n"), checkpoint)


def _parse_head(lines: list[str], checkpoint: bytes) -> TlogProof:
    if lines.pop(0) != HEADER:
        raise FormatError(f"the proof does not begin with {HEADER}")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = parse_base64(lines.pop(0).removeprefix("extra "), what="extra line")
        if not extra:
            raise FormatError("the extra line is empty; it is left out then")
    if not lines or not lines[0].startswith("index "):
        raise FormatError("the proof has no index line")
    index = parse_decimal(lines.pop(0).removeprefix("index "), what="leaf index")
    if len(lines) > MAX_PATH:
        raise TooLarge(f"an inclusion path has at most {MAX_PATH} hashes")
    return TlogProof(index, tuple(parse_hash(line, what="path line") for line in lines), checkpoint, extra)
