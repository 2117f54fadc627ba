"""A state's next identity key: ``almenara node succeed-identity`` and, after a loss, ``replace-identity``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exchange.cli.command import Command
from exchange.cli.local import FILE, Local, data_option, local, protection_options, settings_of
from exchange.cli.reaching import reach

if TYPE_CHECKING:
    from exchange.setup.succession import Succession


@click.command(
    "succeed-identity",
    cls=Command,
    examples=(
        "almenara node succeed-identity --data XAA --identity /media/old/identity.key"
        " --new-key /media/new/identity.key",
    ),
)
@data_option
@click.option(
    "--identity", type=FILE, required=True, metavar="FILE", help="The identity key that is listed now."
)
@click.option(
    "--new-key",
    type=FILE,
    required=True,
    metavar="FILE",
    help="Where to write the next one; offline media.",
)
@protection_options
@local
def succeed_identity(
    console: Local,
    data: str | None,
    identity: Path,
    new_key: Path,
    passphrase_file: Path | None,
    unprotected: bool,
) -> None:
    """Make the state's next identity key, and a manifest that counts under both; the node may run."""
    from exchange.clock import SystemClock
    from exchange.settings import NodeSettings
    from exchange.setup.amending import amending
    from exchange.setup.succession import succeed

    settings = settings_of(NodeSettings, data=data, passphrase_file=passphrase_file)
    source = console.source("identity key", settings.passphrase_file, data=settings.data)
    protect = console.protect("next identity key", settings.passphrase_file, unprotected=unprotected)

    async def work() -> Succession:
        async with amending(settings.data, identity, source, SystemClock(), reach(settings)) as amendment:
            return await succeed(amendment, new_key, protect)

    made = asyncio.run(work())
    console.show(
        {
            "state": made.state,
            "key": str(made.key),
            "request": str(made.request),
            "fingerprint": made.fingerprint,
            "manifest_version": made.manifest_version,
        },
        f"The next identity key of {made.state} is {made.key}: {made.fingerprint}",
        f"Manifest version {made.manifest_version} is signed by both keys, and counts under either.",
        "Next: let the node run, so that the others receive that manifest.",
        f"Then: send {made.request} to governance, which compares the fingerprint and lists the new key.",
        "Make no other change before the new key is listed, and keep the old one until then.",
    )


@click.command(
    "replace-identity",
    cls=Command,
    examples=("almenara node replace-identity --data XAA --new-key /media/new/identity.key",),
)
@data_option
@click.option(
    "--new-key", type=FILE, required=True, metavar="FILE", help="Where to write the new one; offline media."
)
@protection_options
@local
def replace_identity(
    console: Local, data: str | None, new_key: Path, passphrase_file: Path | None, unprotected: bool
) -> None:
    """Make an identity key in place of one that is lost, and the request to list it; the node may run."""
    from exchange.clock import SystemClock
    from exchange.settings import NodeSettings
    from exchange.setup.succession import replace_lost

    settings = settings_of(NodeSettings, data=data, passphrase_file=passphrase_file)
    protect = console.protect("new identity key", settings.passphrase_file, unprotected=unprotected)
    made = replace_lost(settings.data, new_key, protect, SystemClock().now_ms())
    console.show(
        {
            "state": made.state,
            "key": str(made.key),
            "request": str(made.request),
            "fingerprint": made.fingerprint,
            "manifest_version": made.manifest_version,
        },
        f"The new identity key of {made.state} is {made.key}: {made.fingerprint}",
        "Nothing changes before governance lists it; until then the node works as it did.",
        f"Next: send {made.request} to two members; each compares the fingerprint, and types: almenara node "
        "attest succession.alm --data HERS --identity CARD --channel ONE --channel OTHER -o ATTESTATION",
        "Then send it with both attestations to governance, where it is proposed with: almenara governance "
        "propose replace-identity succession.alm --attestation FIRST --attestation SECOND --in GOVERNANCE -o "
        "PROPOSAL",
        "If the old key may be in other hands, say so to two custodians now: they can suspend the state.",
    )
