"""Where a passphrase or PIN may come from: a file, a credential, or a person at a terminal.

Never from a flag or an environment value: other users of the machine can read those.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from exchange.keystore import PASSPHRASE_FILE, PIN_FILE, read_credential, read_secret
from protocol.errors import KeyfileError

PASSPHRASE, PIN = "passphrase", "PIN"
"""What is asked for; a PIN opens a token, and a passphrase a file."""

_FILE_OF = {PASSPHRASE: PASSPHRASE_FILE, PIN: PIN_FILE}


class PassphraseSource(Protocol):
    """Something that knows a passphrase when it is asked."""

    def passphrase(self) -> str:
        """Return the passphrase, not empty, without a line end.

        Raises:
            KeyfileError: There is none here.
        """
        ...


@dataclass(frozen=True, slots=True)
class PassphraseFile:
    """The first and only line of a secret file of mode 0600."""

    path: Path
    word: str = PASSPHRASE

    def passphrase(self) -> str:
        """Return the line.

        Raises:
            KeyfileUnsafe: Others could read the file.
            KeyfileError: The file is missing, empty, or has several lines.
        """
        noun = _FILE_OF[self.word]
        return single_line(read_secret(self.path, noun), f"the {noun} {self.path}", self.word)


@dataclass(frozen=True, slots=True)
class PassphraseCredential:
    """The first and only line of a credential that the service manager gives to this process."""

    path: Path
    word: str = PASSPHRASE

    def passphrase(self) -> str:
        """Return the line.

        Raises:
            KeyfileUnsafe: Everybody could read the credential.
            KeyfileError: It is missing, empty, or has several lines.
        """
        return single_line(read_credential(self.path), f"the credential {self.path.name}", self.word)


@dataclass(frozen=True, slots=True)
class PassphrasePrompt:
    """A person at a terminal; a new passphrase is asked for twice.

    Args:
        label: What the passphrase is for, as in ``officer key maria``.
        confirm: Ask twice, for a passphrase that is being chosen.
        ask: Shows a text and returns what was typed without showing it.
        interactive: Says whether somebody can answer.
        word: What is asked for.
    """

    label: str
    confirm: bool = False
    ask: Callable[[str], str] = getpass.getpass
    interactive: Callable[[], bool] = sys.stdin.isatty
    word: str = PASSPHRASE

    def passphrase(self) -> str:
        """Return what was typed.

        Raises:
            KeyfileError: There is no terminal, nothing was typed, or the two differ.
        """
        if not self.interactive():
            raise KeyfileError(
                f"the {self.word} for the {self.label} is needed, and there is no terminal to ask at",
                hint=f"Give --{self.word.lower()}-file FILE (mode 0600), "
                "or a credential of the service manager.",
            )
        asked = self.ask(f"{self.word[0].upper()}{self.word[1:]} for the {self.label}: ")
        typed = single_line(asked, "what was typed", self.word)
        if self.confirm and self.ask("The same again: ") != typed:
            raise KeyfileError(
                "the two passphrases differ", hint="Run the command again; nothing was changed."
            )
        return typed


@dataclass(slots=True)
class Once:
    """A source that is asked at most once, however many key files the passphrase opens."""

    source: PassphraseSource
    _known: str | None = field(default=None, repr=False)

    def passphrase(self) -> str:
        """Return the passphrase.

        Raises:
            KeyfileError: as the source.
        """
        if self._known is None:
            self._known = self.source.passphrase()
        return self._known

    def forget(self) -> None:
        """Forget the passphrase: whatever it opens is open."""
        self._known = None


class NobodyToAsk:
    """What stands for a person who typed the passphrase at the start and is gone."""

    def passphrase(self) -> str:
        """Raise KeyfileError: there is nobody."""
        raise KeyfileError(
            "its passphrase was typed at a terminal when the node was started",
            hint="Restart the node before that day. With --passphrase-file it opens new keys itself.",
        )


def lasting(source: PassphraseSource) -> PassphraseSource:
    """Return a source that can be asked again later, when nobody is at the terminal any more."""
    inner = source.source if isinstance(source, Once) else source
    return NobodyToAsk() if isinstance(inner, PassphrasePrompt) else inner


def never_asked(source: PassphraseSource) -> PassphraseSource:
    """Return a source that says what it would have asked for, where nobody can answer."""
    inner = source.source if isinstance(source, Once) else source
    return replace(inner, interactive=lambda: False) if isinstance(inner, PassphrasePrompt) else source


def passphrase_source(
    label: str,
    *,
    file: Path | None,
    credential: str,
    environment: Mapping[str, str] = os.environ,
    confirm: bool = False,
    word: str = PASSPHRASE,
) -> PassphraseSource:
    """Choose the source: the named file, else a credential that is there, else a prompt.

    Args:
        label: What the passphrase is for, as shown to a person.
        file: The file that was named by flag or setting, or None.
        credential: The name of the credential to look for in ``$CREDENTIALS_DIRECTORY``.
        environment: Where that directory is named.
        confirm: Ask twice at a prompt.
        word: What is asked for, :data:`PASSPHRASE` or :data:`PIN`.
    """
    if file is not None:
        return PassphraseFile(file, word)
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if folder and (Path(folder) / credential).exists():
        return PassphraseCredential(Path(folder) / credential, word)
    return PassphrasePrompt(label, confirm=confirm, word=word)


def single_line(text: str, what: str, word: str = PASSPHRASE) -> str:
    """Return the text without one line end.

    Raises:
        KeyfileError: It is empty or has several lines.
    """
    line = text.removesuffix("\n").removesuffix("\r")
    if not line or "\n" in line or "\r" in line:
        raise KeyfileError(f"{what} is not exactly one line", hint=f"Write the {word} there, on one line.")
    return line
