"""Running a node: unlock its keys, start the service, stop on a signal."""

from __future__ import annotations

import asyncio
import os
import signal

import structlog

from exchange import telemetry
from exchange.clock import Clock
from exchange.node.secrets import unlock_node
from exchange.node.service import run_node
from exchange.passphrases import PassphraseSource
from exchange.settings import NodeSettings
from exchange.setup.keyring import Once


def serve_node(settings: NodeSettings, source: PassphraseSource, clock: Clock) -> None:
    """Run a node until SIGTERM or SIGINT. It logs ``node.started`` when its local interface answers.

    Args:
        settings: How to run.
        source: Asked once for the passphrase if a key file has one.
        clock: The source of time.

    Raises:
        AlmenaraError: as :func:`exchange.node.secrets.unlock_node` and
            :func:`exchange.node.service.run_node`.
    """
    telemetry.configure(clock, level=settings.log_level, form=settings.log_format)
    log = structlog.get_logger()
    secrets = unlock_node(settings.data / "keys", Once(source))

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)

        def ready() -> None:
            log.info("node.started", state=settings.state, pid=os.getpid())

        await run_node(settings, secrets, clock, stop=stop, ready=ready)

    asyncio.run(serve())
    log.info("node.stopped", state=settings.state)
