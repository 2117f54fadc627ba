"""A state's online keys rotated: ``almenara key rotate``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from exchange.cli.command import Command
from exchange.cli.local import FILE, Local, data_option, local, passphrase_option, settings_of
from exchange.cli.reaching import reach

if TYPE_CHECKING:
    from exchange.passphrases import PassphraseSource
    from exchange.settings import NodeSettings
    from exchange.setup.amending import Amendment
    from exchange.setup.rotating import Rotated, Windows

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
_DAY_MS = 24 * 3600 * 1000


@click.group()
def rotate() -> None:
    """Make the next key of a kind and list it beside the present one; the node may run.

    The next key is announced before it is used, and the old one goes on counting: nobody has to
    switch at the same moment as anybody else.
    """


@dataclass(frozen=True, slots=True)
class _Place:
    """Which node, with which identity key, and where the passphrases come from."""

    settings: NodeSettings
    identity: Path
    for_identity: PassphraseSource
    for_node: PassphraseSource

    def work(self, change: Callable[[Amendment], Awaitable[T]]) -> T:
        """Open the node, whether it runs or not, and change it."""
        from exchange.clock import SystemClock
        from exchange.setup.amending import amending

        async def run() -> T:
            clock, way = SystemClock(), reach(self.settings)
            async with amending(
                self.settings.data, self.identity, self.for_identity, clock, way
            ) as amendment:
                return await change(amendment)

        return asyncio.run(run())


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    identity = click.option(
        "--identity",
        type=FILE,
        required=True,
        metavar="FILE",
        help="The state's identity key; bring it, and take it away again.",
    )
    other = click.option(
        "--identity-passphrase-file",
        type=FILE,
        metavar="FILE",
        help="Its passphrase, if it is not that of the node's keys.",
    )
    return data_option(identity(passphrase_option(other(local(function)))))


def _windows(announce: int | None) -> Callable[[F], F]:
    """Add ``--announce`` and ``--overlap``."""

    def add(function: F) -> F:
        first = click.option(
            "--announce",
            type=click.IntRange(0, 365),
            default=announce,
            show_default=True if announce is not None else "7, or 0 if no key here may sign now",
            metavar="DAYS",
            help="How long before its use the key is listed; 0 uses it as soon as the coordinator knows it.",
        )
        second = click.option(
            "--overlap",
            type=click.IntRange(1, 365),
            default=30,
            show_default=True,
            metavar="DAYS",
            help="How long the old key counts beside the new one.",
        )
        return first(second(function))

    return add


def _place(
    console: Local, data: str | None, identity: Path, own: Path | None, identity_file: Path | None
) -> _Place:
    from exchange.settings import NodeSettings

    settings = settings_of(NodeSettings, data=data, passphrase_file=own)
    for_node = console.source("node's keys", settings.passphrase_file, data=settings.data)
    if settings.passphrase_file is not None and identity_file is None:
        return _Place(settings, identity, for_node, for_node)
    for_identity = console.source("identity key", identity_file, data=settings.data)
    return _Place(settings, identity, for_identity, for_node)


def _days(announce: int | None, overlap: int) -> Windows:
    from exchange.setup.rotating import Windows

    return Windows(None if announce is None else announce * _DAY_MS, overlap * _DAY_MS)


@rotate.command(
    "node",
    cls=Command,
    examples=(
        "almenara key rotate node --data XAA --identity /media/card/identity.key",
        "almenara key rotate node --data XAA --identity /media/card/identity.key --announce 0",
    ),
)
@_windows(None)
@_options
def rotate_node(
    console: Local,
    data: str | None,
    identity: Path,
    passphrase_file: Path | None,
    identity_passphrase_file: Path | None,
    announce: int | None,
    overlap: int,
) -> None:
    """Make the next node key: it signs notices, receipts and daily keys from its day on."""
    from exchange.node.secrets import NODE, VAULT
    from exchange.setup import rotating as work
    from exchange.setup.keyring import protected_like
    from keys.keyfile import KeyKind

    place = _place(console, data, identity, passphrase_file, identity_passphrase_file)
    keys = place.settings.data / "keys"
    if (keys / "node.key").exists():
        protect = protected_like(keys / "node.key", KeyKind.SIGNING, NODE, place.for_node)
    else:
        # It was lost, which may be why there shall be another one.
        protect = protected_like(keys / "vault.key", KeyKind.SYMMETRIC, VAULT, place.for_node)
    windows = _days(announce, overlap)
    _show(console, place.work(lambda amendment: work.rotate_node(amendment, protect, windows)))


@rotate.command(
    "witness",
    cls=Command,
    examples=("almenara key rotate witness --data XAA --identity /media/card/identity.key",),
)
@_options
def rotate_witness(
    console: Local,
    data: str | None,
    identity: Path,
    passphrase_file: Path | None,
    identity_passphrase_file: Path | None,
) -> None:
    """Make the next witness keys: the node cosigns with them once the coordinator has the manifest."""
    from exchange.node.secrets import WITNESS
    from exchange.setup import rotating as work
    from exchange.setup.keyring import protected_like
    from keys.keyfile import KeyKind

    place = _place(console, data, identity, passphrase_file, identity_passphrase_file)
    protect = protected_like(
        place.settings.data / "keys" / "witness.key", KeyKind.NOTE, WITNESS, place.for_node
    )
    _show(console, place.work(lambda amendment: work.rotate_witness(amendment, protect)))


@rotate.command(
    "tls", cls=Command, examples=("almenara key rotate tls --data XAA --identity /media/card/identity.key",)
)
@_options
def rotate_tls(
    console: Local,
    data: str | None,
    identity: Path,
    passphrase_file: Path | None,
    identity_passphrase_file: Path | None,
) -> None:
    """Make the next TLS certificate: the node shows it from the next connection on; the session goes on."""
    from exchange.setup import rotating as work

    place = _place(console, data, identity, passphrase_file, identity_passphrase_file)
    _show(console, place.work(work.rotate_tls))


@rotate.command(
    "officer",
    cls=Command,
    examples=('almenara key rotate officer "Ana Silva" --data XAA --identity /media/card/identity.key',),
)
@click.argument("name")
@_windows(0)
@_options
def rotate_officer(
    console: Local,
    name: str,
    data: str | None,
    identity: Path,
    passphrase_file: Path | None,
    identity_passphrase_file: Path | None,
    announce: int,
    overlap: int,
) -> None:
    """Make an officer's next key and token; the old token works until the overlap ends."""
    from exchange.setup import rotating as work

    place = _place(console, data, identity, passphrase_file, identity_passphrase_file)
    windows = _days(announce, overlap)
    made = place.work(lambda amendment: work.rotate_officer(amendment, name, windows))
    _show(console, made, f"Hand over {made.files[0]} to {name} and delete it here.")


