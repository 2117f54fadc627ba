"""What the set-up commands share: they work on files of this machine, and ask no node."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from exchange.cli.filling import filled, filling
from exchange.cli.output import Colour, Output

if TYPE_CHECKING:
    from exchange.hsm.tokens import Tokens
    from exchange.settings import CliSettings, CoordinatorSettings, NodeSettings
    from exchange.setup.keyring import Protect
    from exchange.unlocking import WithTokens

    S = TypeVar("S", NodeSettings, CoordinatorSettings, CliSettings)

F = TypeVar("F", bound=Callable[..., Any])

_FLAGS = "almenara.tokens"

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)


@dataclass(frozen=True, slots=True)
class Local:
    """How a set-up command talks: where its result goes, whether it may ask somebody, what is filled in."""

    out: Output
    may_ask: bool
    names: Mapping[str, str] = field(default_factory=dict)

    def fill(self, text: str) -> str:
        """Return a message with this command's own places in the commands that it tells to type."""
        return filled(text, self.names)

    def source(
        self, label: str, file: Path | None, *, confirm: bool = False, data: Path | None = None
    ) -> WithTokens:
        """Return what opens key files: a passphrase from the file, a credential or a person, and tokens.

        Args:
            label: What the passphrase is for.
            file: The file that was named, or None.
            confirm: Ask twice, because it is being chosen.
            data: The data directory whose settings name the token's library and PIN file, if there is one.
        """
        from exchange.passphrases import Once, PassphrasePrompt, passphrase_source
        from exchange.setup.keyring import CREDENTIAL
        from exchange.unlocking import WithTokens

        found = passphrase_source(label, file=file, credential=CREDENTIAL, confirm=confirm)
        if isinstance(found, PassphrasePrompt) and not self.may_ask:
            found = replace(found, interactive=lambda: False)
        return WithTokens(Once(found), self.tokens(data))

    def tokens(self, data: Path | None = None) -> Tokens:
        """Return the tokens that the flags and settings name; nothing is loaded before a key needs it.

        Args:
            data: The data directory whose settings count too, and where a refused PIN leaves its mark.
        """
        from exchange.unlocking import tokens_of

        def confirm(question: str) -> bool:
            return self.may_ask and click.confirm(question, err=True)

        settings = token_settings(data)
        return tokens_of(
            settings.pkcs11_module, settings.pin_file, marks=data, may_ask=self.may_ask, confirm=confirm
        )

    def protect(
        self,
        label: str,
        file: Path | None,
        *,
        unprotected: bool,
        data: Path | None = None,
        store: str | None = None,
    ) -> Protect:
        """Return how new keys are kept: in files with a passphrase, or in the token of ``--key-store``.

        Args:
            label: What the passphrase is for.
            file: The file that was named, or None.
            unprotected: Leave the secrets as they are; must be asked for.
            data: The data directory whose settings count too.
            store: The key store's URI, if not that of the flags and settings.
        """
        from exchange.setup import keyring

        token = keyring.parse_key_store(store or token_settings(data).key_store)
        if token is not None:
            return keyring.in_token(self.tokens(data), token)
        if unprotected:
            return keyring.unprotected
        return keyring.protected_by(self.source(label, file, confirm=True, data=data))

    def confirm(self, question: str, *, yes: bool) -> None:
        """Return only if a person agrees, or agreed with ``--yes``.

        Raises:
            UsageError: there is nobody to ask.
            Abort: the answer is no.
        """
        if yes:
            return
        if not self.may_ask:
            raise click.UsageError("nobody is here to confirm this: look at it, then repeat with --yes")
        click.confirm(question, abort=True, err=True)

    def tell(self, line: str) -> None:
        """Tell a person one line that is not the result; text from elsewhere cannot act."""
        from exchange.safe import safe_line

        self.out.message(safe_line(self.fill(line)))

    def show(self, fields: Mapping[str, object], *lines: str) -> None:
        """Print a result: the fields as one JSON object, or the lines for people."""
        from exchange.safe import safe_line

        def text(console: Any) -> None:
            for line in lines:
                console.print(safe_line(self.fill(line)), soft_wrap=True)

        self.out.result(fields, text)

    def draw(self, lines: Sequence[str]) -> None:
        """Draw a picture for people behind the result, light on black whatever the terminal's colours."""

        def text(console: Any) -> None:
            for line in lines:
                console.print(line, style="bright_white on black", soft_wrap=True)

        if not self.out.as_json:
            self.out.text(text)


