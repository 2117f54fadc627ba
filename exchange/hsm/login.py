"""When a PIN may be offered to a token: once, and never again after it was refused.

A token locks itself after a few wrong PINs, often for good, and a service manager restarts a
service for ever. So a wrong PIN is offered once by a process; and the next process offers none
either: the token says that the last login failed, or the mark says so that was left for tokens
which do not. Only a person at a terminal may decide to try again.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from exchange.keystore import write_secret
from exchange.passphrases import PassphraseSource
from keys.token_uri import TokenUri
from protocol.errors import WrongPassphrase

TRY_AT_A_TERMINAL = (
    "Correct the PIN, then try it once at a terminal: almenara key token --login URI --data DIR"
)
LOCKED_HINT = "Nothing here can unlock it: that takes the token's security officer, or a new token."
_MARK = (
    "The PIN was refused. It is not offered again while this file is here. See: almenara key token "
    "--data DIR\n"
)


@dataclass(frozen=True, slots=True)
class TokenState:
    """What a token says of itself before anybody logs in."""

    label: str
    serial: str
    model: str
    last_login_failed: bool
    one_try_left: bool
    locked: bool

    @property
    def uri(self) -> TokenUri:
        """The token's name."""
        return TokenUri(token=self.label, serial=self.serial)


Confirm = Callable[[str], bool]
"""Asks a person at a terminal; without one, the answer is no."""


def nobody(_: str) -> bool:
    """Answer for a service: there is nobody to ask."""
    return False


@dataclass(slots=True)
class Login:
    """Gives out a PIN for a token, or refuses.

    Args:
        pin: Where a token's PIN comes from, by the token's label.
        marks: The folder in which a refusal leaves its mark, such as the data directory; None for none.
        confirm: Asks a person.
    """

    pin: Callable[[str], PassphraseSource]
    marks: Path | None = None
    confirm: Confirm = nobody
    _proven: dict[str, str] = field(default_factory=dict, repr=False)
    _refused: set[str] = field(default_factory=set)

    def pin_for(self, token: TokenState) -> str:
        """Return the PIN to offer now, once.

        Args:
            token: The token as it is now.

        Raises:
            WrongPassphrase: the token is locked, or a wrong PIN was offered since its last login and nobody
                confirms that another try is wanted.
            KeyfileError: there is no PIN.
        """
        if token.locked:
            raise WrongPassphrase(f"the token {token.label} is locked by wrong PINs", hint=LOCKED_HINT)
        if token.serial in self._refused:
            raise WrongPassphrase(
                f"the token {token.label} refused the PIN; it is not offered twice", hint=TRY_AT_A_TERMINAL
            )
        self._require_consent(token)
        if token.serial not in self._proven:
            self._proven[token.serial] = self.pin(token.label).passphrase()
        return self._proven[token.serial]

    def succeeded(self, token: TokenState) -> None:
        """Say that the PIN was right; the same token may be opened with it again."""
        mark = self._mark(token)
        if mark is not None:
            mark.unlink(missing_ok=True)

    def failed(self, token: TokenState) -> None:
        """Say that the token refused the PIN: this process and the next do not offer it again.

        Raises:
            KeyfileError: the mark cannot be written.
        """
        self._refused.add(token.serial)
        self._proven.pop(token.serial, None)
        mark = self._mark(token)
        if mark is not None:
            write_secret(mark, _MARK, replace=True)

    def _require_consent(self, token: TokenState) -> None:
        mark = self._mark(token)
        marked = mark is not None and mark.exists()
        if not (marked or token.last_login_failed or token.one_try_left):
            return
        why = "has one try left before it locks" if token.one_try_left else "was given a wrong PIN last"
        if not self.confirm(f"The token {token.label} {why}. Is the PIN certainly right now?"):
            hint = TRY_AT_A_TERMINAL
            if mark is not None and marked:
                hint += f" - or, if the token was changed: rm {shlex.quote(str(mark))}"
            raise WrongPassphrase(f"the token {token.label} {why}; no PIN was offered", hint=hint)

    def _mark(self, token: TokenState) -> Path | None:
        if self.marks is None or not self.marks.is_dir():
            return None
        return self.marks / f"pin-refused-{token.serial.encode().hex()}"
