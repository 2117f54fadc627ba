"""How far every delivery of a notice has got: what a person or script may wait for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from protocol.delivery import ANSWERED, DeliveryState

Milestone = Literal["relayed", "received", "answered"]

FAILED = frozenset({DeliveryState.REFUSED, DeliveryState.REJECTED, DeliveryState.UNDELIVERED})
"""States in which a notice could not be brought to a recipient."""

_RECEIVED = ANSWERED | {DeliveryState.RECEIVED, DeliveryState.OPENED}

REACHED: Mapping[Milestone, frozenset[DeliveryState]] = MappingProxyType(
    {
        "relayed": _RECEIVED | {DeliveryState.RELAYED},
        "received": _RECEIVED,
        "answered": ANSWERED,
    }
)
"""The states in which a delivery has got so far, or further."""

SETTLED: Mapping[Milestone, frozenset[DeliveryState]] = MappingProxyType(
    {milestone: states | FAILED for milestone, states in REACHED.items()}
)
"""The states in which there is nothing left to wait for."""
