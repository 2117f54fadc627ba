"""Running a coordinator: unlock its key, start the service, stop on a signal.

Apart from the node's twin, so that a coordinator's process never loads code that opens envelopes.
"""

from __future__ import annotations

import asyncio

from exchange import telemetry
from exchange.clock import Clock
from exchange.coordinator import service
from exchange.passphrases import Once, PassphraseSource
from exchange.settings import CoordinatorSettings
from keys.keyfile import KeyDescription
from keys.protection import Passphrase, Protection


def serve_coordinator(settings: CoordinatorSettings, source: PassphraseSource, clock: Clock) -> None:
    """Run a coordinator until SIGTERM or SIGINT, then drain. It logs ``coordinator.started`` with its port.

    Args:
        settings: How to run.
        source: Asked for the passphrase if the statement key has one.
        clock: The source of time.

    Raises:
        AlmenaraError: as :func:`exchange.coordinator.service.run`.
    """
    telemetry.configure(clock, level=settings.log_level, form=settings.log_format)
    once = Once(source)

    def offer(_: KeyDescription) -> Protection:
        return Passphrase(once.passphrase().encode())

    asyncio.run(service.run(settings, offer, clock))
