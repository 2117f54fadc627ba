"""Signed notes and verifier keys (C2SP signed-note): text, an empty line, signature lines.

Nothing is verified here. A signature line from a key that the reader does not know is kept and
ignored, as the specification demands; what makes a note worth believing stands in ``keys``.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from enum import IntEnum

from protocol.errors import FormatError, TooLarge, UnknownKind
from protocol.text import format_base64, parse_base64, parse_hex

MAX_NOTE_BYTES = 1024 * 1024
MAX_SIGNATURES = 512
MAX_NAME_BYTES = 255
KEY_ID_BYTES = 4

_DASH = "\u2014 "
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f+\ud800-\udfff]")
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f]")


class SignatureType(IntEnum):
    """The byte that says what a key signs, and how; the three of C2SP that are used here."""

    ED25519 = 0x01
    COSIGNATURE_ED25519 = 0x04
    MLDSA44 = 0x06


PUBLIC_KEY_BYTES: dict[SignatureType, int] = {
    SignatureType.ED25519: 32,
    SignatureType.COSIGNATURE_ED25519: 32,
    SignatureType.MLDSA44: 1312,
}


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A key that verifies note signatures, under a name.

    Args:
        name: The name in its signature lines; 1 to 255 bytes without spaces or plus signs.
        type: What it signs, and how.
        public: The raw public key: 32 bytes of Ed25519, or 1312 of ML-DSA-44.

    Raises:
        FormatError: the name or the length of the key is not permitted.
    """

    name: str
    type: SignatureType
    public: bytes
    key_id: bytes = field(init=False, compare=False)
    """The four bytes by which signature lines name this key; an index, not a commitment."""

    def __post_init__(self) -> None:
        require_name(self.name)
        if len(self.public) != PUBLIC_KEY_BYTES[self.type]:
            raise FormatError(f"a {self.type.name} key has {PUBLIC_KEY_BYTES[self.type]} bytes")
        digest = hashlib.sha256(self.name.encode() + b"\n" + self._material).digest()
        object.__setattr__(self, "key_id", digest[:KEY_ID_BYTES])

    @property
    def _material(self) -> bytes:
        return bytes([self.type]) + self.public

    def __str__(self) -> str:
        """Return the vkey: name, key id in hexadecimal and key in base64, joined by plus signs."""
        return f"{self.name}+{self.key_id.hex()}+{format_base64(self._material)}"


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: who says to have signed, with which key, and the signature's bytes."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The line with its newline."""
        return f"{_DASH}{self.name} {format_base64(self.key_id + self.signature)}\n"

    def is_by(self, key: VerifierKey) -> bool:
        """Return whether the line names this key; the signature is not checked."""
        return self.name == key.name and self.key_id == key.key_id


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a newline, with at least one signature."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def encode(self) -> bytes:
        """Return the note's bytes."""
        return "".join([self.text, "\n", *(one.line for one in self.signatures)]).encode()


def require_name(name: str) -> None:
    """Return only if a key or a log may have this name.

    Raises:
        FormatError: it is empty, over 255 bytes, or holds a space, a control or a plus sign.
    """
    if not _is_plain(name) or len(name.encode()) > MAX_NAME_BYTES:
        raise FormatError("the name of a key or log is empty, too long, or has a space or plus sign in it")


def parse_vkey(text: str) -> VerifierKey:
    """Return the key that a vkey spells.

    Raises:
        UnknownKind: a signature type that is not used here.
        FormatError: it is not the one spelling of a key, or its key id is another's.
    """
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise FormatError("a verifier key has three parts, joined by plus signs")
    material = parse_base64(parts[2], what="verifier key")
    if material[:1] not in {bytes([kind]) for kind in SignatureType}:
        raise UnknownKind("the verifier key has a signature type that is not used here")
    key = VerifierKey(parts[0], SignatureType(material[0]), material[1:])
    if key.key_id != parse_hex(parts[1], what="key id", size=KEY_ID_BYTES):
        raise FormatError("the verifier key's id is not the one of its name and key")
    return key


def parse_note(data: bytes, *, limit: int = MAX_NOTE_BYTES) -> Note:
    """Return the note that these bytes are; no signature is checked.

    Raises:
        TooLarge: over ``limit`` bytes, or over 512 signatures.
        FormatError: not UTF-8, a control character, no empty line, or a bad signature line.
    """
    if len(data) > limit:
        raise TooLarge(f"the note is over {limit} bytes")
    whole = decode_text(data, what="note")
    # The text may have empty lines of its own: the last one separates.
    text, separator, lines = whole.rpartition("\n\n")
    if not separator:
        raise FormatError("the note has no empty line before its signatures")
    return Note(text + "\n", parse_signature_lines(lines))


def parse_signature_lines(text: str) -> tuple[NoteSignature, ...]:
    """Return one to 512 signatures, one a line, each line with its newline.

    Raises:
        TooLarge: there are more.
        FormatError: one is not in its one permitted spelling, or there is none.
    """
    if text.count("\n") > MAX_SIGNATURES:
        raise TooLarge(f"a note has at most {MAX_SIGNATURES} signatures")
    *lines, rest = text.split("\n")
    if rest or not lines:
        raise FormatError("the signatures are missing, or the last one does not end in a newline")
    return tuple(_parse_line(line) for line in lines)


def decode_text(data: bytes, *, what: str) -> str:
    """Return text that is UTF-8 without control characters other than newline."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"the {what} is not UTF-8") from error
    if _CONTROLS.search(text):
        raise FormatError(f"the {what} has a control character in it")
    return text


def _parse_line(line: str) -> NoteSignature:
    parts = line.removeprefix(_DASH).split(" ")
    if not line.startswith(_DASH) or len(parts) != 2 or not _is_plain(parts[0]):
        raise FormatError("a signature line is not a dash, a name and base64")
    data = parse_base64(parts[1], what="signature line")
    if len(data) <= KEY_ID_BYTES:
        raise FormatError("a signature line holds no signature")
    return NoteSignature(parts[0], data[:KEY_ID_BYTES], data[KEY_ID_BYTES:])


def _is_plain(name: str) -> bool:
    # str.isspace is true for every Unicode space, which is what the specification excludes.
    return bool(name) and not _NOT_IN_NAMES.search(name) and not any(char.isspace() for char in name)
