"""A member confirms another's key: ``almenara node attest``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exchange.cli.command import Command
from exchange.cli.local import FILE, Local, data_option, local, passphrase_option, settings_of
from exchange.cli.reaching import reach

if TYPE_CHECKING:
    from exchange.setup.attesting import Attested


@click.command(
    "attest",
    cls=Command,
    examples=(
        "almenara node attest request-xdd.alm --data XAA --identity /media/card/identity.key"
        ' --channel "in person in Lima" --channel "telephone, number from the treaty" -o xaa.attestation',
    ),
)
@click.argument("request", type=FILE, metavar="REQUEST")
@data_option
@click.option("--identity", type=FILE, required=True, metavar="FILE", help="This state's identity key.")
@click.option(
    "--channel",
    "channels",
    multiple=True,
    required=True,
    metavar="TEXT",
    help="Over which channel the fingerprint was compared; give it twice.",
)
@click.option("-o", "--out", type=FILE, required=True, metavar="FILE", help="Where the attestation goes.")
@click.option("--yes", is_flag=True, help="The fingerprint was compared: do not ask.")
@passphrase_option
@local
def attest(
    console: Local,
    request: Path,
    data: str | None,
    identity: Path,
    channels: tuple[str, ...],
    out: Path,
    yes: bool,
    passphrase_file: Path | None,
) -> None:
    """Attest that a request's key is that state's, compared over two channels; the node may run."""
    from exchange import fingerprints
    from exchange.clock import SystemClock
    from exchange.settings import NodeSettings
    from exchange.setup import attesting as work
    from exchange.setup.amending import amending
    from exchange.setup.files import write_file
    from protocol.digest import signing_key_id

    if len(channels) != 2:
        raise click.UsageError("name the two channels over which the fingerprint was compared")
    settings = settings_of(NodeSettings, data=data, passphrase_file=passphrase_file)
    source = console.source("identity key", settings.passphrase_file, data=settings.data)

    async def made() -> Attested:
        async with amending(settings.data, identity, source, SystemClock(), reach(settings)) as amendment:
            entry = work.sound_request(amendment, request)
            console.tell(f"{entry.code}, {entry.name}, asks to be listed with the identity key:")
            for line in fingerprints.lines(signing_key_id(entry.identity)):
                console.tell(line)
            console.confirm("Is this what was compared over both channels? Sign?", yes=yes)
            return await work.attest(amendment, entry, (channels[0], channels[1]))

    attested = asyncio.run(made())
    write_file(out, attested.data)
    console.show(
        {
            "state": attested.state,
            "name": attested.name,
            "attested_by": settings.state,
            "channels": list(channels),
            "attestation": str(out),
            **fingerprints.fields(attested.key_id),
        },
        f"{settings.state} attests the identity key of {attested.state}: {out}",
        f"Next: send {out} to whoever proposes {attested.state}. The others see it too when this node has"
        " reached its coordinator.",
    )
