"""What a node and its unsealer say to each other, over a socket that has no name.

A frame is ``u32 length || message``; a message is an array of the profile (``spec/encoding.md``), its
tag first. The node asks, with a number that the answer repeats; it may ask again before it is answered.
Only the first of all messages, the unsealer's, comes unasked. A seed never crosses unlocked.
"""

from __future__ import annotations

import socket
from typing import Annotated, TypeAlias

from msgspec import Meta

from protocol import codec
from protocol.documents import Prekey
from protocol.errors import FormatError, TooLarge
from protocol.fields import Bytes32, Millis, StateCode, Uint, Wire, WrapBytes
from protocol.statement import MAX_DETAIL_BYTES
from protocol.suite import WRAP_PLAINTEXT_BYTES

MAX_FRAME_BYTES = 64 * 1024
MAX_DAYS = 128
MAX_WRAPS = 32
"""How many wraps one request may bring: what the other end answers in a few milliseconds."""
_LENGTH_BYTES = 4

Day = Annotated[str, Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")]
Days = Annotated[tuple[Day, ...], Meta(max_length=MAX_DAYS)]
Locked = Annotated[bytes, Meta(max_length=1024)]
Info = Annotated[bytes, Meta(max_length=256)]
WrapPlaintext = Annotated[bytes, Meta(min_length=WRAP_PLAINTEXT_BYTES, max_length=WRAP_PLAINTEXT_BYTES)]
Text = Annotated[bytes, Meta(max_length=4096)]
"""UTF-8 for people; not text of the profile, because it may quote a path that is not."""


class Start(Wire, frozen=True, tag="start"):
    """How to begin: whose keys, where they lie, and what opens them.

    Paths are as the file system has them. At most one of ``passphrase`` itself, the file and the service
    manager's credential that hold it is there. The last two are the settings of the same names.
    """

    state: StateCode
    data: bytes
    passphrase: bytes | None = None
    passphrase_file: bytes | None = None
    credential: bytes | None = None
    pkcs11_module: bytes | None = None
    pin_file: bytes | None = None


class OpenWrap(Wire, frozen=True, tag="open-wrap"):
    """Open one wrap with the one prekey that it names."""

    ref: Uint
    prekey_id: Bytes32
    day: Day
    locked: Locked
    wrap: WrapBytes
    info: Info


class BoundWrap(Wire, frozen=True):
    """A wrap, and what it binds."""

    wrap: WrapBytes
    info: Info


class OpenWraps(Wire, frozen=True, tag="open-wraps"):
    """Open several wraps with the one prekey that all of them name."""

    ref: Uint
    prekey_id: Bytes32
    day: Day
    locked: Locked
    wraps: Annotated[tuple[BoundWrap, ...], Meta(min_length=1, max_length=MAX_WRAPS)]


class OpenNote(Wire, frozen=True, tag="open-note"):
    """Open an officer's sealed note with the one prekey that it names."""

    ref: Uint
    prekey_id: Bytes32
    day: Day
    locked: Locked
    sealed: Annotated[bytes, Meta(max_length=MAX_DETAIL_BYTES)]
    info: Info


class MakeDays(Wire, frozen=True, tag="make-days"):
    """Make prekeys for so many days from the one of this time on."""

    ref: Uint
    first_ms: Millis
    days: Annotated[int, Meta(ge=1, le=31)]


class DestroyDays(Wire, frozen=True, tag="destroy-days"):
    """Destroy the keys of all days before one, but for some."""

    ref: Uint
    before: Day
    keep: Days


class Ready(Wire, frozen=True, tag="ready"):
    """The keys are open. ``lacking`` names protections that this system did not give."""

    lacking: Annotated[tuple[str, ...], Meta(max_length=16)]


class Opened(Wire, frozen=True, tag="opened"):
    """What was sealed."""

    ref: Uint
    plaintext: Annotated[bytes, Meta(max_length=MAX_DETAIL_BYTES)]


class OpenedWraps(Wire, frozen=True, tag="opened-wraps"):
    """What was in each wrap, in order; nothing where one does not open."""

    ref: Uint
    plaintexts: Annotated[tuple[WrapPlaintext | None, ...], Meta(max_length=MAX_WRAPS)]


class MadeKey(Wire, frozen=True):
    """One day's prekey as published, and its seed locked under the day's key."""

    public: Prekey
    day: Day
    locked: Locked


class Made(Wire, frozen=True, tag="made"):
    """The prekeys; the keys of their days are durable."""

    ref: Uint
    keys: Annotated[tuple[MadeKey, ...], Meta(max_length=31)]


class Destroyed(Wire, frozen=True, tag="destroyed"):
    """The days whose key was destroyed now."""

    ref: Uint
    days: Days


class Failed(Wire, frozen=True, tag="failed"):
    """It could not: the code of an error, its sentence and the next step. At the start ``ref`` is 0."""

    ref: Uint
    code: Annotated[str, Meta(max_length=64)]
    message: Text
    hint: Text


Request: TypeAlias = OpenWrap | OpenWraps | OpenNote | MakeDays | DestroyDays
Answer: TypeAlias = Opened | OpenedWraps | Made | Destroyed | Failed

_REQUESTS = codec.tags_of(OpenWrap, OpenWraps, OpenNote, MakeDays, DestroyDays)
_ANSWERS = codec.tags_of(Ready, Opened, OpenedWraps, Made, Destroyed, Failed)


def frame(message: Wire) -> bytes:
    """Return a message with its length before it.

    Raises:
        FormatError: it breaks the bounds of its type.
    """
    data = codec.encode(message)
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data


def frame_length(head: bytes) -> int:
    """Return how long the message is that these four bytes announce.

    Raises:
        TooLarge: longer than any message here.
    """
    length = int.from_bytes(head, "big")
    if length > MAX_FRAME_BYTES:
        raise TooLarge(f"a message of {length} bytes was announced; the limit is {MAX_FRAME_BYTES}")
    return length


def parse_start(data: bytes) -> Start:
    """Parse how to begin. Raises FormatError."""
    return codec.decode(data, Start, limit=MAX_FRAME_BYTES, what="start message")


def parse_request(data: bytes) -> Request:
    """Parse what the node asks. Raises FormatError."""
    return codec.decode_one_of(data, _REQUESTS, limit=MAX_FRAME_BYTES, what="request")  # type: ignore[return-value]


def parse_answer(data: bytes) -> Ready | Answer:
    """Parse what the unsealer says. Raises FormatError."""
    return codec.decode_one_of(data, _ANSWERS, limit=MAX_FRAME_BYTES, what="answer")  # type: ignore[return-value]


def receive(connection: socket.socket) -> bytes | None:
    """Wait for one message and return it, or None when the other end has closed between two.

    Not a byte more is read than the message has: what follows stays in the socket for whoever reads next.

    Raises:
        FormatError: the other end closed in the middle, or announced too much.
        OSError: as the socket.
    """
    head = _exactly(connection, _LENGTH_BYTES)
    if not head:
        return None
    data = _exactly(connection, frame_length(head)) if len(head) == _LENGTH_BYTES else b""
    if len(head) < _LENGTH_BYTES or len(data) < frame_length(head):
        raise FormatError("the connection was closed in the middle of a message")
    return data


def _exactly(connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size and (more := connection.recv(size - len(received))):
        received += more
    return bytes(received)
