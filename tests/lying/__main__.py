"""``python -m tests.lying coordinator run --data DIR``: the honest command, with lies.

Which ones stands in the variable ALMENARA_TEST_LIES, as JSON.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import msgspec

from exchange import telemetry
from exchange.clock import SystemClock
from exchange.configuration import resolve
from exchange.settings import CoordinatorSettings
from keys.keyfile import KeyDescription
from keys.protection import Unprotected
from tests.lying.lies import Lies
from tests.lying.split import lying


def no_passphrase(_description: KeyDescription) -> Unprotected:
    """Refuse to be asked: the keys of the liar are not protected."""
    raise AssertionError


async def run(settings: CoordinatorSettings, lies: Lies) -> None:
    """Lie until SIGTERM."""
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    async with lying(settings, no_passphrase, SystemClock(), lies) as coordinator:
        waits = asyncio.ensure_future(asked.wait()), asyncio.ensure_future(coordinator.failed())
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()


if __name__ == "__main__":
    lies = msgspec.json.decode(os.environ.pop("ALMENARA_TEST_LIES", "{}"), type=Lies)
    data = Path(sys.argv[sys.argv.index("--data") + 1])
    telemetry.configure(SystemClock(), level="info", form="json")
    asyncio.run(run(resolve(CoordinatorSettings, flags={"data": str(data)}).settings, lies))
