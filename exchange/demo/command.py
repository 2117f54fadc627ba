"""``almenara demo``: three fictitious states exchange a sealed notice, and named officers answer."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exchange.cli.command import Command
from exchange.cli.exits import Exit
from exchange.cli.output import Output, print_error
from exchange.safe import safe_line

if TYPE_CHECKING:
    from exchange.demo.performance import Failed


@click.command(
    cls=Command,
    examples=("almenara demo", "almenara demo --json", "almenara demo --keep", "almenara demo --bundle DIR"),
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--keep", is_flag=True, help="Leave everything running, and say how to explore it.")
@click.option(
    "--dir", "folder", metavar="DIR", type=click.Path(path_type=Path), help="An empty folder to use."
)
@click.option(
    "--bundle",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="An empty folder for what the auditor takes along: bundle, report, receipt.",
)
@click.option(
    "--stop", metavar="DIR", type=click.Path(path_type=Path), help="End what an earlier --keep left running."
)
def demo(as_json: bool, keep: bool, folder: Path | None, bundle: Path | None, stop: Path | None) -> int:
    """Watch three fictitious states exchange a sealed notice over real processes and real cryptography.

    Starts a coordinator and three nodes on this machine, tells the story as it happens, lets an auditor
    verify the ledger offline, and ends everything again.
    """
    out = Output(as_json=as_json)
    return _play(out, folder, bundle, keep=keep) if stop is None else _stop(out, stop)


def _play(out: Output, folder: Path | None, bundle: Path | None, *, keep: bool) -> int:
    from exchange.clock import SystemClock
    from exchange.demo.performance import Failed, perform, what_next
    from exchange.demo.report import Teller

    clock = SystemClock()
    teller = Teller(out, clock)
    try:
        summary = perform(teller, clock, folder=folder, bundle=bundle, keep=keep)
    except Failed as failure:
        return _failed(out, failure)
    if out.as_json:
        out.result(summary, lambda _: None)
        return Exit.OK
    teller.lines(
        "",
        f"{summary.notices} notices, {summary.deliveries} deliveries: {summary.received} received, "
        f"{summary.answered} answered, {summary.tampered_refused} altered copy refused;",
        f"{summary.audit.leaves} leaves audited offline, 1 changed byte found at leaf "
        f"{summary.audit.altered_leaf}; in {summary.seconds:.1f} s.",
    )
    teller.chapter("What to try next")
    teller.lines(*what_next(summary))
    return Exit.OK


def _stop(out: Output, folder: Path) -> int:
    from exchange.demo.stage import end_recorded

    ended = end_recorded(folder.expanduser().absolute())
    names = ", ".join(one.name for one in ended) or "nothing, for nothing of it was running"
    out.result(
        {"ended": [one.name for one in ended], "folder": str(folder)},
        lambda console: console.print(
            f"Ended {names}. Remove the rest with: rm -r {shlex.quote(str(folder))}"
        ),
    )
    return Exit.OK


def _failed(out: Output, failure: Failed) -> int:
    for name, lines in failure.tails.items():
        out.message(f"--- last log lines of {name}")
        for line in lines:
            out.message(safe_line(line))
    error = failure.error
    print_error(
        as_json=out.as_json,
        code=error.code,
        message=f"the demonstration broke off: {error.message}",
        next_step=error.hint,
    )
    return Exit.FAILED
