"""A receipt: one text file with all that proves who was told, and who answered. See ``spec/receipt.md``.

Nothing is verified here but the spelling, which is the only one permitted: whoever changes a byte
changes the meaning, or a comment, or gets a refusal. What makes a receipt worth believing stands in
``keys.receipt``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeAlias

from protocol.errors import FormatError, TooLarge
from protocol.fields import MAX_MILLIS
from protocol.ledger.checkpoint import parse_hash
from protocol.ledger.note import decode_text
from protocol.ledger.proof import TlogProof, format_proof
from protocol.text import format_base64, parse_base64, parse_decimal, parse_hex
from protocol.tree import MAX_PATH

HEADER = "almenara receipt v1"
MAX_RECEIPT_BYTES = 64 * 1024 * 1024
MAX_SECTIONS = 16 * 1024
MAX_COMMENTS = 4096
MAX_COMMENT_CHARS = 1000
_WIDTH = 76
"""How many characters of base64 stand in one line, as in MIME."""


@dataclass(frozen=True, slots=True)
class DocumentSection:
    """A trust document: the signed document's exact bytes."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NoticeSection:
    """The notice without its sealed content: the manifest's bytes, and the encoded proof of its sender."""

    manifest: bytes = field(repr=False)
    proof: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CheckpointSection:
    """A signed checkpoint of the statement log, verbatim. Statements below it stand under it."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StatementSection:
    """A statement and its place in the log.

    Args:
        at_ms: When the coordinator says that it recorded it: the time in its leaf, milliseconds UTC.
        data: The signed statement's exact bytes.
        index: Its leaf's index.
        path: The inclusion path to the root of the checkpoint above, lowest sibling first.
    """

    at_ms: int
    data: bytes = field(repr=False)
    index: int
    path: tuple[bytes, ...]


Section: TypeAlias = DocumentSection | NoticeSection | CheckpointSection | StatementSection


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receipt says. Each section is judged by the documents above it.

    Args:
        community: The 32-byte id of the community, which the reader compares with the one pinned.
        coordinator: The code of the coordinator whose log this is.
        sections: The parts, in order.
        comments: Lines for people, without their mark; nothing in them is proved.
    """

    community: bytes
    coordinator: str
    sections: tuple[Section, ...]
    comments: tuple[str, ...] = ()


def format_receipt(receipt: Receipt) -> bytes:
    """Return the receipt's bytes.

    Raises:
        FormatError: a checkpoint is not text, or a comment is more than one line.
    """
    lines = [HEADER, *(f"# {one}".rstrip(" ") for one in receipt.comments), ""]
    lines += [f"community {receipt.community.hex()}", f"coordinator {receipt.coordinator}"]
    for section in receipt.sections:
        lines.append("")
        lines += _lines_of(section)
    data = ("\n".join(lines) + "\n").encode()
    if any("\n" in one for one in receipt.comments):
        raise FormatError("a comment of a receipt is one line")
    return data


def parse_receipt(data: bytes) -> Receipt:
    """Return what a receipt says; nothing in it is verified yet.

    Raises:
        TooLarge: over 64 MiB, or of too many parts.
        FormatError: it is not in its one permitted spelling; the message names the line.
    """
    if len(data) > MAX_RECEIPT_BYTES:
        raise TooLarge(f"the receipt is over {MAX_RECEIPT_BYTES} bytes")
    lines = _Lines(decode_text(data, what="receipt").split("\n"))
    if lines.next() != HEADER:
        raise FormatError(f"the file does not begin with the line {HEADER!r}: it is no receipt")
    try:
        receipt = _parse(lines)
    except FormatError as error:
        # TooLarge is another exit code, and stays what it is.
        raise type(error)(f"line {lines.number} of the receipt: {error.message}", hint=error.hint) from error
    if format_receipt(receipt) != data:
        raise FormatError("the receipt is not in the one permitted spelling")
    return receipt


def tlog_proofs(receipt: Receipt) -> Iterator[tuple[StatementSection, str]]:
    """Yield each statement with its place as a C2SP ``tlog-proof``, whose extra data is the statement.

    Raises:
        FormatError: a statement stands above the first checkpoint.
    """
    checkpoint: bytes | None = None
    for section in receipt.sections:
        match section:
            case CheckpointSection():
                checkpoint = section.data
            case StatementSection():
                if checkpoint is None:
                    raise FormatError("a statement stands above the first checkpoint")
                proof = TlogProof(section.index, section.path, checkpoint, extra=section.data)
                yield section, format_proof(proof)
            case _:
                pass


