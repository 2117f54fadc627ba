"""How often the disk is flushed for one notice, counted by a tracer attached to the running processes.

``strace`` sees every call that flushes; where it is not installed, nothing is counted and the report says
so. A tracer slows down what it watches, so this is a run of its own, after everything else.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.benchmarks.driver import Driver
from tests.benchmarks.processes import HUB, RECIPIENTS, SENDER, Stage

IN_FLIGHT = 64
_CALLS = "trace=fsync,fdatasync,sync_file_range,msync"
_CALL = re.compile(r"sync\w*\(")
_ATTACH_SECONDS = 1.0


async def count(stage: Stage, driver: Driver, notices: int) -> Mapping[str, float] | None:
    """Return calls per notice of the coordinator, the sender and one recipient; None without a tracer."""
    tracer = shutil.which("strace")
    if tracer is None:
        return None
    watched = (HUB, SENDER, RECIPIENTS[0])
    files = {name: stage.folder / f"syncs-{name}.txt" for name in watched}
    async with AsyncExitStack() as stack:
        for name, file in files.items():
            await stack.enter_async_context(_traced(tracer, stage.pid_of(name), file))
        await driver.many(notices, IN_FLIGHT)
    return {name: len(_CALL.findall(file.read_text())) / notices for name, file in files.items()}


@asynccontextmanager
async def _traced(tracer: str, pid: int, file: Path) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *(tracer, "-f", "-qq", "-e", _CALLS, "-o", str(file), "-p", str(pid)), stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        # It says nothing when it has attached, and what comes before is the same load.
        await asyncio.sleep(_ATTACH_SECONDS)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
