"""Starting the unsealer as a child of the node, with a socket that has no name on any disk."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from exchange.datadir import DataDir
from exchange.keystore import read_secret
from exchange.passphrases import Once, PassphraseCredential, PassphraseFile, PassphraseSource
from exchange.unlocking import WithTokens
from exchange.unsealer.messages import Start
from keys.keyfile import describe
from protocol import codec
from protocol.errors import KeyfileError, SetupError

PROGRAM = "exchange.unsealer.process"
END_SECONDS = 2.0


class Child(Protocol):
    """A running unsealer, seen from the node."""

    @property
    def connection(self) -> socket.socket:
        """The node's end of the socket."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...

    def wait(self) -> int | None:
        """Block until it has ended, a moment after its socket was closed; return its exit code."""
        ...


@dataclass(frozen=True, slots=True)
class ChildProcess:
    """An unsealer in a process of its own."""

    connection: socket.socket
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()

    def wait(self) -> int | None:
        """Return its exit code; if it does not end by itself within a moment, it is made to."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(END_SECONDS)
        self.process.kill()
        return self.process.wait()


class Launcher:
    """Starts the unsealer of one data directory, again and again if it must be.

    A passphrase file or credential is read by the child itself. What a person types is asked for here,
    once, goes to the first child through a pipe, and is not kept: that child can renew itself, but if it
    is killed, only a person can start the next one.

    Args:
        place: The data directory.
        state: The state whose node it is.
        source: Where the passphrase comes from, if the opening key has one.
        pkcs11_module: The library of the token in which the opening key is, if it is in one.
        pin_file: What holds that token's PIN.

    Raises:
        SetupError: there is no opening key.
        KeyfileError: it cannot be read, or a passphrase is needed and there is none.
    """

    def __init__(
        self,
        place: DataDir,
        state: str,
        source: PassphraseSource,
        *,
        pkcs11_module: Path | None = None,
        pin_file: Path | None = None,
    ) -> None:
        start = Start(
            state=state,
            data=os.fsencode(place.path.absolute()),
            pkcs11_module=None if pkcs11_module is None else os.fsencode(pkcs11_module.absolute()),
            pin_file=None if pin_file is None else os.fsencode(pin_file.absolute()),
        )
        self._only_once = False
        match _innermost(source):
            case PassphraseFile(path=path):
                start = replace(start, passphrase_file=os.fsencode(path.absolute()))
            case PassphraseCredential(path=path):
                start = replace(start, credential=os.fsencode(path.absolute()))
            case _ if _needs_passphrase(place.opening_key):
                start = replace(start, passphrase=source.passphrase().encode())
                self._only_once = True
        self._start: Start | None = start

    def __call__(self) -> ChildProcess:
        """Start it; it says itself when it is ready.

        Raises:
            KeyfileError: its passphrase was typed, and it was started before.
            SetupError: no process can be started.
        """
        if self._start is None:
            raise KeyfileError(
                "the unsealer ended, and only a person can give its passphrase again",
                hint="Restart the node; with --passphrase-file or a credential this happens by itself.",
            )
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = _spawn(theirs, codec.encode(self._start))
        except OSError as error:
            ours.close()
            raise SetupError(f"the unsealer cannot be started: {error.strerror}") from error
        if self._only_once:
            self._start = None
        return ChildProcess(ours, process)


def _spawn(connection: socket.socket, start: bytes) -> subprocess.Popen[bytes]:
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(start)
        descriptors = (connection.fileno(), reading)
        return subprocess.Popen(
            # -P: a module that lies in the folder where somebody stands is not this program's.
            [sys.executable, "-P", "-m", PROGRAM, *map(str, descriptors)],
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    finally:
        os.close(reading)


def _innermost(source: PassphraseSource) -> PassphraseSource:
    while isinstance(source, WithTokens | Once):
        source = source.source
    return source


def _needs_passphrase(path: Path) -> bool:
    if not path.exists():
        raise SetupError(
            f"there is no opening key {path}",
            hint="Restore it from backup. A node of an earlier version has none: set it up anew.",
        )
    return describe(read_secret(path)).protection.word == "passphrase"
