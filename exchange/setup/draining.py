"""Letting a coordinator process that runs take its leave: its work and its nodes go to the others."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from exchange.clock import Clock
from exchange.datadir import DataDir
from protocol.errors import SetupError

LOOK_SECONDS = 0.1


async def drain(data: Path, seconds: float, clock: Clock) -> int:
    """Tell the process that has a data directory to stop, and wait until it has; return its id.

    Args:
        data: The coordinator's data directory.
        seconds: How long to wait.
        clock: Measures it.

    Raises:
        SetupError: no process has it, it is another user's, or it has not stopped in time.
    """
    place = DataDir(data)
    pid = place.holder()
    if pid is None:
        raise SetupError(
            f"no coordinator runs on {data}",
            hint="See who is there with: almenara coordinator status --data DIR, on a machine where one runs",
        )
    try:
        os.kill(pid, signal.SIGTERM)
    except OSError as error:
        raise SetupError(
            f"process {pid} cannot be told to stop: {error.strerror}", hint="Run this as its user."
        ) from error
    until = clock.monotonic() + seconds
    while place.holder() == pid:
        if clock.monotonic() > until:
            raise SetupError(
                f"process {pid} has not stopped within {seconds:g} seconds",
                hint="It was told; what it has not answered was not claimed. See its log.",
            )
        await asyncio.sleep(LOOK_SECONDS)
    return pid
