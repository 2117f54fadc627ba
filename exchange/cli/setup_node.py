"""A node's set-up and its officers: ``almenara node`` and ``almenara officer``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exchange.cli import comparing
from exchange.cli.attesting import attest
from exchange.cli.command import Command
from exchange.cli.local import (
    FILE,
    Local,
    data_option,
    local,
    passphrase_option,
    protection_options,
    require_place,
    settings_of,
    token_flags,
    token_values,
)
from exchange.cli.reaching import reach
from exchange.cli.reconciling import reconcile
from exchange.cli.root_hash import pinned_root
from exchange.cli.succeeding import replace_identity, succeed_identity
from exchange.cli.taking import community
from exchange.cli.words import counted

if TYPE_CHECKING:
    from exchange.setup.keyring import Protect

identity_option = click.option(
    "--identity",
    type=FILE,
    required=True,
    metavar="FILE",
    help="The state's identity key; bring it, and take it away again.",
)


@click.group()
def node() -> None:
    """Set up a state's node, let it join, run it."""


node.add_command(succeed_identity)
node.add_command(replace_identity)
node.add_command(attest)
node.add_command(comparing.request)
node.add_command(comparing.fingerprint)
node.add_command(community)
node.add_command(reconcile)


@node.command(
    "init",
    cls=Command,
    examples=(
        'almenara node init --data XAA --state XAA --name "CSIRT of Aurelia" --officer "Ana Silva"'
        ' --root-hash "$(cat root-hash)" --severity bundled:xaa-national',
        "... --key-store pkcs11:token=almenara --pkcs11-module /usr/lib/softhsm/libsofthsm2.so",
    ),
)
@data_option
@click.option("--state", required=True, help="The code under which the state asks to be listed.")
@click.option("--name", required=True, help="What the state's team is called.")
@click.option("--root-hash", required=True, metavar="TEXT|FILE", help="From the ceremony: digits, or words.")
@click.option("--officer", required=True, help="The name of the first officer.")
@click.option("--severity", metavar="FILE", help="The state's severity schema (TOML), or bundled:ID.")
@click.option(
    "--identity-key-store",
    metavar="URI",
    default="file:",
    show_default=True,
    help="Where the identity key is made, which must not stay at the node: file:, or a token of its own.",
)
@protection_options
@local
def node_init(
    console: Local,
    data: str | None,
    state: str,
    name: str,
    root_hash: str,
    officer: str,
    severity: str | None,
    identity_key_store: str,
    passphrase_file: Path | None,
    unprotected: bool,
) -> None:
    """Make a node's keys, tokens, first documents and request to be admitted."""
    from exchange import fingerprints
    from exchange.clock import SystemClock
    from exchange.settings import NodeSettings
    from exchange.setup.node import create_node

    settings = settings_of(NodeSettings, data=data, passphrase_file=passphrase_file, **token_flags())

    def protect(store: str) -> Protect:
        return console.protect(
            f"keys of {state}",
            settings.passphrase_file,
            unprotected=unprotected,
            data=settings.data,
            store=store,
        )

    work = create_node(
        settings.data,
        state=state,
        name=name,
        root_hash=pinned_root(root_hash),
        officer=officer,
        severity=severity,
        protect=protect(settings.key_store),
        clock=SystemClock(),
        protect_identity=None if settings.key_store == identity_key_store else protect(identity_key_store),
        remember=token_values(settings.data),
    )
    made = asyncio.run(work)
    tokens = [str(path) for path in made.tokens]
    console.show(
        {
            "state": made.state,
            **fingerprints.fields(made.key_id),
            "request": str(made.request),
            "identity_key": str(made.identity_key),
            "tokens": tokens,
            "severity": made.severity,
        },
        f"The node of {made.state} is set up in {settings.data}.",
        "The fingerprint of its identity key, in digits and in words:",
        *fingerprints.lines(made.key_id),
        f"Severity schema to be published: {made.severity or 'none'}.",
        "Tokens to hand over, each to one person or program:",
        *(f"  {token}" for token in tokens),
        f"Next: send {made.request} to governance, and read the fingerprint out to two members over two"
        f" channels, one of them in person (again: almenara node request --data {settings.data}).",
        f"Then move {made.identity_key} to offline media: the running node does not need it.",
        f"When community.alm comes back: almenara node join --data {settings.data} community.alm",
    )


@node.command("join", cls=Command, examples=("almenara node join --data XAA community.alm",))
@click.argument("community", type=FILE)
@data_option
@click.option("--coordinator", metavar="CODE", help="Which coordinator to use, if there are several.")
@local
def node_join(console: Local, data: str | None, community: Path, coordinator: str | None) -> None:
    """Verify the community file from the pinned root hash, and take it over; the node must not run."""
    from exchange.clock import SystemClock
    from exchange.settings import NodeSettings
    from exchange.setup.joining import join_community

    settings = settings_of(NodeSettings, data=data)
    work = join_community(settings.data, community, coordinator=coordinator, clock=SystemClock())
    joined = asyncio.run(work)
    states = [entry.code for entry in joined.directory.states()]
    console.show(
        {
            "state": settings.state,
            "coordinator": joined.coordinator,
            "directory_version": joined.directory.directory.version,
            "states": states,
            "added": joined.added,
        },
        f"{settings.state} has joined {joined.directory.root.name!r}: {', '.join(states)}.",
        f"It uses the coordinator {joined.coordinator}; new here: {counted(joined.added, 'document')}.",
        f"Everything was verified from the root hash that was typed in at init; {settings.state} is listed"
        " with its own key, and nobody has published anything in its name.",
        f"It is let in once the coordinator {joined.coordinator} has this file too: its operator types: "
        "almenara "
        "coordinator join --data HUB community.alm",
        f"Next: almenara node run --data {settings.data}",
    )


