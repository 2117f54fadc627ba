"""``almenara status`` and ``watch``: who has what, and what happens."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import click
import msgspec

from exchange.cli.client import notice_path
from exchange.cli.command import Command, Common, common
from exchange.cli.exits import Exit
from exchange.cli.waiting import MILESTONES, exit_after, missing, wait_for
from exchange.cli.words import NearChoice
from exchange.clock import SystemClock
from exchange.node.milestones import Milestone
from exchange.node.views import EventView, StatusView
from protocol.errors import Unreachable

if TYPE_CHECKING:
    from rich.console import Console

_PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0)


@click.command(
    cls=Command,
    examples=(
        "almenara status 3f2a9c1e",
        "almenara status 3f2a9c1e --wait answered --timeout 3600 --json",
    ),
)
@click.argument("id")
@click.option("--wait", "milestone", type=NearChoice(MILESTONES), help="Wait until all have got so far.")
@click.option(
    "--timeout", default=60.0, show_default=True, type=click.FloatRange(min=0), help="Seconds to wait."
)
@common
def status(common: Common, id: str, milestone: Milestone | None, timeout: float) -> int:
    """Show each recipient of a notice with when it was relayed, received, opened and answered."""
    node = common.node()
    if milestone is None:
        view = node.ask("GET", notice_path(id, "/status"), StatusView)
    else:
        view = wait_for(node, id, milestone, timeout, SystemClock())
    late = () if milestone is None else missing(view.deliveries, milestone)
    waited = {"milestone": milestone, "missing": late}
    fields = msgspec.to_builtins(view) | ({} if milestone is None else {"waited": waited})
    common.out.result(fields, lambda console: _print_status(console, view))
    if late:
        common.out.message(f"almenara: not yet {milestone} by {', '.join(late)}.")
    return Exit.OK if milestone is None else exit_after(view.deliveries, milestone)


def _print_status(console: Console, view: StatusView) -> None:
    from exchange.cli.render import print_matrix, print_notices

    print_notices(console, (view.notice,), "")
    print_matrix(console, view.deliveries)


@click.command(
    cls=Command,
    examples=(
        "almenara watch",
        "almenara watch --json | while read -r event; do …; done",
        "almenara watch --since 1200          # everything after event 1200",
    ),
)
@click.option(
    "--since", default=0, type=click.IntRange(min=0), help="Begin after this event; 0 is the oldest."
)
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many events.")
@common
def watch(common: Common, since: int, count: int | None) -> None:
    """Follow events as they happen, one line each (JSON lines with --json).

    If the node stops, this waits for it and goes on where it was. Events carry no subject and no
    text. Stop it with Ctrl-C.
    """
    node = common.node()
    seen = since
    tries = 0
    shown = 0
    while count is None or shown < count:
        try:
            for event in node.events(seen):
                seen, tries, shown = event.number, 0, shown + 1
                common.out.line(event, partial(_print_event, event=event))
                if shown == count:
                    return
        except Unreachable:
            if tries == 0 and shown == 0:
                raise
        _pause(common, tries, seen)
        tries += 1


def _pause(common: Common, tries: int, seen: int) -> None:
    if tries == 0:
        common.out.message(f"almenara: the node went away; waiting for it, after event {seen}")
    threading.Event().wait(_PAUSES_S[min(tries, len(_PAUSES_S) - 1)])


def _print_event(console: Console, event: EventView) -> None:
    from rich.text import Text

    from exchange.cli.render import SHORT_ID, when
    from exchange.safe import safe_line

    parts = [event.event, (event.id or "")[:SHORT_ID], event.state or "", event.code or "", event.detail]
    words = "  ".join(safe_line(part) for part in parts if part)
    console.print(Text(f"{event.number:>6}  {when(event.at_ms)}  {words}"), soft_wrap=True)
