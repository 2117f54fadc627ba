"""Running a coordinator: unlock its key, start the service, stop on a signal.

Apart from the node's twin, so that a coordinator's process never loads code that opens envelopes.
"""

from __future__ import annotations

import asyncio

from exchange import telemetry
from exchange.clock import Clock
from exchange.coordinator import service
from exchange.passphrases import PassphraseSource
from exchange.settings import CoordinatorSettings
from exchange.unlocking import provider_of


def serve_coordinator(settings: CoordinatorSettings, source: PassphraseSource, clock: Clock) -> None:
    """Run a coordinator until SIGTERM or SIGINT, then drain. It logs ``coordinator.started`` with its port.

    Args:
        settings: How to run.
        source: Asked for a passphrase or PIN if a key file needs one.
        clock: The source of time.

    Raises:
        AlmenaraError: as :func:`exchange.coordinator.service.run`.
    """
    telemetry.configure(clock, level=settings.log_level, form=settings.log_format)
    asyncio.run(service.run(settings, provider_of(source), clock))
