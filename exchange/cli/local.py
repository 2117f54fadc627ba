"""What the set-up commands share: they work on files of this machine, and ask no node."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from exchange.cli.output import Colour, Output

if TYPE_CHECKING:
    from exchange.passphrases import PassphraseSource
    from exchange.settings import CliSettings, CoordinatorSettings, NodeSettings
    from exchange.setup.keyring import Protect

    S = TypeVar("S", NodeSettings, CoordinatorSettings, CliSettings)

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)


@dataclass(frozen=True, slots=True)
class Local:
    """How a set-up command talks: where its result goes, and whether it may ask somebody."""

    out: Output
    may_ask: bool

    def source(self, label: str, file: Path | None, *, confirm: bool = False) -> PassphraseSource:
        """Return where the passphrase comes from: the file, a credential, or a person if there is one.

        Args:
            label: What the passphrase is for.
            file: The file that was named, or None.
            confirm: Ask twice, because it is being chosen.
        """
        from exchange.passphrases import Once, PassphrasePrompt, passphrase_source
        from exchange.setup.keyring import CREDENTIAL

        found = passphrase_source(label, file=file, credential=CREDENTIAL, confirm=confirm)
        if isinstance(found, PassphrasePrompt) and not self.may_ask:
            found = replace(found, interactive=lambda: False)
        return Once(found)

    def protect(self, label: str, file: Path | None, *, unprotected: bool) -> Protect:
        """Return how new key files are protected.

        Args:
            label: What the passphrase is for.
            file: The file that was named, or None.
            unprotected: Leave the secrets as they are; must be asked for.
        """
        from exchange.setup import keyring

        if unprotected:
            return keyring.unprotected
        return keyring.protected_by(self.source(label, file, confirm=True))

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
        from exchange.cli.safe import safe_line

        self.out.message(safe_line(line))

    def show(self, fields: Mapping[str, object], *lines: str) -> None:
        """Print a result: the fields as one JSON object, or the lines for people."""
        from exchange.cli.safe import safe_line

        def text(console: Any) -> None:
            for line in lines:
                console.print(safe_line(line), soft_wrap=True)

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
        return function(Local(Output(as_json=as_json, colour=cast(Colour, color)), may_ask), *args, **kwargs)

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
    """Add ``--passphrase-file``."""
    return click.option(
        "--passphrase-file",
        type=FILE,
        metavar="FILE",
        help="A file of mode 0600 with the passphrase of the key files, on one line.",
    )(function)


def protection_options(function: F) -> F:
    """Add ``--passphrase-file`` and ``--unprotected``."""
    unprotected = click.option(
        "--unprotected", is_flag=True, help="Leave the keys unprotected in their files, for a trial."
    )
    return passphrase_option(unprotected(function))


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
