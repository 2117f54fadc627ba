"""How many of the coordinator's lies honest nodes tell of, and after how many seconds at worst.

Each lie in a community of its own, of real processes, all of them at once; see :mod:`tests.lying`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import msgspec

from tests.acceptance.ceremony import CODES, HUB, Founded
from tests.acceptance.world import settle
from tests.lying.lies import Lies
from tests.lying.world import BOUND_S, LyingWorld, lying_world

FORKED = ("ledger-forked", "ledger-shrunk", "ledger-unproven")


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """One lie: how often it was told, how often somebody was told of it, and the worst time in seconds."""

    told: int
    found: int
    worst_s: float


def measure(folder: Path, runs: int) -> dict[str, Detection]:
    """Tell every lie ``runs`` times."""
    # Each its own community, for each has its own port.
    founded = {name: settle(folder / name.replace(" ", "-")) for name in _LIES}
    times: dict[str, list[float | None]] = {name: [] for name in _LIES}
    for _ in range(runs):
        with ThreadPoolExecutor(len(_LIES)) as pool:
            waiting = {name: pool.submit(_told, founded[name], name) for name in _LIES}
        for name, one in waiting.items():
            times[name].append(one.result())
    return {
        name: Detection(
            told=runs,
            found=sum(seconds is not None for seconds in some),
            worst_s=max((seconds for seconds in some if seconds is not None), default=0.0),
        )
        for name, some in times.items()
    }


def _told(founded: Founded, name: str) -> float | None:
    """Tell one lie; return after how many seconds a node told its people, or None if it did not in time."""
    lies, tell = _LIES[name]
    with lying_world(founded, lies) as world, suppress(AssertionError):
        return tell(world)
    return None


def _sent(world: LyingWorld) -> str:
    world.start(HUB, *CODES)
    return world.send("XAA", "measured", "XBB", "XCC")


def _dropped_statement(world: LyingWorld) -> float:
    _sent(world)
    return world.until_told("XCC", "not-logged", "promise-broken")


def _dropped_notice(world: LyingWorld) -> float:
    _sent(world)
    return world.until_told("XAA", "withheld")


def _split_view(world: LyingWorld) -> float:
    sent = _sent(world)
    world.until(lambda: len(world.listed("XBB", "inbox")) == 1, "XBB to have the notice", BOUND_S)
    world.until(lambda: world.witnessed("XAA") > 0, "XAA to cosign", BOUND_S)
    began = time.monotonic()
    world.accept("XBB", sent)
    world.until_told("XAA", *FORKED)
    return time.monotonic() - began


def _rollback(world: LyingWorld) -> float:
    world.until_witnessed("XAA", _sent(world))
    world.stop(HUB)
    shutil.copytree(world.data(HUB), world.folder / "backup")
    world.start(HUB)
    world.until_witnessed("XAA", world.send("XAA", "forgotten", "XBB", "XCC"))
    world.stop(HUB)
    shutil.rmtree(world.data(HUB))
    shutil.copytree(world.folder / "backup", world.data(HUB))
    world.start(HUB)
    world.send("XAA", "afterwards", "XBB", "XCC")
    return max(world.until_told(code, *FORKED, seconds=BOUND_S) for code in CODES)


_LIES: Mapping[str, tuple[Lies, Callable[[LyingWorld], float]]] = {
    "dropped statement": (Lies(drop_statements_of=("XCC",)), _dropped_statement),
    "dropped notice": (Lies(withhold_from=("XBB",)), _dropped_notice),
    "split view": (Lies(split=("XBB",)), _split_view),
    "rollback": (Lies(deaf=True), _rollback),
}
