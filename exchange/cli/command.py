"""How every command looks: examples first, and the same common options with the same meaning."""

from __future__ import annotations

import functools
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from exchange.cli.filling import filled, filling
from exchange.cli.output import Colour, Output

if TYPE_CHECKING:
    from exchange.cli.client import NodeClient
    from exchange.configuration import Resolved
    from exchange.settings import CliSettings

TOKEN_CREDENTIAL = "almenara-token"  # noqa: S105  (the name of a credential, not one)


class Command(click.Command):
    """A command whose help begins with examples.

    Args:
        examples: Whole command lines.
    """

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then what click writes."""
        if self.examples:
            formatter.write("Examples:\n")
            for example in self.examples:
                formatter.write(f"  {example}\n")
            formatter.write_paragraph()
        super().format_help(ctx, formatter)


@dataclass(frozen=True, slots=True)
class Common:
    """What the common options said, and what follows from it.

    ``flags`` are settings by name, as for :func:`exchange.configuration.resolve`.
    """

    out: Output
    flags: dict[str, object]
    may_ask: bool
    names: Mapping[str, str] = field(default_factory=dict)

    def fill(self, text: str) -> str:
        """Return a message with this command's own places in the commands that it tells to type."""
        return filled(text, self.names)

    @property
    def again(self) -> str:
        """What must be typed behind a next command so that it asks the same node as the same person."""
        given = (("--data", "data"), ("--socket", "socket"), ("--token-file", "token_file"))
        words = [
            (option, str(self.flags[name])) for option, name in given if self.flags.get(name) is not None
        ]
        return "".join(f" {option} {shlex.quote(value)}" for option, value in words)

    def settings(self) -> Resolved[CliSettings]:
        """Return the settings that hold, with their origins.

        Raises:
            SetupError: a setting is not known or not fit.
        """
        from exchange.configuration import resolve
        from exchange.settings import CliSettings

        return resolve(CliSettings, flags=self.flags)

    def node(self) -> NodeClient:
        """Return the client of the node that the settings name.

        Raises:
            NotAuthorized: no token is named.
            KeyfileError: the token file cannot be used, or is open to others.
        """
        from exchange.cli.client import NodeClient

        settings = self.settings().settings
        return NodeClient(settings.socket, token_of(settings))


def token_of(settings: CliSettings) -> str:
    """Return the text of the token that the settings name.

    Raises:
        NotAuthorized: none is named.
        KeyfileError: the token file cannot be used, or is open to others.
    """
    from exchange.keystore import TOKEN_FILE, read_credential, read_secret
    from protocol.errors import NotAuthorized

    if settings.token_file is not None:
        return read_secret(settings.token_file, TOKEN_FILE).strip()
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and (Path(folder) / TOKEN_CREDENTIAL).exists():
        return read_credential(Path(folder) / TOKEN_CREDENTIAL).strip()
    raise NotAuthorized(
        "no token is named, so the node cannot know who asks",
        hint="Name yours with --token-file FILE, or by the variable ALMENARA_TOKEN_FILE. Tokens that were "
        "not "
        f"handed over yet lie in {settings.data / 'tokens'}",
    )


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the common options; the command gets them as one :class:`Common`, its first argument."""

    @functools.wraps(function)
    def with_common(
        *args: Any,
        as_json: bool,
        data: str | None,
        socket: str | None,
        token_file: str | None,
        color: str,
        no_input: bool,
        **kwargs: Any,
    ) -> Any:
        flags: dict[str, object] = {"data": data, "socket": socket, "token_file": token_file}
        out = Output(as_json=as_json, colour=cast(Colour, color))
        may_ask = not no_input and sys.stdin.isatty() and sys.stderr.isatty()
        with filling(flags) as names:
            return function(Common(out, flags, may_ask, names), *args, **kwargs)

    options = [
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option("--data", metavar="DIR", help="The node's data directory."),
        click.option("--socket", metavar="PATH", help="The node's Unix socket."),
        click.option("--token-file", metavar="FILE", help="The token that says who asks (mode 0600)."),
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
        with_common = option(with_common)
    return with_common
