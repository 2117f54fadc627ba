"""How large a campaign is: small in the gate, larger in ``make faults``, whole in ``make faults-long``."""

from __future__ import annotations

import os
from typing import Literal, TypeVar

import pytest

Size = Literal["gate", "faults", "long"]

VARIABLE = "ALMENARA_FAULTS"
"""The environment variable that says which; the gate sets none."""

T = TypeVar("T")


def size() -> Size:
    """Return which campaign this is."""
    match os.environ.get(VARIABLE, "gate"):
        case "gate":
            return "gate"
        case "faults":
            return "faults"
        case "long":
            return "long"
        case other:
            raise ValueError(f"{VARIABLE} is gate, faults or long, not {other}")


def sized(*, gate: T, faults: T, long: T) -> T:
    """Return the figure for this campaign."""
    return {"gate": gate, "faults": faults, "long": long}[size()]


larger = pytest.mark.skipif(size() == "gate", reason="runs in `make faults`, for the gate's time")
"""Marks what a smaller test of the gate stands for."""
