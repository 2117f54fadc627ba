"""A coordinator's next certificate, statement key or addresses: ``almenara coordinator rotate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from exchange.cli.command import Command
from exchange.cli.local import Local, data_option, local, protection_options, require_place, settings_of

if TYPE_CHECKING:
    from exchange.setup.renewing import Renewal


@click.group()
def rotate() -> None:
    """Make the coordinator's next certificate or statement key, or name its addresses, and ask governance."""


@rotate.command(
    "certificate",
    cls=Command,
    examples=(
        "almenara coordinator rotate certificate --data HUB",
        "almenara coordinator rotate certificate --data HUB --finish",
    ),
)
@data_option
@click.option("--finish", is_flag=True, help="All members know the new one: list it alone.")
@local
def certificate(console: Local, data: str | None, finish: bool) -> None:
    """Announce the next TLS certificate; with --finish, ask to use it. It may run meanwhile."""
    from exchange.clock import SystemClock
    from exchange.setup import renewing as work

    folder = _place(data)
    if finish:
        made = work.finish_certificate(folder)
        first = (
            "The newest certificate is to be listed alone: further connections use it, those of now go on."
        )
        last = "Nodes that have not seen the announcement cannot come in any more: they need that file too."
    else:
        made = work.announce_certificate(folder, SystemClock().now_ms())
        first = f"The next certificate is {made.files[0]}. Nothing changes until governance lists it."
        last = (
            "When every member has seen that directory: almenara coordinator rotate certificate --finish "
            "--data DIR"
        )
    _show(console, made, folder, first, last)


@rotate.command(
    "statement-key", cls=Command, examples=("almenara coordinator rotate statement-key --data HUB",)
)
@data_option
@protection_options
@local
def statement_key(console: Local, data: str | None, passphrase_file: Path | None, unprotected: bool) -> None:
    """Make the next statement key, and ask for it to be listed. A coordinator that runs must be restarted."""
    from exchange.clock import SystemClock
    from exchange.settings import CoordinatorSettings
    from exchange.setup.renewing import next_statement_key

    folder = _place(data)
    settings = settings_of(CoordinatorSettings, data=data, passphrase_file=passphrase_file)
    protect = console.protect(
        "next statement key", settings.passphrase_file, unprotected=unprotected, data=settings.data
    )
    made = next_statement_key(folder, protect, SystemClock().now_ms())
    _show(
        console,
        made,
        folder,
        f"The next statement key is {made.files[0]}. Restart the coordinator, so that it holds both keys.",
        "Keep the old key file: members who were away while it changed are greeted with it.",
    )


@rotate.command(
    "addresses",
    cls=Command,
    examples=(
        "almenara coordinator rotate addresses --data HUB --url wss://a.example:8443 --url wss://b.example:8443",
    ),
)
@data_option
@click.option("--url", "urls", multiple=True, required=True, metavar="URL", help="Once for each address.")
@local
def addresses(console: Local, data: str | None, urls: tuple[str, ...]) -> None:
    """Ask that nodes look for the coordinator at these addresses; any of its processes may answer at each."""
    from exchange.setup.renewing import change_addresses

    folder = _place(data)
    made = change_addresses(folder, urls)
    _show(
        console,
        made,
        folder,
        f"It is to be reached at {made.entry.url}. Nothing changes until governance lists it.",
        "A node that has seen the new directory tries all of them; until then it tries those it knows.",
    )


def _place(data: str | None) -> Path:
    from exchange.settings import CoordinatorSettings

    folder = settings_of(CoordinatorSettings, data=data).data
    require_place(folder, "keys/statement.key", "coordinator")
    return folder


def _show(console: Local, made: Renewal, folder: Path, first: str, last: str) -> None:
    from keys.enrolment import fingerprint
    from protocol.digest import certificate_id

    entry = made.entry
    certificates = [certificate_id(der).hex() for der in entry.certificates]
    console.show(
        {
            "code": entry.code,
            "request": str(made.request),
            "files": [str(path) for path in made.files],
            "fingerprint": fingerprint(entry.key),
            "certificates": certificates,
        },
        first,
        f"{entry.code} now asks to be listed with the key {fingerprint(entry.key)}",
        *(f"  and the certificate {certificate}" for certificate in certificates),
        f"Next: send {made.request} to governance; what it sends back, hand in with:",
        f"  almenara coordinator join --data {folder} community.alm",
        last,
    )
