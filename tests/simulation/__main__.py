"""``python -m tests.simulation --seed N --hours H``: one simulation, the same one each time."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict

from tests.simulation.loop import Broken
from tests.simulation.stage import REAL_PACE, Pace
from tests.simulation.world import Plan, World, replay


def main() -> int:
    """Run one simulation and print what came of it; 1 if something does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--nodes", type=int, default=35)
    parser.add_argument("--log", type=int, default=0, help="print so many of the last log events")
    parser.add_argument("--real-pace", action="store_true", help="heartbeats and looks as often as shipped")
    args = parser.parse_args()
    plan = Plan(args.seed, args.hours, args.nodes, pace=REAL_PACE if args.real_pace else Pace())
    world = World(plan)
    began, cpu = time.perf_counter(), time.process_time()
    failed = None
    try:
        result = world.run()
    except Broken as error:
        failed = error
    for line in world.log[-args.log :] if args.log else ():
        print(line)
    print(f"{time.perf_counter() - began:.1f} s, {time.process_time() - cpu:.1f} s of processor")
    if failed is not None:
        print(f"BROKEN: {failed}\n{replay(plan)}")
        return 1
    for name, value in asdict(result).items():
        print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
