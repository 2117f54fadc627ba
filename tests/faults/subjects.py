"""The stores that every fault of a disk is tried on, with what a campaign of power cuts does to each."""

from __future__ import annotations

from dataclasses import dataclass

from tests.faults.coordinator_store import COORDINATOR
from tests.faults.cuts import Subject
from tests.faults.engine_store import ENGINE
from tests.faults.node_store import NODE
from tests.faults.sealing_store import SEALING


@dataclass(frozen=True)
class Share:
    """How many power cuts one store gets in the gate, in ``make faults`` and in ``make faults-long``.

    With the ledger's they are 20,000 and 200,000.
    """

    subject: Subject
    gate: int
    faults: int
    long: int


SHARES = {
    "engine": Share(ENGINE, gate=10_000, faults=20_000, long=100_000),
    "node": Share(NODE, gate=4_000, faults=8_000, long=40_000),
    "coordinator": Share(COORDINATOR, gate=4_000, faults=8_000, long=40_000),
    "sealing": Share(SEALING, gate=1_200, faults=2_400, long=12_000),
}
LEDGER_CUTS = {"gate": 800, "faults": 1_600, "long": 8_000}

GATE_CUTS, LONG_CUTS = 20_000, 200_000
