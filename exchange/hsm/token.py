"""One token, logged in once, and opened again if it was away."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import pkcs11
from pkcs11 import (
    Attribute,
    DeviceRemoved,
    KeyType,
    ObjectClass,
    PinLocked,
    PKCS11Error,
    SessionHandleInvalid,
    TokenNotPresent,
    UserAlreadyLoggedIn,
)

from exchange.hsm.library import SEE, Library, SeenToken, said
from exchange.hsm.login import LOCKED_HINT, TRY_AT_A_TERMINAL, Login
from keys.token_uri import TokenUri
from protocol.errors import KeyfileError, TokenFailed, WrongPassphrase

T = TypeVar("T")
Kind = tuple[ObjectClass, KeyType]

GONE = (DeviceRemoved, TokenNotPresent, SessionHandleInvalid)
"""What a library says of a token that was pulled out."""


class NoSuchKey(TokenFailed):
    """The token is there and open, and has no such key."""


class Session:
    """A session, and the objects that were found in it."""

    def __init__(self, handle: pkcs11.Session) -> None:
        self.handle = handle
        self._found: dict[tuple[Kind, str, bytes], pkcs11.Object] = {}

    def find(self, kind: Kind, uri: TokenUri) -> pkcs11.Object:
        """Return the one object of a kind under a name.

        Raises:
            NoSuchKey: there is none.
            KeyfileError: there are several.
        """
        key = (kind, uri.object, uri.id)
        if key not in self._found:
            self._found[key] = self._only(kind, uri)
        return self._found[key]

    def all(self, kind: Kind | None, uri: TokenUri) -> list[pkcs11.Object]:
        """Return all objects under a name, of one kind or of any."""
        wanted: dict[Attribute, object] = {Attribute.TOKEN: True}
        if kind is not None:
            wanted |= {Attribute.CLASS: kind[0], Attribute.KEY_TYPE: kind[1]}
        if uri.object:
            wanted[Attribute.LABEL] = uri.object
        if uri.id:
            wanted[Attribute.ID] = uri.id
        # To its end at once: a search that is left open blocks the session.
        return list(self.handle.get_objects(wanted))

    def _only(self, kind: Kind, uri: TokenUri) -> pkcs11.Object:
        found = self.all(kind, uri)
        name = uri.object or uri.id.hex()
        if not found:
            raise NoSuchKey(
                f"the token {uri.token} has no {kind[1].name} key called {name}",
                hint="It was deleted, or this is another token of that name: " + SEE,
            )
        if len(found) > 1:
            raise KeyfileError(
                f"the token {uri.token} has {len(found)} {kind[1].name} keys called {name}",
                hint="Delete the one that is not ours with the tools of the token's maker.",
            )
        return found[0]


class Token:
    """A token that is used for one thing after another.

    Args:
        library: The library that sees it.
        wanted: Which one.
        login: Gives the PIN.
    """

    def __init__(self, library: Library, wanted: TokenUri, login: Login) -> None:
        self._library = library
        self._wanted = wanted
        self._login = login
        self._session: Session | None = None
        self._generation = library.generation
        self._lost = False

    def use(self, verb: str, work: Callable[[Session], T], *, again: bool = True) -> T:
        """Return what ``work`` returns.

        Args:
            verb: What it does, for messages, such as ``sign``.
            work: Called with a session; called a second time, in a new one, if the first failed.
            again: Whether it may be.

        Raises:
            TokenFailed: the token is not there, or cannot do it.
            WrongPassphrase: the token's PIN is wrong, or must not be tried.
        """
        with self._library.alone():
            try:
                return work(self._opened())
            except PKCS11Error as error:
                self._lose()
                if not again:
                    raise self._failed(verb, error) from error
            try:
                return work(self._opened())
            except PKCS11Error as error:
                self._lose()
                raise self._failed(verb, error) from error

    def seen(self) -> SeenToken:
        """Return the token as it is now. Raises TokenFailed if it is not there."""
        with self._library.alone():
            return self._library.find(self._wanted)

    def _opened(self) -> Session:
        if self._generation != self._library.generation:
            self._session = None
        if self._session is None:
            self._session = Session(self._open(self._found()))
            self._generation = self._library.generation
            self._lost = False
        return self._session

    def _found(self) -> SeenToken:
        if not self._lost:
            # Some libraries look for tokens only when they are started: then it is looked for once more.
            with suppress(TokenFailed):
                return self._library.find(self._wanted)
        self._library.restart()
        return self._library.find(self._wanted)

    def _open(self, token: SeenToken) -> pkcs11.Session:
        pin = self._login.pin_for(token)
        # First without a PIN: what goes wrong after that is the PIN, unless the token was pulled out.
        ahead = token.handle.open(rw=True)
        try:
            session = token.handle.open(rw=True, user_pin=pin)
        except UserAlreadyLoggedIn:
            # By another name for the same token, in this process.
            session = token.handle.open(rw=True)
        except GONE:
            raise
        except PKCS11Error as error:
            self._login.failed(token)
            locked = isinstance(error, PinLocked)
            raise WrongPassphrase(
                f"the token {token.label} {'is locked' if locked else 'refused the PIN'}: {said(error)}",
                hint=LOCKED_HINT if locked else TRY_AT_A_TERMINAL,
            ) from error
        ahead.close()
        self._login.succeeded(token)
        return session

    def _lose(self) -> None:
        self._session, self._lost = None, True

    def _failed(self, verb: str, error: PKCS11Error) -> TokenFailed:
        return TokenFailed(f"the token {self._wanted.token} could not {verb}: {said(error)}", hint=SEE)
