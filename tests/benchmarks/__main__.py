"""``python -m tests.benchmarks``: measure, and print the report. See ``--help``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import detection, directory, endtoend, evidence, micro, report
from tests.benchmarks.facts import facts

FULL = (120, endtoend.Plan(alone=200, burst=1000, stored=endtoend.STORED_GOAL), 1_000_000, 30.0, 5)
QUICK = (25, endtoend.Plan(alone=30, burst=256, stored=0), 20_000, 4.0, 1)


def main() -> None:
    """Parse the command line, measure in a temporary folder, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="about four minutes, with few notices")
    parser.add_argument("--whole", action="store_true", help="whole notices only: rate, latency, processor")
    parser.add_argument("--folder", type=Path, help="where to measure; a fresh folder is made inside")
    asked = parser.parse_args()
    rounds, plan, leaves, seconds, lies = QUICK if asked.quick else FULL
    with tempfile.TemporaryDirectory(prefix="almenara-bench-", dir=asked.folder) as name:
        folder = Path(name)
        machine = facts(folder)
        if asked.whole:
            whole = asyncio.run(endtoend.measure(folder, plan))
            sys.stdout.write(report.whole_as_text(machine, whole) + "\n")
            return
        costs = micro.measure(rounds)
        for part in ("endtoend", "evidence", "lies"):
            (folder / part).mkdir()
        whole = asyncio.run(endtoend.measure(folder / "endtoend", plan))
        service = asyncio.run(evidence.measure_service(folder / "evidence", seconds))
        detected = detection.measure(folder / "lies", lies)
        members = directory.measure(folder / "directory", directory.MEMBERS, updates=20)
        audits = evidence.measure_audits(folder / "audit", leaves)
    found = report.Found(machine, costs, whole, service, audits, detected, members)
    sys.stdout.write((report.as_json if asked.json else report.as_text)(found) + "\n")


if __name__ == "__main__":
    main()
