"""How a coordinator's processes stand, found out from outside of them."""

from __future__ import annotations

from exchange.coordinator.status import Status, read_status
from exchange.datadir import DataDir
from exchange.settings import CoordinatorSettings
from protocol.errors import SetupError


def how_it_stands(settings: CoordinatorSettings) -> Status:
    """Return what the process on this machine wrote last, about itself and the others.

    Raises:
        SetupError: none runs here.
    """
    if DataDir(settings.data).holder() is None:
        raise SetupError(
            f"no coordinator runs on {settings.data}",
            hint=f"Start it with: almenara coordinator run --data {settings.data}",
        )
    return read_status(settings.data)