@rotate.command(
    "manifest",
    cls=Command,
    examples=("almenara key rotate manifest --data XAA --identity /media/card/identity.key",),
)
@_options
def renew_manifest(
    console: Local,
    data: str | None,
    identity: Path,
    passphrase_file: Path | None,
    identity_passphrase_file: Path | None,
) -> None:
    """Sign the manifest anew for another year; no key changes."""
    from exchange.setup import rotating as work

    place = _place(console, data, identity, passphrase_file, identity_passphrase_file)
    _show(console, place.work(work.renew_manifest))


@rotate.command(
    "finish",
    cls=Command,
    examples=("almenara key rotate finish --data XAA --identity /media/card/identity.key",),
)
@_options
def finish(
    console: Local,
    data: str | None,
    identity: Path,
    passphrase_file: Path | None,
    identity_passphrase_file: Path | None,
) -> None:
    """Delete the files of keys that are over, and list the newest TLS certificate alone.

    A key that still counts stays, whatever is asked for.
    """
    from exchange.setup.clearing import clear

    place = _place(console, data, identity, passphrase_file, identity_passphrase_file)
    cleared = place.work(lambda amendment: clear(amendment, place.for_node))
    deleted = [str(path) for path in cleared.deleted]
    console.show(
        {"deleted": deleted, "staying": cleared.staying, "manifest_version": cleared.version},
        *([f"deleted: {path}" for path in deleted] or ["Nothing was deleted."]),
        *cleared.staying,
    )


def _show(console: Local, made: Rotated, *more: str) -> None:
    from exchange.cli.render import when

    console.show(
        {
            "what": made.what,
            "key": made.key,
            "files": [str(path) for path in made.files],
            "from_ms": made.from_ms,
            "until_ms": made.until_ms,
            "old_until_ms": made.old_until_ms,
            "manifest_version": made.version,
            "by_file": made.by_file,
        },
        *_lines(made, when),
        *more,
        *_until_it_counts(made),
    )


def _until_it_counts(made: Rotated) -> list[str]:
    from exchange.node.signing import BY_FILE

    lines = ["It counts when the coordinator has it; see: almenara key check --data DIR"]
    if made.by_file:
        lines = [
            "The coordinator knows no other key of this node that counts, so the node cannot hand the "
            "manifest in.",
            f"Next: {BY_FILE}",
            "Then start the node, and see that it is let in: almenara key check --data DIR",
        ]
    return lines


def _lines(made: Rotated, when: Callable[[int | None], str]) -> list[str]:
    if made.what == "manifest":
        return [f"Manifest version {made.version} is signed; it holds until {when(made.until_ms)}."]
    lines = [f"The next {made.what} key is {made.key[:16]}, listed in manifest version {made.version}."]
    lines += [f"  {path}" for path in made.files]
    lines.append(f"It is used from {when(made.from_ms)} on, and counts until {when(made.until_ms)}.")
    if made.old_until_ms is None:
        lines.append(
            "It replaces the old one as a whole, as soon as the coordinator has the manifest."
            if made.what == "witness"
            else "No older one counts any more."
        )
    else:
        lines.append(f"The old one counts until {when(made.old_until_ms)}.")
    return lines
