"""``almenara hammer``: load on a test community, with honest times."""

from __future__ import annotations

import asyncio
import secrets
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exchange.cli.client import NodeClient
from exchange.cli.command import Command, Common, common, token_of
from exchange.cli.exits import Exit
from exchange.cli.words import NearChoice, states
from exchange.clock import SystemClock
from exchange.hammer.disk import flushes
from exchange.hammer.histogram import Histogram
from exchange.hammer.load import Load, Measured
from exchange.hammer.profiles import PROFILES, schedule
from exchange.hammer.result import Plan, Result
from exchange.hammer.target import find_target, require_test

if TYPE_CHECKING:
    from rich.console import Console

MOST_RATE = 5_000.0
MOST_SECONDS = 24 * 3600.0
MOST_NOTICES = 2_000_000


@click.command(
    cls=Command,
    examples=(
        "almenara hammer --profile crisis",
        "almenara hammer --profile steady --rate 6 --seconds 600 --json",
        "almenara hammer --profile burst --rate 20 --to XBB,XCC --disk /var/lib/almenara",
    ),
    epilog="Profiles: " + "; ".join(f"{name}: {one.summary}" for name, one in PROFILES.items()) + ".",
)
@click.option(
    "--profile", type=NearChoice(tuple(PROFILES)), default="steady", show_default=True, help="Shape."
)
@click.option(
    "--rate",
    default=5.0,
    show_default=True,
    type=click.FloatRange(0, MOST_RATE, min_open=True),
    help="The highest rate, notices a second.",
)
@click.option(
    "--seconds",
    default=60.0,
    show_default=True,
    type=click.FloatRange(0, MOST_SECONDS, min_open=True),
    help="How long to send.",
)
@click.option("-t", "--to", "to", multiple=True, metavar="STATES", help="Such as XBB,XCC; else everybody.")
@click.option(
    "--patience",
    default=30.0,
    show_default=True,
    type=click.FloatRange(0, 3600),
    help="Seconds to wait for what is under way at the end.",
)
@click.option("--seed", type=click.IntRange(0, 2**32), help="Repeat the same arrivals.")
@click.option(
    "--disk", type=click.Path(path_type=Path), help="A folder on the node's disk; else where its socket is."
)
@click.option("--yes-really", metavar="NAME", help="Hammer this community although it is not one for tests.")
@common
def hammer(
    common: Common,
    profile: str,
    rate: float,
    seconds: float,
    to: tuple[str, ...],
    patience: float,
    seed: int | None,
    disk: Path | None,
    yes_really: str | None,
) -> int:
    """Put load on a test community, and measure what becomes of it.

    Notices go over the node's ordinary interface, marked as exercises. Each is sent when it is due, and
    its times count from then. Ctrl-C stops, and prints what was measured so far.
    """
    settings = common.settings().settings
    token = token_of(settings)
    target = find_target(NodeClient(settings.socket, token), states(to) if to else ())
    require_test(target, yes_really)
    plan = Plan(profile, rate, seconds, secrets.randbits(32) if seed is None else seed)
    if rate * seconds > MOST_NOTICES:
        raise click.UsageError(f"that would be more than {MOST_NOTICES} notices")
    clock = SystemClock()
    load = Load(settings.socket, token, target, clock)
    folder = disk or settings.socket.parent
    before = flushes(folder, clock)
    interrupted = asyncio.run(_run(load, plan, patience, common))
    after = flushes(folder, clock)
    result = Result(plan, target, load.measured, _together(before, after), interrupted)
    common.out.result(result.as_object(), lambda console: _print(console, result))
    return Exit.INTERRUPTED if interrupted else Exit.OK


async def _run(load: Load, plan: Plan, patience: float, common: Common) -> bool:
    """Run the load until it ends or Ctrl-C; return whether it was that."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop.set)
    dues = schedule(PROFILES[plan.profile], plan.rate, plan.seconds, plan.seed)

    def progress(measured: Measured) -> None:
        received = len(measured.times["received"])
        common.out.message(
            f"almenara: {measured.due} of {len(dues)} due, {measured.accepted} accepted, "
            f"{received} of {measured.deliveries} received"
        )

    try:
        await load.run(dues, patience=patience, stop=stop, progress=progress)
    finally:
        loop.remove_signal_handler(signal.SIGINT)
    return stop.is_set()


def _together(*some: Histogram) -> Histogram:
    whole = Histogram()
    for one in some:
        whole.add(one)
    return whole


def _print(console: Console, result: Result) -> None:
    for line in result.lines():
        console.print(line, markup=False, highlight=False, soft_wrap=True)
