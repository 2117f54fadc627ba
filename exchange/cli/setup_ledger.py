"""A coordinator's ledger by hand: ``almenara coordinator recover`` and ``coordinator auditor``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from exchange.cli.command import Command
from exchange.cli.local import Local, data_option, local, require_place, settings_of
from exchange.cli.storing import store_option

if TYPE_CHECKING:
    from exchange.datadir import DataDir
    from exchange.setup.ledger import Found


@click.command("recover", cls=Command, examples=("almenara coordinator recover --data HUB",))
@data_option
@store_option
@click.option("--yes", is_flag=True, help="Somebody compared the roots; do not ask.")
@local
def recover(console: Local, data: str | None, store: str | None, yes: bool) -> None:
    """Make the ledger's anchor anew after it was lost; the coordinator must not run."""
    from exchange.clock import SystemClock
    from exchange.settings import CoordinatorSettings
    from exchange.setup.ledger import recover_anchor
    from protocol.text import format_base64

    settings = settings_of(CoordinatorSettings, data=data, store=store)
    require_place(settings.data, "keys/log.key", "coordinator")

    def agree(found: Sequence[Found]) -> None:
        for one in found:
            anchored = "no anchor" if one.anchored is None else f"anchored at {one.anchored}"
            console.tell(f"{one.log}: size {one.size}, root {format_base64(one.root)} ({anchored})")
        console.confirm("Does no member show a larger size, or another root for one of these?", yes=yes)

    found = asyncio.run(recover_anchor(settings, SystemClock(), agree))
    rows = [
        {"log": one.log.value, "size": one.size, "root": one.root.hex(), "anchored": one.anchored}
        for one in found
    ]
    made = [one.log.value for one in found if one.anchored is None and one.size]
    console.show(
        {"logs": rows, "made": made},
        f"The anchor in {settings.anchor} was made anew for: {', '.join(made)}."
        if made
        else "Nothing was missing, and nothing was changed.",
        f"Next: almenara coordinator run --data {settings.data}",
    )


@click.group()
def auditor() -> None:
    """Say who may read the ledger besides the members."""


@auditor.command("add", cls=Command, examples=('almenara coordinator auditor add "Ana Silva" --data HUB',))
@click.argument("name")
@data_option
@local
def auditor_add(console: Local, name: str, data: str | None) -> None:
    """Make an auditor's token; the coordinator may run, and keeps only the token's hash."""
    from exchange.setup.auditors import add_auditor

    token = add_auditor(_place(data), name)
    console.show(
        {"auditor": name, "token": str(token)},
        f"{name} may read the ledger; hand over {token} and delete it here.",
        "Next, on the auditor's machine: almenara audit export --help",
    )


@auditor.command("list", cls=Command, examples=("almenara coordinator auditor list --data HUB",))
@data_option
@local
def auditor_list(console: Local, data: str | None) -> None:
    """List who may read the ledger."""
    from exchange.setup.auditors import auditors

    names = [one.name for one in auditors(_place(data))]
    console.show({"auditors": names}, *(names or ["There is no auditor."]))


@auditor.command(
    "revoke", cls=Command, examples=('almenara coordinator auditor revoke "Ana Silva" --data HUB',)
)
@click.argument("name")
@data_option
@local
def auditor_revoke(console: Local, name: str, data: str | None) -> None:
    """Take an auditor's token back; it is refused from its next request on."""
    from exchange.setup.auditors import revoke_auditor

    revoke_auditor(_place(data), name)
    console.show({"auditor": name, "revoked": True}, f"{name} may not read the ledger any more.")


def _place(data: str | None) -> DataDir:
    """Return the coordinator's data directory that is meant."""
    from exchange.datadir import DataDir
    from exchange.settings import CoordinatorSettings

    settings = settings_of(CoordinatorSettings, data=data)
    require_place(settings.data, "keys/log.key", "coordinator")
    return DataDir(settings.data)
