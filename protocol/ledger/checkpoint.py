"""Checkpoints (C2SP tlog-checkpoint): a note of three lines: origin, size, root.

The extension lines that C2SP permits are refused: we never write them, no log monitor can
audit them, and ML-DSA-44 cosignatures do not cover them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from protocol.errors import FormatError
from protocol.fields import MAX_UINT
from protocol.ledger.note import MAX_NOTE_BYTES, Note, NoteSignature, parse_note, require_name
from protocol.text import format_base64, parse_base64, parse_decimal

HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How large a log is, and the root of its tree.

    Args:
        origin: The log's name; also the key name of its own signatures.
        size: How many leaves it has, 0 to 2^63 - 1.
        root: The 32-byte RFC 6962 root over them.

    Raises:
        FormatError: a bound is broken.
    """

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        require_name(self.origin)
        if not 0 <= self.size <= MAX_UINT or len(self.root) != HASH_BYTES:
            raise FormatError("the size or the root of a checkpoint is out of bounds")

    @property
    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{format_base64(self.root)}\n"


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint with the note that carries it."""

    checkpoint: Checkpoint
    note: Note

    @property
    def data(self) -> bytes:
        """The note's bytes, as they are kept and sent."""
        return self.note.encode()

    def with_signatures(self, more: Iterable[NoteSignature]) -> SignedCheckpoint:
        """Return it with more signature lines; one of the same name and key id is replaced."""
        lines = {(one.name, one.key_id): one for one in (*self.note.signatures, *more)}
        return SignedCheckpoint(self.checkpoint, Note(self.note.text, tuple(lines.values())))


def sign_with(checkpoint: Checkpoint, signatures: Iterable[NoteSignature]) -> SignedCheckpoint:
    """Return a checkpoint with signature lines that were made over it."""
    return SignedCheckpoint(checkpoint, Note(checkpoint.text, tuple(signatures)))


def parse_checkpoint_text(text: str) -> Checkpoint:
    """Return the checkpoint that the text of a note is.

    Raises:
        FormatError: it is not exactly three lines in their one permitted spelling.
    """
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise FormatError("a checkpoint is three lines: origin, size and root; extensions are not accepted")
    size = parse_decimal(lines[1], what="tree size")
    return Checkpoint(lines[0], size, parse_hash(lines[2], what="root hash"))


def parse_checkpoint(data: bytes, *, limit: int = MAX_NOTE_BYTES) -> SignedCheckpoint:
    """Return a checkpoint with its signatures, none of which is checked.

    Raises:
        TooLarge: over ``limit`` bytes, or over 512 signatures.
        FormatError: it is no note, or its text is no checkpoint.
    """
    note = parse_note(data, limit=limit)
    return SignedCheckpoint(parse_checkpoint_text(note.text), note)


def parse_hash(text: str, *, what: str) -> bytes:
    """Return 32 bytes written in base64."""
    # The length first: nothing long is decoded only to be refused.
    if len(text) != 44:
        raise FormatError(f"the {what} is not 32 bytes in base64")
    return parse_base64(text, what=what)
