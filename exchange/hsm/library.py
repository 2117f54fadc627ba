"""The PKCS#11 library that the settings name, loaded when the first key needs it, and the tokens it sees.

Only this package imports ``pkcs11``, and only :mod:`exchange.hsm.tokens` imports this module, late.
"""

from __future__ import annotations

import os
import shlex
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pkcs11
from pkcs11 import PKCS11Error, TokenFlag

from exchange.hsm.login import TokenState
from keys.token_uri import TokenUri
from protocol.errors import KeyfileError, KeyfileUnsafe, SetupError, TokenFailed

SEE = "Plug it in, then see what is there: almenara key token --data DIR"


@dataclass(frozen=True, slots=True)
class SeenToken(TokenState):
    """A token as it is now."""

    handle: pkcs11.Token


class Library:
    """One library. All calls into it are made :meth:`alone`, one at a time.

    PKCS#11 lets a session be used by one thread at a time, and a library be started again only while
    nobody uses it; the lock gives both, and a token does one thing at a time anyway.

    Args:
        path: The library's file.

    Raises:
        KeyfileUnsafe: others than its owner could replace it: loading it runs its code.
        SetupError: it is missing, or no PKCS#11 library.
    """

    def __init__(self, path: Path) -> None:
        _require_safe(path)
        self._lock = threading.RLock()
        self.generation = 0
        """Counts how often it was started: sessions of an earlier time are gone."""
        try:
            with self.alone():
                self._library = pkcs11.lib(str(path))
        except PKCS11Error as error:
            raise SetupError(
                f"{path} cannot be loaded as a PKCS#11 library: {said(error)}",
                hint="Name your token's library with --pkcs11-module FILE or ALMENARA_PKCS11_MODULE.",
            ) from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock while calls are made."""
        with self._lock:
            try:
                yield
            finally:
                _clear_errors_of_openssl()

    def restart(self) -> None:
        """Start it anew: some libraries look for tokens only then. All sessions are gone.

        Raises:
            TokenFailed: it does not start.
        """
        self.generation += 1
        try:
            self._library.reinitialize()
        except PKCS11Error as error:
            raise TokenFailed(f"the PKCS#11 library does not start again: {said(error)}", hint=SEE) from error

    def seen(self) -> list[SeenToken]:
        """Return the tokens that are plugged in and set up; one that does not answer is left out.

        Raises:
            TokenFailed: the library does not even say which slots there are.
        """
        found = []
        try:
            slots = self._library.get_slots(token_present=True)
        except PKCS11Error as error:
            raise TokenFailed(f"the PKCS#11 library does not answer: {said(error)}", hint=SEE) from error
        for slot in slots:
            try:
                token = slot.get_token()
            except PKCS11Error:
                continue
            if TokenFlag.TOKEN_INITIALIZED & token.flags:
                found.append(_seen(token))
        return found

    def find(self, wanted: TokenUri) -> SeenToken:
        """Return the one token of this label, and of this serial number if it is given.

        Raises:
            TokenFailed: there is none.
            KeyfileError: there are several.
        """
        label = f"the token {wanted.token}"
        named = [token for token in self.seen() if token.label == wanted.token]
        found = [token for token in named if wanted.serial in ("", token.serial)]
        if not found:
            other = " with that serial number" if named else ""
            raise TokenFailed(f"{label}{other} is not here", hint=SEE)
        if len(found) > 1:
            raise KeyfileError(
                f"there are {len(found)} tokens called {wanted.token}",
                hint="Say which: " + " or ".join(str(token.uri) for token in found),
            )
        return found[0]


def _clear_errors_of_openssl() -> None:
    """Empty this thread's queue of OpenSSL's errors.

    A library that uses the same OpenSSL as Python leaves errors there, and Python's next TLS call takes
    them for its own: SoftHSM's search for an engine made a peer's certificate unusable. A refused list of
    ciphers is what makes Python empty the queue; it changes nothing else.
    """
    # Not imported: in a process without TLS, such as the unsealer, nobody reads the queue.
    tls = sys.modules.get("ssl")
    if tls is not None:
        with suppress(tls.SSLError):
            _context(tls).set_ciphers("NONE-OF-THEM")


@lru_cache(maxsize=1)
def _context(tls: ModuleType) -> Any:
    return tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)


def said(error: PKCS11Error) -> str:
    """Return what a library said: the name of its code, or the loader's sentence."""
    return str(error) or type(error).__name__


def _seen(token: pkcs11.Token) -> SeenToken:
    def has(flag: TokenFlag) -> bool:
        return bool(flag & token.flags)

    return SeenToken(
        label=token.label,
        serial=token.serial.decode("utf-8", "replace"),
        model=token.model,
        last_login_failed=has(TokenFlag.USER_PIN_COUNT_LOW),
        one_try_left=has(TokenFlag.USER_PIN_FINAL_TRY),
        locked=has(TokenFlag.USER_PIN_LOCKED),
        handle=token,
    )


def _require_safe(path: Path) -> None:
    try:
        status = path.stat()
    except OSError as error:
        raise SetupError(
            f"the PKCS#11 library {path} cannot be read: {error.strerror}",
            hint="Name your token's library with --pkcs11-module FILE or ALMENARA_PKCS11_MODULE.",
        ) from error
    name = shlex.quote(str(path))
    mine = status.st_uid in (0, os.geteuid())
    if not (stat.S_ISREG(status.st_mode) and mine) or status.st_mode & 0o022:
        raise KeyfileUnsafe(
            f"the PKCS#11 library {path} could be replaced by others, and loading it runs its code",
            hint=f"Find out why; if it is right, run: chown root {name} && chmod go-w {name}",
        )