@node.command("run", cls=Command, examples=("almenara node run --data XAA",))
@data_option
@passphrase_option
@local
def node_run(console: Local, data: str | None, passphrase_file: Path | None) -> None:
    """Run a state's node until it is told to stop (SIGTERM, SIGINT)."""
    from exchange.clock import SystemClock
    from exchange.serve.node import serve_node
    from exchange.settings import NodeSettings

    settings = settings_of(NodeSettings, data=data, passphrase_file=passphrase_file)
    require_place(settings.data, "keys/node.key", "node")
    serve_node(
        settings, console.source("node's keys", settings.passphrase_file, data=settings.data), SystemClock()
    )


@node.command(
    "publish-severity",
    cls=Command,
    examples=("almenara node publish-severity schema.toml --data XAA --identity /media/card/identity.key",),
)
@click.argument("schema")
@data_option
@identity_option
@passphrase_option
@local
def node_publish_severity(
    console: Local, schema: str, data: str | None, identity: Path, passphrase_file: Path | None
) -> None:
    """Publish a version of the state's severity schema; the node may run."""
    from exchange.clock import SystemClock
    from exchange.settings import NodeSettings
    from exchange.setup import amending as work

    settings = settings_of(NodeSettings, data=data, passphrase_file=passphrase_file)
    source = console.source("identity key", settings.passphrase_file, data=settings.data)

    async def publish() -> str:
        async with work.amending(
            settings.data, identity, source, SystemClock(), reach(settings)
        ) as amendment:
            return await work.publish_severity(amendment, schema)

    reference = asyncio.run(publish())
    console.show(
        {"schema": reference},
        f"{reference} is signed; the others see it when this node has reached its coordinator.",
    )


@click.group()
def officer() -> None:
    """Add, list and take back the people who answer for a state."""


@officer.command(
    "add",
    cls=Command,
    examples=('almenara officer add "José Pérez" --data XAA --identity /media/card/identity.key',),
)
@click.argument("name")
@data_option
@identity_option
@passphrase_option
@local
def officer_add(
    console: Local, name: str, data: str | None, identity: Path, passphrase_file: Path | None
) -> None:
    """Make an officer's key and token, and sign a manifest that lists the key; the node may run."""
    from exchange.clock import SystemClock
    from exchange.settings import NodeSettings
    from exchange.setup import amending as work

    settings = settings_of(NodeSettings, data=data, passphrase_file=passphrase_file)
    source = console.source("identity key", settings.passphrase_file, data=settings.data)

    async def add() -> Path:
        async with work.amending(
            settings.data, identity, source, SystemClock(), reach(settings)
        ) as amendment:
            return await work.add_officer(amendment, name)

    token = asyncio.run(add())
    console.show(
        {"officer": name, "token": str(token)},
        f"{name} is an officer; hand over {token} and delete it here.",
        "The others learn the key when this node has reached its coordinator.",
    )


@officer.command(
    "revoke",
    cls=Command,
    examples=('almenara officer revoke "Ana Silva" --data XAA --identity /media/card/identity.key',),
)
@click.argument("name")
@data_option
@identity_option
@click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
@passphrase_option
@local
def officer_revoke(
    console: Local, name: str, data: str | None, identity: Path, yes: bool, passphrase_file: Path | None
) -> None:
    """Revoke an officer's key and take the token back; what was signed before stays valid."""
    from exchange.clock import SystemClock
    from exchange.settings import NodeSettings
    from exchange.setup import amending as work

    settings = settings_of(NodeSettings, data=data, passphrase_file=passphrase_file)
    source = console.source("identity key", settings.passphrase_file, data=settings.data)

    async def revoke() -> None:
        async with work.amending(
            settings.data, identity, source, SystemClock(), reach(settings)
        ) as amendment:
            for line in work.before_revoking(amendment, name):
                console.tell(f"- {line}")
            console.confirm(f"End every key of {name} now?", yes=yes)
            await work.revoke_officer(amendment, name)

    asyncio.run(revoke())
    console.show(
        {"officer": name, "revoked": True},
        f"{name} cannot answer here any more.",
        "The others learn it when this node has reached its coordinator.",
    )


@officer.command("list", cls=Command, examples=("almenara officer list --data XAA",))
@data_option
@local
def officer_list(console: Local, data: str | None) -> None:
    """List the officers whose keys lie in this node's data directory."""
    from exchange.datadir import DataDir
    from exchange.settings import NodeSettings
    from exchange.setup.people import officers
    from protocol.text import format_utc

    found = list(officers(DataDir(settings_of(NodeSettings, data=data).data)))
    rows = [
        {
            "name": one.name,
            "key": one.description.key_id.hex(),
            "since": format_utc(one.description.created_ms),
        }
        for one in found
    ]
    lines = [f"{row['name']}  key {row['key'][:16]}  since {row['since']}" for row in rows]
    console.show({"officers": rows}, *(lines or ["There is no officer."]))
