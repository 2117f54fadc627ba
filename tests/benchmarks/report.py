"""The report: every figure with its goal beside it, as a table for people or one object for machines."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.benchmarks.endtoend import EndToEnd
from tests.benchmarks.facts import Facts
from tests.benchmarks.micro import Cost

SEAL_GOAL = 1.5
P50_GOAL_MS = 25.0
BEYOND_GOAL_S = 2.5
RSS_GOAL_MB = 150.0
BUSY_LOAD = 0.5


def as_json(facts: Facts, costs: dict[str, Cost], whole: EndToEnd) -> str:
    """Return one JSON object: the end-to-end figures, with ``machine`` and ``micro`` inside."""
    plain: dict[str, Any] = msgspec.to_builtins(whole)
    plain |= {"machine": msgspec.to_builtins(facts), "micro": msgspec.to_builtins(costs)}
    return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode()


def as_text(facts: Facts, costs: dict[str, Cost], whole: EndToEnd) -> str:
    """Return the report for people."""
    return "\n".join([*_machine(facts), "", *_micro(costs), "", *_whole(whole)])


def _machine(facts: Facts) -> list[str]:
    busy = ["The machine is busy with other work: compare ratios, not times."]
    return [
        f"{facts.cpu}, {facts.cores} cores, load {facts.load:.1f}; Linux {facts.kernel}",
        f"Python {facts.python}; {facts.openssl}; SQLite {facts.sqlite}; "
        f"{facts.fdatasync_per_second:,.0f} fdatasync/s",
        *(busy if facts.load > BUSY_LOAD * facts.cores else []),
    ]


def _micro(costs: dict[str, Cost]) -> list[str]:
    lines = [f"{'operation':<22}{'µs':>9}{'bare µs':>10}{'ratio':>8}"]
    for name, cost in costs.items():
        goal = f"   {_goal(cost.ratio, SEAL_GOAL, '')}" if name in ("seal", "open") else ""
        lines.append(f"{name:<22}{cost.us:>9.0f}{cost.bare_us:>10.0f}{cost.ratio:>8.2f}{goal}")
    return lines


def _whole(whole: EndToEnd) -> list[str]:
    shares = ", ".join(f"{name} {cpu:.1f}" for name, cpu in whole.cpu_s_per_1000_w_by_process.items())
    beyond = whole.beyond_bare_s_per_1000_w
    return [
        f"W: 2 KiB notice, 3 recipients, every RECEIVED back at the sender; medians of {whole.runs} runs",
        _line("256 in flight", f"{whole.w_per_second:.1f} W/s"),
        _line(
            "one in flight",
            f"p50 {whole.p50_ms:.1f} ms, p99 {whole.p99_ms:.1f} ms",
            _goal(whole.p50_ms, P50_GOAL_MS, "ms"),
        ),
        _line("processor per 1,000 W", f"{whole.cpu_s_per_1000_w:.1f} s, all processes ({shares})"),
        _line("  one in flight", f"{whole.cpu_s_per_1000_w_one_in_flight:.1f} s"),
        _line("  the load driver", f"{whole.driver_cpu_s_per_1000_w:.1f} s, not counted above"),
        _line(
            "bare cryptography",
            f"{whole.bare_crypto_s_per_1000_w:.1f} s if signed one by one (5 signatures, 11 verifications)",
        ),
        _line(
            "  really done",
            f"{whole.bare_crypto_done_s_per_1000_w:.1f} s ({whole.signatures_done_per_w:.2f} signatures, "
            f"{whole.verifications_done_per_w:.2f} verifications)",
        ),
        _line("beyond bare", f"{beyond:.1f} s per 1,000 W", _goal(beyond, BEYOND_GOAL_S, "s")),
        _line("  beyond what was done", f"{whole.beyond_bare_done_s_per_1000_w:.1f} s per 1,000 W"),
        _line(
            "coordinator memory",
            f"{whole.coordinator_rss_mb:.0f} MB at {whole.stored_notices:,} stored notices",
            _goal(whole.coordinator_rss_mb, RSS_GOAL_MB, "MB"),
        ),
        _line("disk per W", f"{whole.bytes_on_disk_per_w / 1000:.1f} kB, all five stores"),
    ]


def _line(name: str, value: str, goal: str = "") -> str:
    return f"{name:<24}{value}{f'   {goal}' if goal else ''}"


def _goal(value: float, goal: float, unit: str) -> str:
    verdict = "met" if value <= goal else "MISSED"
    return f"(goal ≤ {goal:g} {unit}".rstrip() + f": {verdict})"
