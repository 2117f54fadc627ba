"""Running a node: unlock its keys, open its store, show its faces, stop on a signal."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import structlog

from exchange import telemetry
from exchange.api.app import make_app
from exchange.api.serve import LocalInterface
from exchange.clock import Clock
from exchange.datadir import DataDir
from exchange.node.secrets import NodeSecrets, unlock_node
from exchange.node.service import MIGRATIONS, Node, require_joined
from exchange.node.together import until_first
from exchange.settings import NodeSettings
from exchange.stores.engine import Engine
from exchange.unlocking import WithTokens
from exchange.unsealer.client import Unsealer
from exchange.unsealer.launch import Launcher


def serve_node(settings: NodeSettings, source: WithTokens, clock: Clock) -> None:
    """Run a node until SIGTERM or SIGINT. It logs ``node.started`` when its local interface answers.

    Args:
        settings: How to run.
        source: Asked for a passphrase or PIN if a key file needs one.
        clock: The source of time.

    Raises:
        AlmenaraError: as :func:`exchange.node.secrets.unlock_node` and :func:`run_node`.
    """
    telemetry.configure(clock, level=settings.log_level, form=settings.log_format)
    log = structlog.get_logger()
    require_joined(settings)
    launch = Launcher(
        DataDir(settings.data),
        settings.state,
        source,
        pkcs11_module=settings.pkcs11_module,
        pin_file=settings.pin_file,
    )
    secrets = replace(unlock_node(settings.data / "keys", source), passphrase=source.lasting())
    # What a person typed is not kept here: both processes have opened what it opens.
    source.forget()

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)

        def ready() -> None:
            log.info("node.started", state=settings.state, pid=os.getpid())

        await run_node(settings, secrets, Unsealer(launch), clock, stop=stop, ready=ready)

    asyncio.run(serve())
    log.info("node.stopped", state=settings.state)


async def run_node(
    settings: NodeSettings,
    secrets: NodeSecrets,
    unsealer: Unsealer,
    clock: Clock,
    *,
    stop: asyncio.Event,
    ready: Callable[[], None],
) -> None:
    """Run a node until ``stop`` is set; everything it accepted is durable whenever it ends.

    Args:
        settings: How to run.
        secrets: The node's unlocked keys.
        unsealer: Not started yet.
        clock: The source of time.
        stop: Set by the caller to end the service.
        ready: Called once when the local interface answers.

    Raises:
        DataDirBusy: another process has the data directory.
        KeyfileError, WrongPassphrase: the unsealer cannot open its keys.
        SetupError: something that the set-up makes is missing or does not fit.
    """
    async with AsyncExitStack() as stack:
        place = DataDir(settings.data)
        stack.enter_context(place)
        stack.push_async_callback(unsealer.close)
        await unsealer.start()
        engine = await Engine.open(place.database, MIGRATIONS, clock)
        stack.push_async_callback(engine.close)
        node = await Node.open(settings, place, engine, secrets, unsealer, clock)
        interface = LocalInterface(make_app(node.desk, node.tokens, node.require_writable), settings.socket)
        await interface.start()
        stack.push_async_callback(interface.stop)
        ready()
        await until_first(_wait(stop), unsealer.run(), *node.parts())


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()
