"""Keys, seen and changed: ``almenara key``."""

from __future__ import annotations

import click

from exchange.cli.compromise import exposure, revoke
from exchange.cli.key_views import check, export, list_
from exchange.cli.rotating import rotate
from exchange.cli.seeing_tokens import token


@click.group()
def key() -> None:
    """Show, rotate, revoke and check keys: what this node holds, and what others hold of it."""


key.add_command(exposure)
key.add_command(revoke)
key.add_command(list_)
key.add_command(rotate)
key.add_command(check)
key.add_command(export)
key.add_command(token)
