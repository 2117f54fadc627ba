"""Setting up and running by hand: ``almenara governance``, ``coordinator``, ``node``, ``officer``."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from exchange.cli.command import Command
from exchange.cli.comparing import governance_fingerprint
from exchange.cli.coordinating import coordinator_drain, coordinator_status
from exchange.cli.governing import admit, custodian_key, publish, show, sign, status
from exchange.cli.local import (
    FILE,
    FOLDER,
    Local,
    data_option,
    local,
    passphrase_option,
    protection_options,
    require_place,
    settings_of,
    token_values,
)
from exchange.cli.proposing import propose
from exchange.cli.renewing import rotate
from exchange.cli.root_hash import pinned_root
from exchange.cli.setup_ledger import auditor, recover
from exchange.cli.setup_node import node, officer
from exchange.cli.storing import migrate, store_option
from exchange.cli.taking import take
from exchange.cli.words import counted

__all__ = ["coordinator", "governance", "node", "officer"]


@click.group()
def governance() -> None:
    """Make a community, and admit members by the signatures of several custodians."""


for command in (governance_fingerprint, take, propose, sign, publish, status, custodian_key, admit, show):
    governance.add_command(command)


@governance.command(
    "init",
    cls=Command,
    examples=('almenara governance init --name "Our community" --keys 3 --threshold 2 --out governance',),
)
@click.option("--name", required=True, help="What the community is called.")
@click.option("--keys", type=int, default=3, show_default=True, help="How many custodians there are.")
@click.option("--threshold", type=int, default=2, show_default=True, help="How many of them must sign.")
@click.option("--out", type=FOLDER, required=True, metavar="DIR", help="A new directory.")
@protection_options
@local
def governance_init(
    console: Local,
    name: str,
    keys: int,
    threshold: int,
    out: Path,
    passphrase_file: Path | None,
    unprotected: bool,
) -> None:
    """Make the keys of governance and the root hash that everybody pins."""
    from exchange import fingerprints
    from exchange.clock import SystemClock
    from exchange.setup import governance as work
    from protocol.documents import Role

    protect = console.protect("keys of governance", _file(passphrase_file), unprotected=unprotected)
    pinned = work.create_community(
        out, name, keys=keys, threshold=threshold, protect=protect, now_ms=SystemClock().now_ms()
    )
    made = [
        str(work.key_path(out, role, number))
        for role in (Role.ROOT, Role.DIRECTORY)
        for number in range(1, keys + 1)
    ]
    console.show(
        {
            "root_hash": pinned.hex(),
            **fingerprints.fields(pinned),
            "threshold": threshold,
            "keys": made,
            "community": str(out / "community.alm"),
        },
        f"The community {name!r} is founded: {threshold} of {keys} custodians decide.",
        "Its root hash, for every member to pin; write it into the record of the ceremony, digits and words:",
        *fingerprints.lines(pinned),
        f"Give each custodian one root key and one directory key of {out / 'keys'}, and delete them here.",
        "Next: whoever joins runs `almenara node init --root-hash ...`, typed in from that record,"
        " and sends you the request.alm that it makes.",
    )


@click.group()
def coordinator() -> None:
    """Set up a coordinator, let it join, run it."""


coordinator.add_command(recover)
coordinator.add_command(auditor)
coordinator.add_command(rotate)
coordinator.add_command(coordinator_status)
coordinator.add_command(coordinator_drain)
coordinator.add_command(migrate)


@coordinator.command(
    "init",
    cls=Command,
    examples=(
        'almenara coordinator init --data HUB --code HUB --name "Hub" --root-hash "$(cat root-hash)"',
        '... --host 0.0.0.0 --port 8443 --url wss://hub.example:8443 --root-hash "$(cat root-hash)"',
    ),
)
@data_option
@click.option("--code", required=True, help="The code under which it asks to be listed.")
@click.option("--name", required=True, help="What it is called.")
@click.option("--root-hash", required=True, metavar="TEXT|FILE", help="From the ceremony: digits, or words.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8443, show_default=True, help="The TCP port.")
@click.option(
    "--url",
    "urls",
    multiple=True,
    metavar="URL",
    help="How nodes reach it, if not at wss://host:port; once for each process that will run.",
)
@click.option(
    "--ledger-port",
    type=click.IntRange(1, 65535),
    help="The TCP port on which auditors read the ledger; not given: they cannot.",
)
@protection_options
@local
def coordinator_init(
    console: Local,
    data: str | None,
    code: str,
    name: str,
    root_hash: str,
    host: str,
    port: int,
    urls: tuple[str, ...],
    ledger_port: int | None,
    passphrase_file: Path | None,
    unprotected: bool,
) -> None:
    """Make a coordinator's keys, settings and request to be admitted."""
    from exchange import fingerprints
    from exchange.clock import SystemClock
    from exchange.settings import CoordinatorSettings
    from exchange.setup.coordinator import create_coordinator

    settings = settings_of(CoordinatorSettings, data=data, passphrase_file=passphrase_file)
    made = create_coordinator(
        settings.data,
        code=code,
        name=name,
        root_hash=pinned_root(root_hash),
        host=host,
        port=port,
        urls=urls,
        protect=console.protect(
            f"keys of {code}", settings.passphrase_file, unprotected=unprotected, data=settings.data
        ),
        now_ms=SystemClock().now_ms(),
        ledger_port=ledger_port,
        remember=token_values(settings.data),
    )
    console.show(
        {
            "code": made.code,
            "url": made.url,
            **fingerprints.fields(made.key_id),
            "request": str(made.request),
        },
        f"The coordinator {made.code} is set up in {settings.data}; nodes will reach it at {made.url}.",
        "The fingerprint of its key, for governance to compare, in digits and in words:",
        *fingerprints.lines(made.key_id),
        f"Next: send {made.request} to governance, and read that fingerprint out on another channel.",
        f"When community.alm comes back: almenara coordinator join --data {settings.data} community.alm",
    )


