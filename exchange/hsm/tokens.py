"""The tokens that this process uses: found by name when a key needs them, logged in once each."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from exchange.hsm.login import Login
from keys.protection import TokenKeys
from keys.token_uri import TokenUri
from protocol.errors import SetupError

if TYPE_CHECKING:
    from exchange.hsm.held import HeldKeys
    from exchange.hsm.library import Library, SeenToken
    from exchange.hsm.token import Token

EXTRA_HINT = "Install it with: pip install 'almenara[hsm]'."
ID_BYTES = 16


class Tokens:
    """Gives keys in tokens by their names. Making this object loads nothing.

    Args:
        module: The file of the tokens' PKCS#11 library, from a setting and never from a key file; None
            if there is none.
        login: Gives the PINs.
    """

    def __init__(self, module: Path | None, login: Login) -> None:
        self._module = module
        self._login = login
        self._library: Library | None = None
        self._tokens: dict[tuple[str, str], Token] = {}

    def keys(self, uri: TokenUri) -> TokenKeys:
        """Return the keys of a name; whether they are there shows when they are used.

        Raises:
            SetupError: no library is named, or it or the extra ``hsm`` is missing.
        """
        self.library()
        from exchange.hsm.held import HeldKeys

        return HeldKeys(self.token(uri), uri)

    def make(self, store: TokenUri, label: str, *, signing: bool) -> HeldKeys:
        """Make keys in a token.

        Args:
            store: The token.
            label: What the keys are called, for people.
            signing: Whether an Ed25519 key pair is among them.

        Raises:
            SetupError: as :meth:`keys`.
            TokenFailed, WrongPassphrase, KeyRefused: the token cannot be used, or not for this.
        """
        token = self.token(store)
        from exchange.hsm.held import make_keys

        return make_keys(token, label, secrets.token_bytes(ID_BYTES), signing=signing)

    def seen(self) -> list[SeenToken]:
        """Return the tokens that are plugged in. Raises as :meth:`keys`, and TokenFailed."""
        library = self.library()
        with library.alone():
            return library.seen()

    def token(self, uri: TokenUri) -> Token:
        """Return the token of a name, not opened yet. Raises as :meth:`keys`."""
        library = self.library()
        from exchange.hsm.token import Token

        name = (uri.token, uri.serial)
        if name not in self._tokens:
            self._tokens[name] = Token(library, TokenUri(*name), self._login)
        return self._tokens[name]

    def library(self) -> Library:
        """Return the loaded library. Raises as :meth:`keys`."""
        if self._library is None:
            if self._module is None:
                raise SetupError(
                    "a key in a token needs the token's PKCS#11 library, and none is named",
                    hint="Name it with --pkcs11-module FILE, ALMENARA_PKCS11_MODULE or the setting "
                    "pkcs11_module, such as /usr/lib/softhsm/libsofthsm2.so",
                )
            try:
                from exchange.hsm.library import Library
            except ImportError as error:
                raise SetupError(
                    "the library for PKCS#11 tokens is not installed", hint=EXTRA_HINT
                ) from error
            self._library = Library(self._module)
        return self._library
