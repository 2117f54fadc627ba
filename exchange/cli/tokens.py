"""Tokens for programs and displays: ``almenara token add``, ``list`` and ``revoke``."""

from __future__ import annotations

import shlex

import click

from exchange.cli.command import Command
from exchange.cli.local import Local, data_option, local, settings_of

_ROLES = click.Choice(["sender", "monitor"])
_ABOUT = "What it allows: sender sends notices and reads them; monitor sees how the node is, and no subject."


@click.group()
def token() -> None:
    """Let programs and displays in, and take that back; people get theirs with "almenara officer add"."""


@token.command(
    "add",
    cls=Command,
    examples=(
        'almenara token add "ticket system" --role sender --data XAA',
        'almenara token add "wall display" --role monitor --data XAA',
    ),
)
@click.argument("name")
@click.option("--role", type=_ROLES, required=True, help=_ABOUT)
@data_option
@local
def add(console: Local, name: str, role: str, data: str | None) -> None:
    """Make a token; the node may run, and keeps only the token's hash."""
    from exchange.datadir import DataDir
    from exchange.settings import NodeSettings
    from exchange.setup.joining import own_request
    from exchange.setup.programs import add_program

    folder = settings_of(NodeSettings, data=data).data
    own_request(folder)
    path = add_program(DataDir(folder), role, name)
    console.show(
        {"name": name, "role": role, "token": str(path)},
        f"{name} may come in as {role} from now on; hand over {path} and delete it here.",
        f"Take it back with: almenara token revoke {shlex.quote(name)} --data DIR",
    )


@token.command("list", cls=Command, examples=("almenara token list --data XAA",))
@data_option
@local
def list_(console: Local, data: str | None) -> None:
    """List the programs and displays that this node lets in."""
    from exchange.datadir import DataDir
    from exchange.settings import NodeSettings
    from exchange.setup.joining import own_request
    from exchange.setup.programs import programs

    folder = settings_of(NodeSettings, data=data).data
    own_request(folder)
    found = programs(DataDir(folder))
    console.show(
        {"tokens": [{"name": one.name, "role": one.role, "known_as": one.digest} for one in found]},
        *([f"{one.role:<8} {one.name}  access/{one.digest[:16]}…" for one in found] or ["There is none."]),
    )


@token.command("revoke", cls=Command, examples=('almenara token revoke "wall display" --data XAA',))
@click.argument("name")
@data_option
@local
def revoke(console: Local, name: str, data: str | None) -> None:
    """Take every token of a program or display back; it is refused from its next request on."""
    from exchange.datadir import DataDir
    from exchange.settings import NodeSettings
    from exchange.setup.joining import own_request
    from exchange.setup.programs import revoke_program

    folder = settings_of(NodeSettings, data=data).data
    own_request(folder)
    count = revoke_program(DataDir(folder), name)
    tokens = "token" if count == 1 else "tokens"
    console.show(
        {"name": name, "revoked": count}, f"{name} is not let in any more: {count} {tokens} taken back."
    )
