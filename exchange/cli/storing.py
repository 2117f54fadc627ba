"""A coordinator's store by hand: where it is, and ``almenara coordinator migrate``."""

from __future__ import annotations

import asyncio

import click

from exchange.cli.command import Command
from exchange.cli.local import Local, data_option, local, require_place, settings_of

store_option = click.option(
    "--store",
    metavar="ADDRESS",
    help="postgresql://USER@HOST[,HOST]/DATABASE, if its store is no file. Never with a password in it.",
)


@click.command(
    "migrate",
    cls=Command,
    examples=("almenara coordinator migrate --data HUB --store postgresql://owner@db1,db2/almenara",),
)
@data_option
@store_option
@local
def migrate(console: Local, data: str | None, store: str | None) -> None:
    """Bring a database that processes share to the newest shape, before the first new process starts.

    It may be stopped at any moment and run again. Processes of the version before go on meanwhile.
    """
    from exchange.clock import SystemClock
    from exchange.settings import CoordinatorSettings
    from exchange.setup.storing import migrate_store

    settings = settings_of(CoordinatorSettings, data=data, store=store)
    require_place(settings.data, "keys/statement.key", "coordinator")
    done = asyncio.run(migrate_store(settings.store, settings.store_password_file, SystemClock()))
    console.show(
        {"applied": list(done.applied), "at": done.at},
        f"Done: {', '.join(done.applied)}." if done.applied else "Nothing was to be done.",
        f"The database is at migration {done.at}.",
        "Next: start the processes of this version one after another; those of the version before go on.",
    )
