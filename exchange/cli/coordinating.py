"""The processes of one coordinator: ``almenara coordinator status`` and ``coordinator drain``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from exchange.cli.command import Command
from exchange.cli.local import Local, data_option, local, require_place, settings_of

if TYPE_CHECKING:
    from exchange.coordinator.status import Process, Status

_DRAIN_SECONDS = 30


@click.command("status", cls=Command, examples=("almenara coordinator status --data HUB",))
@data_option
@local
def coordinator_status(console: Local, data: str | None) -> None:
    """Show the processes of this coordinator: who is there, who does what for all, and who is behind."""
    import msgspec

    from exchange.settings import CoordinatorSettings
    from exchange.setup.standing import how_it_stands

    settings = settings_of(CoordinatorSettings, data=data)
    require_place(settings.data, "keys/statement.key", "coordinator")
    found = how_it_stands(settings)
    fields: dict[str, Any] = msgspec.to_builtins(found)
    console.show(fields, *_lines(found))


@click.command("drain", cls=Command, examples=("almenara coordinator drain --data HUB",))
@data_option
@click.option(
    "--timeout",
    type=click.IntRange(1, 600),
    default=_DRAIN_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait until it has stopped.",
)
@local
def coordinator_drain(console: Local, data: str | None, timeout: int) -> None:
    """Stop the process on this machine: it hands over its work and its nodes, and ends."""
    from exchange.clock import SystemClock
    from exchange.settings import CoordinatorSettings
    from exchange.setup import draining

    settings = settings_of(CoordinatorSettings, data=data)
    require_place(settings.data, "keys/statement.key", "coordinator")
    pid = asyncio.run(draining.drain(settings.data, timeout, SystemClock()))
    console.show(
        {"stopped": pid},
        f"Process {pid} has handed over its work and its nodes, and has stopped.",
        f"To start it again: almenara coordinator run --data {settings.data}",
    )


def _lines(found: Status) -> Iterator[str]:
    for process in found.processes:
        yield from _process(process)
    for log in found.published:
        halted = f"  HALTED: {found.halted[log]}" if log in found.halted else ""
        yield f"log {log}: {found.published[log]} published, {found.witnessed[log]} witnessed{halted}"
    yield f"{found.statements} statements, {found.documents} documents"
    for name, (owner, epoch) in found.leases.items():
        yield f"lease {name}: {owner}, epoch {epoch}"
    for owner in found.gone:
        yield f"gone: {owner}; what it had ends by itself within seconds"


def _process(process: Process) -> Iterator[str]:
    from protocol.text import format_utc

    facts = process.facts
    leaving = ", takes its leave" if facts.draining else ""
    since = format_utc(facts.started_ms)
    yield f"{facts.name}: process {facts.pid}, port {facts.port}, since {since}{leaving}"
    yield f"  nodes: {', '.join(process.nodes) or 'none'}"
    yield f"  does for all: {', '.join(process.leases) or 'nothing'}"
    behind = [f"{count} of log {log}" for log, count in process.published_behind.items() if count]
    if process.documents_behind:
        behind.append(f"{process.documents_behind} documents")
    yield f"  behind: {', '.join(behind) or 'nothing'}"
    for log, reason in facts.halted.items():
        yield f"  signs no further checkpoint of log {log}: {reason}"
