"""``almenara proof`` and ``ledger watch``: a receipt that verifies for ever, and how the ledger stands."""

from __future__ import annotations

import os
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exchange.cli.client import notice_path
from exchange.cli.command import Command, Common, common
from exchange.cli.words import counted
from exchange.node.views import LedgerView, LogView, ProofView
from protocol.errors import SetupError, Unreachable

if TYPE_CHECKING:
    from rich.console import Console

_PAUSE_S = 1.0
_ROOT_DIGITS = 16


@click.command(
    cls=Command,
    examples=(
        "almenara proof 3f2a9c1e -o receipt.txt",
        "almenara proof 3f2a9c1e | less",
        "almenara audit verify receipt.txt --root-hash root-hash   # anybody, anywhere, no network",
    ),
)
@click.argument("id")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write it there; a file that is there already is never overwritten.",
)
@common
def proof(common: Common, id: str, output: Path | None) -> None:
    """Save the receipt of a notice: who was told, received, opened and answered it, with all proofs.

    The file holds the community's trust documents, the signed statements, their places in the ledger
    and the witnesses' signatures. Whoever has pinned the community's root hash can verify it for ever,
    without this node and without the coordinator.

    A receipt is of one envelope. Of a notice that was sealed again for somebody, this is the first
    envelope's, and the others are named: each has a receipt of its own under its own id.
    """
    view = common.node().ask("GET", notice_path(id, "/proof"), ProofView)
    if output is not None:
        _write(output, view.receipt)
    if common.out.as_json:
        common.out.result(view, lambda _: None)
    elif output is None:
        print(view.receipt, end="")
    else:
        common.out.message(f"saved {output}: {counted(view.statements, 'statement')}, all of them witnessed")
    if not common.out.as_json:
        _say_pending(common, view)
        _say_others(common, view)


def _say_pending(common: Common, view: ProofView) -> None:
    from exchange.safe import safe_line

    for one in view.pending:
        common.out.message(f"not in it yet: {one.kind} of {safe_line(one.party)} ({one.evidence})")
    if view.pending:
        common.out.message(
            common.fill(
                "  next: wait some seconds and save another one; see: almenara ledger watch --data DIR "
                "--token-file TOKEN"
            )
        )


def _say_others(common: Common, view: ProofView) -> None:
    for other in view.others:
        common.out.message(
            f"the same notice in another envelope: almenara proof {other[:12]} -o FILE{common.again}"
        )


def _write(path: Path, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
    except FileExistsError as error:
        raise SetupError(f"{path} exists already", hint="Choose another name with -o.") from error
    except OSError as error:
        raise SetupError(
            f"the receipt cannot be written to {path}: {error.strerror}", hint="Choose another place with -o."
        ) from error


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def ledger() -> None:
    """Watch the coordinator's ledger as this node has verified it."""


@ledger.command(
    "watch",
    cls=Command,
    examples=(
        "almenara ledger watch",
        "almenara ledger watch --once",
        "almenara ledger watch --json | while read -r line; do …; done",
    ),
)
@click.option("--once", is_flag=True, help="Show it once and stop.")
@common
def watch(common: Common, once: bool) -> None:
    """Show size, root, age, witnesses and merge delay of the ledger; then again whenever it changes.

    With --json, one object on each line. Stop it with Ctrl-C.
    """
    node = common.node()
    shown: object = None
    was_there = False
    while True:
        try:
            view = node.ask("GET", "/v1/ledger", LedgerView)
        except Unreachable:
            if once or not was_there:
                raise
            view = None
        if view is None:
            shown = _say_gone(common, shown)
        elif (news := _essence(view)) != shown:
            shown, was_there = news, True
            common.out.line(view, partial(_print_ledger, view=view, common=common))
        if once:
            return
        threading.Event().wait(_PAUSE_S)


def _say_gone(common: Common, shown: object) -> object:
    if shown is not None:
        common.out.message("almenara: the node went away; waiting for it")
    return None


def _essence(view: LedgerView) -> object:
    """Return what makes a view worth showing again: everything but the time."""
    return (view.connected, view.logs, view.promised, view.unwitnessed, view.evidence, view.alarms)


def _print_ledger(console: Console, view: LedgerView, common: Common) -> None:
    from exchange.cli.render import print_facts, print_table, when

    print_facts(console, [row for row in _facts(view, common) if row[1] != "-"])
    rows = [
        (
            log.log,
            str(log.size),
            log.root[:_ROOT_DIGITS] or "-",
            "none yet" if log.witnessed_size is None else str(log.witnessed_size),
            when(log.witnessed_ms),
            _age(view.now_ms, log.witnessed_ms),
            _witnesses(log),
        )
        for log in view.logs
    ]
    columns = ("log", "size", "root", "witnessed", "at", "age", "witnesses")
    print_table(console, columns, rows)


def _facts(view: LedgerView, common: Common) -> list[tuple[str, str]]:
    delay = "-"
    if view.merge_delay_ms is not None and view.worst_merge_delay_ms is not None:
        delay = f"{view.merge_delay_ms / 1000:.1f} s, at worst {view.worst_merge_delay_ms / 1000:.1f} s"
    return [
        ("coordinator", view.coordinator),
        ("link", "connected" if view.connected else "NOT CONNECTED; this is what was known before"),
        ("merge delay", delay),
        ("not in it yet", counted(view.promised, "statement") if view.promised else "-"),
        ("pending witness", counted(view.unwitnessed, "statement") if view.unwitnessed else "-"),
        *((f"ALARM {alarm.code}", f"{alarm.message}. {common.fill(alarm.next)}") for alarm in view.alarms),
        *(("evidence", f"evidence/{name}") for name in view.evidence),
    ]


def _age(now_ms: int, at_ms: int | None) -> str:
    return "-" if at_ms is None else f"{max(now_ms - at_ms, 0) / 1000:.0f} s"


def _witnesses(log: LogView) -> str:
    """Return who cosigned and who did not, in words: never by colour or sign alone."""
    there = [one.state for one in log.witnesses if one.cosigned_ms is not None]
    absent = [one.state for one in log.witnesses if one.cosigned_ms is None]
    parts = [f"{len(there)} of {len(log.witnesses)}, {log.needed} needed"]
    if there:
        parts.append(f"cosigned: {', '.join(there)}")
    if absent:
        parts.append(f"silent: {', '.join(absent)}")
    return "; ".join(parts)
