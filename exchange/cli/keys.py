"""Keys, seen and changed: ``almenara key``."""

from __future__ import annotations

import click


@click.group()
def key() -> None:
    """Show, rotate, revoke and check keys: what this node holds, and what others hold of it."""
