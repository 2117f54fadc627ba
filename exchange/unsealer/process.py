"""The unsealer as a process: reads how to begin, opens its key, answers until the node is gone.

It is started with the numbers of two open descriptors: the socket to the node, and a pipe that holds the
:class:`~exchange.unsealer.messages.Start`. Whenever it has destroyed a key it starts itself anew, in the
same place: Python cannot wipe memory, and a fresh image holds nothing of the old one. What waits in the
socket meanwhile stays there. It ends with 0 when the node has closed the socket.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from msgspec.structs import replace

from exchange.datadir import DataDir
from exchange.keystore import read_secret
from exchange.passphrases import PassphraseCredential, PassphraseFile, PassphraseSource
from exchange.unlocking import WithTokens, tokens_of, unlock
from exchange.unsealer.confinement import confine
from exchange.unsealer.daykeys import DayKeys, FileDayKeys
from exchange.unsealer.messages import (
    Answer,
    DestroyDays,
    Destroyed,
    Failed,
    Made,
    MakeDays,
    Opened,
    OpenedWraps,
    OpenNote,
    OpenWrap,
    OpenWraps,
    Ready,
    Request,
    Start,
    frame,
    parse_request,
    parse_start,
    receive,
)
from exchange.unsealer.opener import Opener
from keys.keyfile import KeyKind, describe
from protocol import codec
from protocol.errors import AlmenaraError, FormatError, KeyfileError

ROLE = "opening"
NOT_UNDERSTOOD = 65
CANNOT_START = 78
TEXT_BYTES = 4000


@dataclass(slots=True)
class _Kept:
    """The passphrase that was used, so that starting anew needs neither file nor person."""

    source: PassphraseSource | None
    used: bytes | None = field(default=None, repr=False)

    def passphrase(self) -> str:
        if self.source is None:
            raise KeyfileError("the opening key has a passphrase, and none was given")
        text = self.source.passphrase()
        self.used = text.encode()
        return text


@dataclass(frozen=True, slots=True)
class _Given:
    """A passphrase that came with the start."""

    text: bytes = field(repr=False)

    def passphrase(self) -> str:
        return self.text.decode()


def main() -> None:
    """Run with the two descriptors named on the command line; the exit code says how it ended."""
    # A terminal and a service manager tell all processes to end; this one ends after the node.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    connection = socket.socket(fileno=int(sys.argv[1]))
    with os.fdopen(int(sys.argv[2]), "rb") as pipe:
        start = parse_start(pipe.read())
    sys.exit(run(connection, start))


def run(connection: socket.socket, start: Start) -> int:
    """Answer until the node has closed the socket; return the exit code."""
    # A token may be reached through a socket of its own library.
    lacking = confine(network=start.pkcs11_module is not None)
    passphrase = _Kept(_source(start))
    try:
        days = open_day_keys(start, passphrase)
    except AlmenaraError as error:
        connection.sendall(frame(_failed(0, error)))
        return CANNOT_START
    try:
        connection.sendall(frame(Ready(lacking=lacking)))
        if not answer_until_destroyed(connection, Opener(days)):
            return 0
    except FormatError:
        return NOT_UNDERSTOOD
    except OSError:
        # The node is gone, and with it whoever could hear of it.
        return 0
    _start_anew(connection, replace(start, passphrase=passphrase.used))


def open_day_keys(start: Start, passphrase: PassphraseSource) -> DayKeys:
    """Return the wrapping keys of days: those of the token that holds the opening key, or in files under it.

    Raises:
        KeyfileError, WrongPassphrase: the opening key cannot be unlocked.
        StoreFailed: the folder of day keys cannot be made.
    """
    place = DataDir(Path(os.fsdecode(start.data)))
    tokens = tokens_of(_path(start.pkcs11_module), _path(start.pin_file), marks=place.path)
    record = unlock(place.opening_key, KeyKind.SYMMETRIC, ROLE, WithTokens(passphrase, tokens))
    uri = describe(read_secret(place.opening_key)).protection.uri
    if uri is not None:
        token = tokens.token(uri)
        from exchange.hsm.day_keys import TokenDayKeys

        return TokenDayKeys(token, uri, start.state)
    return FileDayKeys(place.day_keys, start.state, record.seed)


def answer_until_destroyed(connection: socket.socket, opener: Opener) -> bool:
    """Answer one request after another; return True after a destruction, False when the node is gone.

    Raises:
        FormatError: what came is no request.
        OSError: the socket failed.
    """
    while (data := receive(connection)) is not None:
        request = parse_request(data)
        answer = _answer(opener, request)
        connection.sendall(frame(answer))
        if isinstance(request, DestroyDays) and isinstance(answer, Destroyed) and answer.days:
            return True
    return False


def _answer(opener: Opener, request: Request) -> Answer:
    ref = request.ref
    try:
        match request:
            case OpenWrap(prekey_id=key, day=day, locked=locked, wrap=wrap, info=info):
                return Opened(ref=ref, plaintext=opener.open_wrap(key, day, locked, wrap, info))
            case OpenWraps(prekey_id=key, day=day, locked=locked, wraps=wraps):
                return OpenedWraps(ref=ref, plaintexts=opener.open_wraps(key, day, locked, wraps))
            case OpenNote(prekey_id=key, day=day, locked=locked, sealed=sealed, info=info):
                return Opened(ref=ref, plaintext=opener.open_note(key, day, locked, sealed, info))
            case MakeDays(first_ms=first_ms, days=days):
                return Made(ref=ref, keys=opener.make_days(first_ms, days))
            case DestroyDays(before=before, keep=keep):
                return Destroyed(ref=ref, days=opener.destroy_before(before, keep))
    except AlmenaraError as error:
        return _failed(ref, error)
    except Exception as fault:
        # A fault of our own with one request must not end the others.
        return _failed(ref, AlmenaraError(f"a fault in the unsealer: {type(fault).__name__}"))


def _failed(ref: int, error: AlmenaraError) -> Failed:
    message, hint = (text.encode("utf-8", "replace")[:TEXT_BYTES] for text in (error.message, error.hint))
    return Failed(ref=ref, code=error.code, message=message, hint=hint)


def _source(start: Start) -> PassphraseSource | None:
    if start.passphrase is not None:
        return _Given(start.passphrase)
    if start.passphrase_file is not None:
        return PassphraseFile(Path(os.fsdecode(start.passphrase_file)))
    if start.credential is not None:
        return PassphraseCredential(Path(os.fsdecode(start.credential)))
    return None


def _path(name: bytes | None) -> Path | None:
    return None if name is None else Path(os.fsdecode(name))


def _start_anew(connection: socket.socket, start: Start) -> NoReturn:
    """Replace this process's image by a new one with the same socket."""
    reading, writing = os.pipe()
    # Shorter than any pipe's buffer: this cannot wait for a reader.
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(codec.encode(start))
    for descriptor in (connection.fileno(), reading):
        os.set_inheritable(descriptor, True)
    words = [sys.executable, *sys.orig_argv[1:-2], str(connection.fileno()), str(reading)]
    os.execv(sys.executable, words)  # noqa: S606  (no shell is wanted)


if __name__ == "__main__":
    main()
