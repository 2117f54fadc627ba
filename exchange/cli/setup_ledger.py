"""A coordinator's ledger by hand: ``almenara coordinator recover`` and ``coordinator auditor``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from exchange.cli.command import Command
from exchange.cli.local import Local, data_option, local, require_place, settings_of
from exchange.cli.storing import store_option

if TYPE_CHECKING:
    from exchange.datadir import DataDir
    from exchange.setup.ledger import Found


class SizeOfLog(click.ParamType[tuple[str, int]]):
    """A log and a size, such as ``ack=1042``."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Return both; anything else is a usage error."""
        match = re.fullmatch(r"(ack|dir)=([0-9]{1,15})", str(value))
        if match is None:
            self.fail(f"{str(value)!r:.40} is not ack=SIZE or dir=SIZE", param, ctx)
        return match[1], int(match[2])


@click.command(
    "recover",
    cls=Command,
    examples=(
        "almenara coordinator recover --data HUB",
        "almenara coordinator recover --data HUB --members-have ack=1042 --members-have dir=31",
    ),
)
@data_option
@store_option
@click.option(
    "--members-have",
    "members",
    multiple=True,
    type=SizeOfLog(),
    metavar="LOG=SIZE",
    help="The largest size of a log, ack or dir, that any member shows; needed where there is no anchor.",
)
@click.option(
    "--yes",
    is_flag=True,
    help="Sizes and roots were compared with the members': do not ask. DANGER: if that is not so, "
    "the ledger forks, and no command mends it.",
)
@local
def recover(
    console: Local, data: str | None, store: str | None, members: Sequence[tuple[str, int]], yes: bool
) -> None:
    """Say that the coordinator's copy is the newest, and make a lost anchor anew; it must not run.

    An anchor shows whether the database is an older copy. Without one only the members can: read the
    size of each log at two of them or more with "almenara ledger watch --once".
    """
    from exchange.clock import SystemClock
    from exchange.settings import CoordinatorSettings
    from exchange.setup.ledger import recover_anchor, require_newest
    from protocol.ledger.origins import Log
    from protocol.text import format_base64

    settings = settings_of(CoordinatorSettings, data=data, store=store)
    require_place(settings.data, "keys/log.key", "coordinator")

    def agree(found: Sequence[Found]) -> None:
        for one in found:
            anchored = "NO ANCHOR" if one.anchored is None else f"anchored at {one.anchored}"
            console.tell(f"{one.log}: size {one.size}, root {format_base64(one.root)} ({anchored})")
        alone = [one for one in found if one.alone]
        if alone:
            console.tell(
                "WARNING: there is no anchor, so nothing on this machine can tell whether this database is "
                "the newest. If any member has more than the sizes above, it is an older copy: the next "
                "checkpoint would fork the ledger, every node would raise an alarm, and this log would end."
            )
        have = {Log(log): max(n for name, n in members if name == log) for log, _ in members}
        for one in alone if console.may_ask else ():
            if one.log not in have:
                question = f"The largest size of the log {one.log} that any member shows"
                have[one.log] = click.prompt(question, type=click.IntRange(0), err=True)
        require_newest(found, have)
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
        else "The anchor was there, and is as it was.",
        "This place counts as the newest copy from now on, on your word.",
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
