"""``almenara backup`` and ``almenara restore``: one file with everything but what must not travel."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exchange.cli.command import Command
from exchange.cli.local import FILE, Local, data_option, local, settings_of

if TYPE_CHECKING:
    from exchange.backup.making import Made
    from exchange.backup.manifest import Manifest

TOLD_EVERY_S = 2.0
NOT_IN_IT = "the database is not in it: that lies on servers, and is saved by their own tools."


@click.command(
    cls=Command,
    examples=(
        "almenara backup --data XAA -o /backup/xaa-$(date -u +%Y%m%dT%H%M%SZ).tar",
        "almenara backup --verify /backup/xaa-20260301T030000Z.tar",
    ),
)
@data_option
@click.option("-o", "--out", type=FILE, metavar="FILE", help="The file to write; it must not exist.")
@click.option("--verify", type=FILE, metavar="FILE", help="Check this backup instead; no key is opened.")
@local
def backup(console: Local, data: str | None, out: Path | None, verify: Path | None) -> None:
    """Back up a node or a coordinator, while it runs or not; or check a backup."""
    if (out is None) == (verify is None):
        raise click.UsageError("name either a file to write with -o, or one to check with --verify")
    if verify is not None:
        _verify(console, verify)
    elif out is not None:
        _make(console, data, out)


def _verify(console: Local, file: Path) -> None:
    from exchange.backup.archive import check_backup

    manifest = check_backup(file)
    console.show(
        _fields(file, manifest) | {"whole": True},
        f"{file} is whole: {_named(manifest)}, made {manifest.made} by almenara {manifest.version}.",
        f"{len(manifest.parts)} parts have the hashes they were given; "
        + ("the database passes its check." if manifest.has_database else NOT_IN_IT),
    )


def _make(console: Local, data: str | None, out: Path) -> None:
    from exchange.backup.making import make_backup
    from exchange.clock import SystemClock
    from exchange.settings import CliSettings

    settings = settings_of(CliSettings, data=data)
    clock = SystemClock()
    made = make_backup(settings.data, out, _progress(console, clock.monotonic), clock.now_ms)
    warnings = list(_warnings(made))
    commands = () if made.database is None else made.database.commands(out)
    console.show(
        _fields(out, made.manifest)
        | {
            "size": made.size,
            "left_out": made.left_out,
            "warnings": warnings,
            "unprotected": made.unprotected,
            "database": None if made.database is None else made.database.address,
            "database_commands": commands,
        },
        f"Backed up {_named(made.manifest)} into {out}: {made.size} bytes, made {made.manifest.made}.",
        f"Not in it: {', '.join(made.left_out) or 'nothing'}.",
        *warnings,
        *(f"    {command}" for command in commands),
        f"Next: almenara backup --verify {out}; then move it to another machine.",
    )


def _warnings(made: Made) -> Iterator[str]:
    """Yield what whoever keeps the file must know."""
    if made.unprotected:
        yield (
            f"WARNING: {len(made.unprotected)} key files in it have no passphrase: whoever reads this file "
            "can speak as you and read what is stored. Keep it as you keep the node itself."
        )
    else:
        yield "Its keys are protected as they lie: the file is as secret as your passphrase is strong."
    if made.holds_identity:
        yield (
            "WARNING: the state's identity key lies in the data directory, and in this backup. "
            "Move it to offline media."
        )
    if made.database is not None:
        yield (
            f"The database {made.database.address} is NOT in it. Save it with the server's own tools, by one "
            "of the lines that follow (in JSON: database_commands; the first as a role that may replicate, "
            "in PGUSER; a password in the file that PGPASSFILE names), and keep the anchor apart: without "
            "it, no copy can be told from an older one."
        )


@click.command(
    cls=Command, examples=("almenara restore /backup/xaa-20260301T030000Z.tar --data /var/lib/almenara/XAA",)
)
@click.argument("file", type=FILE)
@data_option
@local
def restore(console: Local, file: Path, data: str | None) -> None:
    """Fill an empty data directory from a backup, after checking all of it."""
    from exchange.backup.contents import Role
    from exchange.backup.restoring import restore as work
    from exchange.settings import CliSettings

    settings = settings_of(CliSettings, data=data)
    manifest = work(file, settings.data)
    place = settings.data
    database = _database_of(manifest, place)
    next_ = (
        "deploy/runbooks/restore-a-node.md: run it, let it catch up, reconcile it; it signs nothing before"
        if manifest.role is Role.NODE
        else "deploy/runbooks/restore-the-coordinator.md: put the old anchor back if there is one, and "
        f"compare with the members; only then: almenara coordinator recover --data {place}"
    )
    console.show(
        _fields(file, manifest) | {"data": str(place), "database": database, "next": next_},
        f"Restored {_named(manifest)} into {place}, as it was at {manifest.made}.",
        *_about_database(database),
        "The machine that this backup came from must never run again with these keys.",
        f"Next: {next_}",
    )


def _fields(file: Path, manifest: Manifest) -> dict[str, object]:
    return {
        "file": str(file),
        "role": manifest.role.value,
        "party": manifest.party,
        "root_hash": manifest.root_hash,
        "made_ms": manifest.made_ms,
        "version": manifest.version,
        "parts": [part.name for part in manifest.parts],
        "has_database": manifest.has_database,
    }


def _database_of(manifest: Manifest, place: Path) -> str | None:
    """Return the address of a database that a backup does not hold, as far as the settings in it say."""
    from exchange.backup.elsewhere import elsewhere
    from protocol.errors import AlmenaraError

    if manifest.has_database:
        return None
    try:
        found = elsewhere(place, manifest.role)
    except AlmenaraError:
        # The place is restored all the same; its settings are the doctor's concern.
        found = None
    return "that the setting store names" if found is None else found.address


def _about_database(database: str | None) -> Iterator[str]:
    """Yield what is to be known about it."""
    if database is not None:
        yield (
            f"The database {database} was not in the backup, and is as it was. Only if it is lost too, "
            "restore it with the server's own tools first: deploy/postgresql.md"
        )


def _named(manifest: Manifest) -> str:
    return f"the {manifest.role} of {manifest.party}"


def _progress(console: Local, monotonic: Callable[[], float]) -> Callable[[int, int], None]:
    """Return what tells a person, now and then, how far a long copy is."""
    told = monotonic()

    def progress(done: int, of: int) -> None:
        nonlocal told
        if monotonic() - told >= TOLD_EVERY_S and sys.stderr.isatty():
            told = monotonic()
            console.tell(f"copied {100 * done // max(of, 1)} % of the database")

    return progress