class _Lines:
    """The lines of a receipt, each looked at once."""

    def __init__(self, lines: Sequence[str]) -> None:
        # Text that ends in a newline leaves one empty string behind it.
        self._lines = lines
        self.number = 0

    def peek(self, ahead: int = 0) -> str | None:
        """Return a line that was not taken yet, or None behind the last."""
        at = self.number + ahead
        return self._lines[at] if at < len(self._lines) else None

    def next(self) -> str:
        """Take the next line."""
        line = self.peek()
        if line is None:
            raise FormatError("the receipt ends too early")
        self.number += 1
        return line

    def take(self, start: str) -> str:
        """Take the next line, which must begin so, and return the rest of it."""
        line = self.next()
        if not line.startswith(start):
            raise FormatError(f"a line must begin with {start.strip()!r} here")
        return line[len(start) :]

    def section(self) -> list[str]:
        """Take the lines up to the next section or the end; not the empty line before it."""
        taken: list[str] = []
        while not self._ends():
            taken.append(self.next())
        return taken

    def _ends(self) -> bool:
        if self.peek() not in ("", None):
            return False
        # A checkpoint has an empty line of its own, with a signature behind it.
        following = self.peek(1)
        return following is None or following in _PARSERS


def _parse(lines: _Lines) -> Receipt:
    comments = []
    while (line := lines.peek()) is not None and line.startswith("#"):
        comments.append(_comment(lines.next()))
        if len(comments) > MAX_COMMENTS:
            raise TooLarge(f"there are over {MAX_COMMENTS} comments")
    if lines.next():
        raise FormatError("an empty line must stand here")
    community = parse_hex(lines.take("community "), what="community", size=32)
    coordinator = _code(lines.take("coordinator "))
    sections = tuple(islice(_sections(lines), MAX_SECTIONS + 1))
    if len(sections) > MAX_SECTIONS:
        raise TooLarge(f"there are over {MAX_SECTIONS} parts")
    return Receipt(community, coordinator, sections, tuple(comments))


def _sections(lines: _Lines) -> Iterator[Section]:
    while lines.peek(1) is not None:
        if lines.next():
            raise FormatError("an empty line must stand between two parts")
        word = lines.next()
        if word not in _PARSERS:
            raise FormatError("no part of a receipt begins so")
        yield _PARSERS[word](lines.section())


def _comment(line: str) -> str:
    text = line.removeprefix("# ") if line.startswith("# ") else line.removeprefix("#")
    # Comments are shown on terminals: decode_text has let no control character below the space pass.
    if len(text) > MAX_COMMENT_CHARS or not text.isprintable():
        raise FormatError("a comment is too long, or holds what cannot be printed")
    return text


def _code(text: str) -> str:
    if not 2 <= len(text) <= 16 or not text.isascii() or not text.replace("-", "A").isalnum():
        raise FormatError("the coordinator's code is not one")
    return text


def _document(lines: list[str]) -> DocumentSection:
    return DocumentSection(_unwrapped(lines, "document"))


def _notice(lines: list[str]) -> NoticeSection:
    head, _, behind = _split_at(lines, "proof")
    return NoticeSection(_unwrapped(head, "manifest"), _unwrapped(behind, "proof"))


def _checkpoint(lines: list[str]) -> CheckpointSection:
    return CheckpointSection(("\n".join(lines) + "\n").encode())


def _statement(lines: list[str]) -> StatementSection:
    if not lines or not lines[0].startswith("recorded "):
        raise FormatError("a statement begins with when it was recorded")
    at_ms = parse_decimal(lines[0].removeprefix("recorded "), what="time", limit=MAX_MILLIS)
    head, index, path = _split_at(lines[1:], "index ")
    if len(path) > MAX_PATH:
        raise TooLarge(f"an inclusion path has at most {MAX_PATH} hashes")
    return StatementSection(
        at_ms,
        _unwrapped(head, "statement"),
        parse_decimal(index, what="leaf index"),
        tuple(parse_hash(line, what="path line") for line in path),
    )


_PARSERS: dict[str, Callable[[list[str]], Section]] = {
    "document": _document,
    "notice": _notice,
    "checkpoint": _checkpoint,
    "statement": _statement,
}


def _split_at(lines: list[str], start: str) -> tuple[list[str], str, list[str]]:
    """Return what stands before the first line that begins so, the rest of that line, and what follows.

    No line of base64 is taken for it: none has a space, and none has five characters.
    """
    for number, line in enumerate(lines):
        if line == start or (start.endswith(" ") and line.startswith(start)):
            return lines[:number], line[len(start) :], lines[number + 1 :]
    raise FormatError(f"this part has no line {start.strip()!r}")


def _unwrapped(lines: list[str], what: str) -> bytes:
    if not lines:
        raise FormatError(f"the {what} is missing")
    return parse_base64("".join(lines), what=what)


def _wrapped(data: bytes) -> list[str]:
    text = format_base64(data)
    return [text[at : at + _WIDTH] for at in range(0, len(text), _WIDTH)]


def _lines_of(section: Section) -> list[str]:
    match section:
        case DocumentSection():
            return ["document", *_wrapped(section.data)]
        case NoticeSection():
            return ["notice", *_wrapped(section.manifest), "proof", *_wrapped(section.proof)]
        case CheckpointSection():
            text = decode_text(section.data, what="checkpoint")
            return ["checkpoint", *text.removesuffix("\n").split("\n")]
        case StatementSection():
            head = ["statement", f"recorded {section.at_ms}", *_wrapped(section.data)]
            return [*head, f"index {section.index}", *(format_base64(one) for one in section.path)]
