"""Opening key files, whatever protects them: a passphrase, or the token that a file names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from exchange.hsm.login import Confirm, Login, nobody
from exchange.hsm.tokens import Tokens
from exchange.keystore import read_secret
from exchange.passphrases import (
    PIN,
    Once,
    PassphrasePrompt,
    PassphraseSource,
    lasting,
    never_asked,
    passphrase_source,
)
from keys.keyfile import KeyDescription, KeyKind, KeyRecord, ProtectionProvider, parse_secret
from keys.protection import InToken, Passphrase, Protection
from protocol.errors import KeyfileError, WrongPassphrase

PIN_CREDENTIAL = "almenara-pin"
"""The name of the credential that holds the PIN of a service's token."""


@dataclass(frozen=True, slots=True)
class WithTokens:
    """A source of the passphrase that reaches the tokens too, for key files that name keys in one."""

    source: PassphraseSource
    tokens: Tokens

    def passphrase(self) -> str:
        """Return the passphrase. Raises KeyfileError as the source."""
        return self.source.passphrase()

    def forget(self) -> None:
        """Forget a passphrase that was typed: whatever it opens is open."""
        if isinstance(self.source, Once):
            self.source.forget()

    def lasting(self) -> WithTokens:
        """Return what can still answer when nobody is at the terminal any more: the tokens always can."""
        return WithTokens(lasting(self.source), self.tokens)


def unlock(path: Path, kind: KeyKind, role: str, source: PassphraseSource) -> KeyRecord:
    """Unlock one key file and check that it is the kind and role wanted.

    Args:
        path: The file.
        kind: What it must hold.
        role: What that must be used as.
        source: Asked only if the file needs it.

    Raises:
        KeyfileError: it is missing, readable by others, damaged, or of another kind or role.
        WrongPassphrase: the passphrase or PIN does not open it, or it was altered.
        TokenFailed: it names keys in a token that cannot be used now.
        SetupError: it names keys in a token, and no library for tokens can be used.
    """
    try:
        record = parse_secret(read_secret(path), provider_of(source))
    except WrongPassphrase as error:
        raise WrongPassphrase(f"{path} was not opened: {error.message}", hint=error.hint) from error
    if (record.kind, record.role) != (kind, role):
        raise KeyfileError(
            f"{path} holds a {record.kind} key of role {record.role}, not a {kind} key of role {role}",
            hint="Name the right key file.",
        )
    return record


def provider_of(source: PassphraseSource) -> ProtectionProvider:
    """Return what answers for every key file; without tokens, a file that names one is refused."""
    tokens = tokens_behind(source)

    def offer(description: KeyDescription) -> Protection:
        uri = description.protection.uri
        if uri is not None:
            return InToken(tokens.keys(uri))
        return Passphrase(source.passphrase().encode())

    return offer


def tokens_behind(source: PassphraseSource) -> Tokens:
    """Return the tokens that a source reaches; of one without, those of a machine that has none."""
    return source.tokens if isinstance(source, WithTokens) else tokens_of(None, None)


def tokens_of(
    module: Path | None,
    pin_file: Path | None,
    *,
    marks: Path | None = None,
    may_ask: bool = False,
    confirm: Confirm = nobody,
) -> Tokens:
    """Return the tokens of this machine as the settings name them; nothing is loaded yet.

    Args:
        module: The setting ``pkcs11_module``.
        pin_file: The setting ``pin_file``.
        marks: Where a refused PIN leaves its mark, such as the data directory.
        may_ask: Whether a person may be asked for the PIN.
        confirm: Asks a person whether to try again after a refusal.
    """
    return Tokens(module, Login(pin_source(pin_file, may_ask=may_ask), marks, confirm))


def pin_source(file: Path | None, *, may_ask: bool) -> Callable[[str], PassphraseSource]:
    """Return where the PIN of a token comes from: the file, a credential that is there, or a person.

    Args:
        file: The file that was named by flag or setting, or None.
        may_ask: Whether there is a person.
    """

    def pin(token: str) -> PassphraseSource:
        found = passphrase_source(f"token {token}", file=file, credential=PIN_CREDENTIAL, word=PIN)
        return never_asked(found) if isinstance(found, PassphrasePrompt) and not may_ask else found

    return pin
