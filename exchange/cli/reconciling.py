"""``almenara node reconcile``: a node that was restored from a backup may sign again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exchange.cli.command import Command
from exchange.cli.local import FILE, Local, data_option, local, passphrase_option, settings_of

if TYPE_CHECKING:
    from exchange.setup.keyring import Protect
    from exchange.setup.reconciling import Reconciled


@click.command(
    "reconcile",
    cls=Command,
    examples=("almenara node reconcile --data XAA --identity /media/card/identity.key",),
)
@data_option
@click.option(
    "--identity",
    type=FILE,
    required=True,
    metavar="FILE",
    help="The state's identity key; bring it, and take it away again.",
)
@passphrase_option
@click.option(
    "--node-passphrase-file",
    type=FILE,
    metavar="FILE",
    help="The passphrase of the node's own keys, if it is another one than the identity key's.",
)
@local
def reconcile(
    console: Local,
    data: str | None,
    identity: Path,
    passphrase_file: Path | None,
    node_passphrase_file: Path | None,
) -> None:
    """Give a restored node new keys and new numbers; it must have caught up, and must not run."""
    from exchange.clock import SystemClock
    from exchange.settings import NodeSettings
    from exchange.setup.amending import amending
    from exchange.setup.reconciling import reconcile as work

    settings = settings_of(NodeSettings, data=data, passphrase_file=passphrase_file)
    source = console.source("identity key", settings.passphrase_file)
    protect = _as_before(console, settings.data, node_passphrase_file or settings.passphrase_file)

    async def run() -> Reconciled:
        async with amending(settings.data, identity, source, SystemClock()) as amendment:
            return await work(amendment, protect)

    made = asyncio.run(run())
    tokens = [str(token) for token in made.tokens]
    console.show(
        {"state": made.state, "node_key": str(made.node_key), "tokens": tokens, "epoch": made.epoch},
        f"The node of {made.state} has a new node key, {made.node_key}; the old ones sign nothing any more.",
        "New tokens to hand over, each to its officer; the old ones are taken back:",
        *(f"  {token}" for token in tokens),
        f"Its notices are numbered anew, in epoch {made.epoch}: the others will see that it was restored.",
        f"Next: almenara node run --data {settings.data}, and take the identity key away again.",
    )


def _as_before(console: Local, data: Path, file: Path | None) -> Protect:
    """Return what protects the new node key: what protects the present one, which it must open."""
    from exchange.node.key_files import key_files
    from exchange.node.secrets import NODE
    from exchange.setup.keyring import protected_like
    from keys.keyfile import KeyKind

    present = key_files(data / "keys", NODE)[-1]
    return protected_like(present, KeyKind.SIGNING, NODE, console.source("node's keys", file))
