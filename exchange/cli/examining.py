"""``almenara doctor``: numbered checks of one data directory, each with its fix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exchange.cli.command import Command
from exchange.cli.exits import Exit
from exchange.cli.local import FILE, Local, data_option, local, settings_of
from exchange.cli.words import counted

if TYPE_CHECKING:
    from exchange.doctor.patient import Asked


@click.command(
    cls=Command,
    examples=("almenara doctor --data XAA", "almenara doctor --data HUB --json | jq '.checks[] | .level'"),
    epilog="Exit code 0: no problem was found (there may be warnings). 1: at least one problem.",
)
@data_option
@click.option("--token-file", type=FILE, metavar="FILE", help="A token, to ask the running node as well.")
@local
def doctor(console: Local, data: str | None, token_file: Path | None) -> int:
    """Examine a node or a coordinator, running or stopped; nothing is changed."""
    from exchange.clock import SystemClock
    from exchange.doctor.checks import examine
    from exchange.doctor.patient import Level, Patient
    from exchange.settings import CliSettings

    settings = settings_of(CliSettings, data=data, token_file=token_file)
    patient = Patient(settings.data, SystemClock().now_ms(), _asking(settings.token_file))
    results = list(examine(patient))
    rows = [
        {
            "number": result.number,
            "name": result.name,
            "level": result.finding.level.value,
            "message": result.finding.message,
            "fix": console.fill(result.finding.fix),
        }
        for result in results
    ]
    problems = [row for row in rows if row["level"] == Level.PROBLEM]
    warnings = [row for row in rows if row["level"] == Level.WARNING]
    lines = []
    for row in rows:
        lines.append(f"{row['number']:>3} {row['level']:<8} {row['message']}")
        if row["fix"] and row["level"] != Level.OK:
            lines.append(f"             fix: {row['fix']}")
    summary = f"{counted(len(problems), 'problem')}, {counted(len(warnings), 'warning')}, {len(rows)} checks."
    console.show(
        {"data": str(settings.data), "problems": len(problems), "warnings": len(warnings), "checks": rows},
        *lines,
        summary,
    )
    return Exit.FAILED if problems else Exit.OK


def _asking(token_file: Path | None) -> Callable[[Path], Asked]:
    """Return what asks a running node: whether it is there, and with a token, how it is."""
    from exchange.api.routes import Health
    from exchange.cli.client import NodeClient
    from exchange.doctor.patient import NOT_ASKED, Asked
    from exchange.keystore import TOKEN_FILE, read_secret
    from exchange.node.views import NodeView
    from protocol.errors import Unreachable

    def ask(socket: Path) -> Asked:
        token = "" if token_file is None else read_secret(token_file, TOKEN_FILE).strip()
        client = NodeClient(socket, token)
        try:
            client.ask("GET", "/livez", Health, timeout_s=5)
            view = client.ask("GET", "/v1/node", NodeView, timeout_s=10) if token else None
        except Unreachable:
            return NOT_ASKED
        return Asked(runs=True, view=view)

    return ask
