"""``python -m tests.benchmarks``: measure, and print the report. See ``--help``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import endtoend, evidence, micro, report
from tests.benchmarks.facts import facts

FULL = (120, endtoend.Plan(alone=200, burst=1000, stored=endtoend.STORED_GOAL), 1_000_000, 30.0)
QUICK = (25, endtoend.Plan(alone=30, burst=256, stored=0), 20_000, 4.0)


def main() -> None:
    """Parse the command line, measure in a temporary folder, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="about two minutes; with few notices and leaves")
    parser.add_argument("--folder", type=Path, help="where to measure; a fresh folder is made inside")
    asked = parser.parse_args()
    rounds, plan, leaves, seconds = QUICK if asked.quick else FULL
    with tempfile.TemporaryDirectory(prefix="almenara-bench-", dir=asked.folder) as name:
        folder = Path(name)
        machine = facts(folder)
        costs = micro.measure(rounds)
        for part in ("endtoend", "evidence"):
            (folder / part).mkdir()
        whole = asyncio.run(endtoend.measure(folder / "endtoend", plan))
        service = asyncio.run(evidence.measure_service(folder / "evidence", seconds))
        audits = evidence.measure_audits(folder / "audit", leaves)
    text = report.as_json if asked.json else report.as_text
    sys.stdout.write(text(machine, costs, whole, service, audits) + "\n")


if __name__ == "__main__":
    main()
