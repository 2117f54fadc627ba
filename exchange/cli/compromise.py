"""A key in foreign hands: ``almenara key revoke`` ends it, ``almenara key exposure`` says what it touched."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exchange.cli.command import Command, Common, common
from exchange.cli.local import FILE, Local, data_option, local, passphrase_option, settings_of
from exchange.cli.words import counted
from exchange.node.exposure_views import ExposureView, TouchedNotice

if TYPE_CHECKING:
    from rich.console import Console

    from exchange.setup.keyring import Protect
    from exchange.setup.revoking import Plan, Revoked


class UtcTime(click.ParamType[int]):
    """A time with its zone, such as 2026-05-04T10:00:00Z, as milliseconds UTC."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the time in milliseconds; a time without a zone is a usage error."""
        from protocol.errors import FormatError
        from protocol.text import parse_utc

        try:
            return parse_utc(str(value), what="time")
        except FormatError as error:
            self.fail(f"{error.message}; write it as 2026-05-04T10:00:00Z", param, ctx)


@click.command(
    cls=Command,
    examples=(
        "almenara key revoke node --since 2026-05-04T10:00:00Z --reason compromised --replace --data XAA"
        " --identity /media/card/identity.key",
        'almenara key revoke "Ana Silva" --since 2026-05-04T10:00:00Z --reason lost --data XAA'
        " --identity /media/card/identity.key",
    ),
)
@click.argument("key")
@click.option(
    "--since", type=UtcTime(), required=True, metavar="TIME", help="From when on the key does not count."
)
@click.option(
    "--reason", type=click.Choice(["compromised", "lost", "retired"]), required=True, help="Why it ends."
)
@click.option("--replace", is_flag=True, help="Make a new node key in the same step.")
@click.option("--silence", is_flag=True, help="Let the node be without any key; it can say nothing then.")
@click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
@click.option(
    "--identity",
    type=FILE,
    required=True,
    metavar="FILE",
    help="The state's identity key; bring it, and take it away again.",
)
@click.option(
    "--identity-passphrase-file",
    type=FILE,
    metavar="FILE",
    help="Its passphrase, if it is not that of the node's keys.",
)
@data_option
@passphrase_option
@local
def revoke(
    console: Local,
    key: str,
    since: int,
    reason: str,
    replace: bool,
    silence: bool,
    yes: bool,
    identity: Path,
    identity_passphrase_file: Path | None,
    data: str | None,
    passphrase_file: Path | None,
) -> None:
    """End a key of this state at once, whether the node runs or not.

    KEY is the beginning of its id, "node" for the node key in use, or an officer's name. What the key
    has said before stays said, whatever TIME is given: only the custodians can confirm a theft.
    """
    from exchange.cli.reaching import reach
    from exchange.clock import SystemClock
    from exchange.settings import NodeSettings
    from exchange.setup import revoking as work
    from exchange.setup.amending import amending

    settings = settings_of(NodeSettings, data=data, passphrase_file=passphrase_file)
    own = console.source("node's keys", settings.passphrase_file, data=settings.data)
    same = settings.passphrase_file is not None and identity_passphrase_file is None
    source = own if same else console.source("identity key", identity_passphrase_file, data=settings.data)

    def protect() -> Protect | None:
        from exchange.node.secrets import NODE
        from exchange.setup.keyring import protected_like
        from keys.keyfile import KeyKind

        if not replace:
            return None
        return protected_like(settings.data / "keys" / "node.key", KeyKind.SIGNING, NODE, own)

    async def run() -> tuple[Plan, Revoked]:
        async with amending(settings.data, identity, source, SystemClock(), reach(settings)) as amendment:
            planned = work.plan(amendment, key, since, reason)
            work.require_said(planned, replace=replace, silence=silence)
            for step in planned.steps:
                console.tell(f"- {step}")
            silent = " and let the node be silent until somebody carries a file" * (silence and not replace)
            console.confirm(f"Revoke this key now{silent * planned.silences}?", yes=yes)
            return planned, await work.revoke(amendment, planned, protect(), silence=silence)

    planned, done = asyncio.run(run())
    new = [f"The new node key is {done.replacement[:16]}: {done.file}"] if done.replacement else []
    console.show(
        {
            "key": done.key,
            "reason": reason,
            "since_ms": since,
            "manifest_version": done.version,
            "replacement": done.replacement,
            "file": None if done.file is None else str(done.file),
            "steps": list(planned.steps),
        },
        f"The {planned.entry.role} key {done.key[:16]} is revoked in manifest version {done.version}.",
        *new,
        *_until_it_counts(is_silent=planned.silences and done.replacement is None),
    )


def _until_it_counts(*, is_silent: bool) -> list[str]:
    from exchange.node.signing import BY_FILE, ROTATE

    lines = ["It counts when the coordinator has it, which takes seconds while the node runs."]
    if is_silent:
        return [*lines, f"The node is silent now. To end that: {ROTATE}; then {BY_FILE}"]
    lines.append(f"If the node is not let in any more (suspended, or stopped since before): {BY_FILE}")
    return lines


@click.command(
    cls=Command,
    examples=(
        "almenara key exposure node --since 2026-05-04T10:00:00Z",
        "almenara key exposure opening --json",
        "almenara key exposure 3f2a9c1e5d6b",
    ),
)
@click.argument("key")
@click.option("--since", type=UtcTime(), default=None, metavar="TIME", help="Leave out what came before.")
@common
def exposure(common: Common, key: str, since: int | None) -> None:
    """Show everything that a key signed and could open, and whom to warn.

    KEY is the beginning of its id, "node" for this node's key in use, or "opening" for all its daily
    keys. Of another member's key it shows what this node took from it.
    """
    query = {"key": key, "since": str(since or 0)}
    found = common.node().ask("GET", "/v1/exposure", ExposureView, query=query)
    common.out.result(found, lambda console: _print(console, found))


def _print(console: Console, found: ExposureView) -> None:
    from exchange.cli.render import print_table, when
    from exchange.safe import safe_line

    def say(line: str) -> None:
        console.print(safe_line(line), soft_wrap=True)

    since = f"since {when(found.since_ms)}" if found.since_ms else "since ever"
    say(f"{found.role} key {found.key[:16] or '(all)'} of {found.party}: {found.standing}; {since}")
    say(
        f"It signed {counted(len(found.signed), 'notice')} and "
        f"{counted(len(found.statements), 'statement')}, and "
        f"could open {counted(len(found.could_open), 'received notice')}; {found.sealed} it could not open."
    )
    say(f"Warn on another channel: {', '.join(found.warn) or 'nobody'}")
    for title, notices in (("Notices it signed", found.signed), ("Notices it could open", found.could_open)):
        if notices:
            say(f"\n{title}:")
            print_table(
                console, ("id", "from", "to", "severity", "made", "stored", "subject"), _rows(notices)
            )
    if found.statements:
        say("\nStatements it signed:")
        rows = [(one.notice[:12], one.kind, when(one.at_ms), one.evidence) for one in found.statements]
        print_table(console, ("notice", "said", "at", "evidence"), rows)
    gone = sum(one.key_destroyed for one in found.could_open)
    if gone:
        say(f"\nThe daily keys of {gone} of these are destroyed here: nobody can take them from now on.")


def _rows(notices: tuple[TouchedNotice, ...]) -> list[tuple[str, ...]]:
    from exchange.cli.render import when
    from exchange.safe import safe_line

    return [
        (
            one.id[:12],
            one.sender,
            ", ".join(one.recipients),
            one.severity,
            when(one.created_ms),
            when(one.stored_ms),
            safe_line(one.subject),
        )
        for one in notices
    ]