@coordinator.command("join", cls=Command, examples=("almenara coordinator join --data HUB community.alm",))
@click.argument("community", type=FILE)
@data_option
@store_option
@local
def coordinator_join(console: Local, data: str | None, store: str | None, community: Path) -> None:
    """Take over the community's documents, or what is new in a newer file; also while it runs."""
    from exchange.clock import SystemClock
    from exchange.coordinator.opening import store_place
    from exchange.settings import CoordinatorSettings
    from exchange.setup.coordinator import join_community
    from exchange.setup.handing_in import hand_in
    from protocol.errors import DataDirBusy

    settings = settings_of(CoordinatorSettings, data=data, store=store)
    try:
        work = join_community(settings.data, community, SystemClock(), store_place(settings))
        directory = asyncio.run(work)
    except DataDirBusy:
        taken = asyncio.run(hand_in(settings.data, community, SystemClock()))
        console.show(
            {
                "code": settings.code,
                "directory_version": taken.directory_version,
                "states": taken.states,
                "added": taken.added,
                "left_out": taken.left_out,
                "running": True,
            },
            f"The running coordinator took {counted(taken.added, 'new document')}, and has told every "
            "connected node.",
            f"It serves directory version {taken.directory_version}: {', '.join(taken.states)}.",
            *(f"Left out, for its state has published something else since: {one}" for one in taken.left_out),
            "Next: nothing; a new member can start its node now.",
        )
        return
    states = [entry.code for entry in directory.states()]
    console.show(
        {
            "code": settings.code,
            "directory_version": directory.directory.version,
            "states": states,
            "running": False,
        },
        f"{settings.code} serves {directory.root.name!r}: {', '.join(states) or 'no state yet'}.",
        f"Next: almenara coordinator run --data {settings.data}",
    )


@coordinator.command(
    "run",
    cls=Command,
    examples=(
        "almenara coordinator run --data HUB",
        "almenara coordinator run --data HUB --store postgresql://almenara@db1,db2/almenara",
    ),
)
@data_option
@store_option
@passphrase_option
@local
def coordinator_run(
    console: Local, data: str | None, store: str | None, passphrase_file: Path | None
) -> None:
    """Run a coordinator until it is told to stop (SIGTERM, SIGINT)."""
    from exchange.clock import SystemClock
    from exchange.serve.coordinator import serve_coordinator
    from exchange.settings import CoordinatorSettings

    settings = settings_of(CoordinatorSettings, data=data, store=store, passphrase_file=passphrase_file)
    require_place(settings.data, "keys/statement.key", "coordinator")
    source = console.source("statement key", settings.passphrase_file, data=settings.data)
    serve_coordinator(settings, source, SystemClock())


def _file(named: Path | None) -> Path | None:
    """Return the passphrase file that was named, by flag or by setting."""
    from exchange.settings import CliSettings

    return settings_of(CliSettings, passphrase_file=named).passphrase_file