def local(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every set-up command; the command gets them as one :class:`Local`, first."""

    @functools.wraps(function)
    def with_local(*args: Any, as_json: bool, color: str, no_input: bool, **kwargs: Any) -> Any:
        may_ask = not no_input and sys.stdin.isatty() and sys.stderr.isatty()
        with filling(kwargs) as names:
            out = Output(as_json=as_json, colour=cast(Colour, color))
            return function(Local(out, may_ask, names), *args, **kwargs)

    options = [
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option(
            "--color",
            type=click.Choice(["auto", "always", "never"]),
            default="auto",
            show_default=True,
            help="When to use colour.",
        ),
        click.option("--no-input", is_flag=True, help="Never ask; refuse instead."),
    ]
    for option in reversed(options):
        with_local = option(with_local)
    return with_local


def data_option(function: F) -> F:
    """Add ``--data``."""
    return click.option("--data", metavar="DIR", help="The data directory.")(function)


def passphrase_option(function: F) -> F:
    """Add ``--passphrase-file``, and the options of a token that may hold the keys instead."""
    return click.option(
        "--passphrase-file",
        type=FILE,
        metavar="FILE",
        help="A file of mode 0600 with the passphrase of the key files, on one line.",
    )(token_options(function))


def token_options(function: F) -> F:
    """Add ``--pin-file`` and ``--pkcs11-module``, which :class:`Local` reads and no command sees."""
    pin = _token_option("--pin-file", "A file of mode 0600 with the PIN of the token, on one line.")
    module = _token_option("--pkcs11-module", "The token's PKCS#11 library; loading it runs its code.")
    return pin(module(function))


def protection_options(function: F) -> F:
    """Add ``--passphrase-file`` and ``--unprotected``, and where new keys are made: ``--key-store``."""
    unprotected = click.option(
        "--unprotected", is_flag=True, help="Leave the keys unprotected in their files, for a trial."
    )
    key_store = _token_option(
        "--key-store", "Where new keys are made: file:, or a token as pkcs11:token=LABEL.", metavar="URI"
    )
    return passphrase_option(unprotected(key_store(function)))


def token_settings(data: Path | None = None) -> CliSettings:
    """Return the settings about tokens: of flags, environment, data directory (if one is meant), machine."""
    from exchange.settings import CliSettings

    # Without a data directory none is meant, and not the default one: its token is a node's.
    return settings_of(CliSettings, data=data or Path("/"), **token_flags())


def token_flags() -> dict[str, object]:
    """Return what was given on the command line about tokens, by setting name."""
    given: dict[str, object] = click.get_current_context().meta.get(_FLAGS, {})
    return given


def token_values(data: Path) -> dict[str, str]:
    """Return what the settings file of a new place must say, so that its keys in a token are found again."""
    settings = token_settings(data)
    said = {"key_store": settings.key_store, "pkcs11_module": settings.pkcs11_module}
    return {name: str(value) for name, value in said.items() if value not in (None, "file:")}


def _token_option(name: str, about: str, *, metavar: str = "FILE") -> Callable[[F], F]:
    """Return an option that no command sees: it is kept for :func:`token_settings`."""

    def keep(context: click.Context, option: click.Parameter, value: str | None) -> None:
        context.meta.setdefault(_FLAGS, {})[option.name] = value

    return click.option(name, metavar=metavar, help=about, expose_value=False, callback=keep)


def require_place(path: Path, key: str, what: str) -> None:
    """Refuse a directory that is no data directory of that role, before its keys are looked for.

    Args:
        path: The data directory.
        key: A key file that every one has.
        what: ``node`` or ``coordinator``, as the commands are called.

    Raises:
        KeyfileError: it is one, and has lost that key.
        SetupError: it is none.
    """
    from exchange.pinned_root import ROOT_HASH_FILE
    from protocol.errors import KeyfileError, SetupError

    if not (path / key).exists():
        if (path / ROOT_HASH_FILE).exists():
            raise KeyfileError(
                f"the key file {path / key} is missing",
                hint="Restore it from backup. Do not make a new one with init: nobody would know it.",
            )
        raise SetupError(
            f"{path} is not a {what}'s data directory: it has no {key}",
            hint=f"Name the right one with --data DIR; a new one is made with: almenara {what} init",
        )


def settings_of(kind: type[S], **flags: object) -> S:
    """Return the settings of a role, with what was given on the command line.

    Raises:
        SetupError: a setting is not known or does not fit.
    """
    from exchange.configuration import resolve

    return resolve(kind, flags=flags).settings
