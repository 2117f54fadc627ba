"""The report: every figure with its goal beside it, as a table for people or one object for machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from tests.benchmarks.detection import Detection
from tests.benchmarks.directory import Directory
from tests.benchmarks.endtoend import EndToEnd
from tests.benchmarks.evidence import AuditCost, Audits, Service
from tests.benchmarks.facts import Facts
from tests.benchmarks.micro import Cost

SEAL_GOAL = 1.5
RATE_GOAL = 1_000.0
P50_GOAL_MS = 8.0
P99_GOAL_MS = 25.0
HALF_GOAL = 10.0
BEYOND_GOAL_S = 0.8
SYNCS_GOAL = 0.2
RSS_GOAL_MB = 150.0
BUSY_LOAD = 0.5
AUDIT_GOAL_S = 60.0
AUDIT_GOAL_MB = 200.0
AUDIT_GOAL_LEAVES = 1_000_000
RECEIPT_GOAL_MS = 50.0
MERGE_GOAL_MS = 1000.0
DELIVERY_GOAL = 1.1
LIE_GOAL_S = 60.0
MIRROR_GOAL_S = 10.0
UPDATE_GOAL_MS = 100.0
NODE_GOAL_MB = 100.0


@dataclass(frozen=True)
class Found:
    """Everything that was measured in one run."""

    machine: Facts
    micro: dict[str, Cost]
    whole: EndToEnd
    service: Service
    audits: Audits
    lies: dict[str, Detection]
    directory: Directory


def as_json(found: Found) -> str:
    """Return one JSON object: the end-to-end figures, and the others under their names."""
    plain: dict[str, Any] = msgspec.to_builtins(found.whole)
    for name in ("machine", "micro", "service", "audits", "lies", "directory"):
        plain[name] = msgspec.to_builtins(getattr(found, name))
    return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode()


def as_text(found: Found) -> str:
    """Return the report for people."""
    parts = (
        _machine(found.machine),
        _micro(found.micro),
        _whole(found.whole),
        _service(found.service),
        _lies(found.lies),
        _audits(found.audits),
        _directory(found.directory),
    )
    return "\n\n".join("\n".join(part) for part in parts)


def whole_as_text(machine: Facts, whole: EndToEnd) -> str:
    """Return the report on whole notices alone."""
    return "\n\n".join("\n".join(part) for part in (_machine(machine), _whole(whole)))


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
    beyond, half = whole.beyond_bare_done_s_per_1000_w, whole.half_p99_ms / whole.half_p50_ms
    return [
        "W: 2 KiB notice, 3 recipients, every RECEIVED back at the sender; medians of "
        f"{whole.runs} runs (least to most)",
        _line(
            "256 in flight",
            f"{whole.w_per_second:.0f} W/s{_range(whole, 'w_per_second', 0)}; the bare cryptography of the "
            f"same runs allows {whole.bare_allows_per_second:.0f}",
            _goal(RATE_GOAL, whole.w_per_second, "W/s", sign="≥"),
        ),
        _line(
            "one in flight",
            f"p50 {whole.p50_ms:.1f} ms{_range(whole, 'p50_ms', 1)}",
            _goal(whole.p50_ms, P50_GOAL_MS, "ms"),
        ),
        _line(
            "",
            f"p99 {whole.p99_ms:.1f} ms{_range(whole, 'p99_ms', 1)}",
            _goal(whole.p99_ms, P99_GOAL_MS, "ms"),
        ),
        _line(
            f"at {whole.half_per_second:.0f} W/s, half",
            f"p50 {whole.half_p50_ms:.0f} ms, p99 {whole.half_p99_ms:.0f} ms: {half:.1f}x",
            _goal(half, HALF_GOAL, "x"),
        ),
        _line(
            "processor per 1,000 W",
            f"{whole.cpu_s_per_1000_w:.1f} s{_range(whole, 'cpu_s_per_1000_w', 1)}, all processes ({shares})",
        ),
        _line("  one in flight", f"{whole.cpu_s_per_1000_w_one_in_flight:.1f} s"),
        _line("  the load driver", f"{whole.driver_cpu_s_per_1000_w:.1f} s, not counted above"),
        _line(
            "bare cryptography",
            f"{whole.bare_crypto_done_s_per_1000_w:.1f} s for what was done "
            f"({whole.signatures_done_per_w:.2f} signatures, {whole.verifications_done_per_w:.2f} "
            "verifications a W); "
            f"{whole.bare_crypto_s_per_1000_w:.1f} s if signed one by one",
        ),
        _line(
            "beyond bare",
            f"{beyond:.1f} s per 1,000 W{_range(whole, 'beyond_bare_done_s_per_1000_w', 1)}: "
            f"{beyond / whole.bare_crypto_done_s_per_1000_w:.1f}x bare",
            _goal(beyond, BEYOND_GOAL_S, "s"),
        ),
        _syncs(whole.syncs_per_notice),
        _line(
            "coordinator memory",
            f"{whole.coordinator_rss_mb:.0f} MB at {whole.stored_notices:,} stored notices",
            _goal(whole.coordinator_rss_mb, RSS_GOAL_MB, "MB"),
        ),
        _line("disk per W", f"{whole.bytes_on_disk_per_w / 1000:.1f} kB, all five stores"),
    ]


def _range(whole: EndToEnd, name: str, digits: int) -> str:
    least, most = whole.ranges[name]
    return f" ({least:.{digits}f} to {most:.{digits}f})"


def _syncs(counted: dict[str, float] | None) -> str:
    if counted is None:
        return _line("flushes per notice", "not counted: there is no strace here")
    shown = ", ".join(f"{name} {calls:.2f}" for name, calls in counted.items())
    return _line(
        "flushes per notice",
        f"{shown}; 64 in flight, under a tracer",
        _goal(max(counted.values()), SYNCS_GOAL, ""),
    )


def _service(service: Service) -> list[str]:
    ratio = service.delivery_p99_ms / service.delivery_p99_without_ms
    bare = service.receipt_ms / service.receipt_bare_ms
    return [
        f"ledger: {service.statements_per_second:.0f} statements/s from a steady load",
        _line(
            "merge delay",
            f"p50 {service.merge_p50_ms:.0f} ms, p99 {service.merge_p99_ms:.0f} ms",
            _goal(service.merge_p99_ms, MERGE_GOAL_MS, "ms"),
        ),
        _line(
            "delivery p99",
            f"{service.delivery_p99_ms:.0f} ms; without checkpoints "
            f"{service.delivery_p99_without_ms:.0f} ms: {ratio:.2f}x",
            _goal(ratio, DELIVERY_GOAL, ""),
        ),
        _line(
            "one receipt verified",
            f"{service.receipt_ms:.1f} ms with {service.receipt_statements} statements and all documents; "
            f"{bare:.0f} bare verifications",
            _goal(service.receipt_ms, RECEIPT_GOAL_MS, "ms"),
        ),
    ]


def _lies(lies: dict[str, Detection]) -> list[str]:
    lines = ["lies of the coordinator that a node told its people of, and the longest time until then"]
    for name, one in lies.items():
        met = one.found == one.told and one.worst_s <= LIE_GOAL_S
        goal = f"(goal: all, ≤ {LIE_GOAL_S:g} s: {'met' if met else 'MISSED'})"
        lines.append(_line(name, f"{one.found} of {one.told}, {one.worst_s:.0f} s", goal))
    return lines


def _audits(audits: Audits) -> list[str]:
    return [
        f"offline audit of {audits.sample.leaves:,} leaves, a bundle of {audits.bundle_mb:,.0f} MB; "
        "one process, processor seconds",
        _line("read and hash alone", f"{audits.hashing_s:.1f} s"),
        _line("  signatures by sample", *_audit(audits.sample)),
        _line("  all signatures", *_audit(audits.full)),
    ]


def _audit(cost: AuditCost) -> tuple[str, str]:
    at_goal = cost.cpu_s * AUDIT_GOAL_LEAVES / cost.leaves
    share = "" if cost.leaves >= AUDIT_GOAL_LEAVES else f" ({at_goal:.0f} s for a million at this rate)"
    text = f"{cost.cpu_s:.1f} s{share}, {cost.rss_mb:.0f} MB, {cost.signatures:,} signatures verified"
    met = at_goal <= AUDIT_GOAL_S and cost.rss_mb <= AUDIT_GOAL_MB
    goal = f"(goal ≤ {AUDIT_GOAL_S:g} s a million and ≤ {AUDIT_GOAL_MB:g} MB: {'met' if met else 'MISSED'})"
    return text, goal


def _directory(found: Directory) -> list[str]:
    return [
        f"a directory of {found.members} members, {found.documents} documents",
        _line("verifying alone", f"{found.bare_s:.2f} s"),
        _line(
            "mirrored from nothing", f"{found.mirrored_s:.2f} s", _goal(found.mirrored_s, MIRROR_GOAL_S, "s")
        ),
        _line(
            "one document more",
            f"{found.update_ms:.0f} ms, at worst {found.worst_update_ms:.0f} ms",
            _goal(found.update_ms, UPDATE_GOAL_MS, "ms"),
        ),
        _line("memory of the node", f"{found.rss_mb:.0f} MB", _goal(found.rss_mb, NODE_GOAL_MB, "MB")),
    ]


def _line(name: str, value: str, goal: str = "") -> str:
    return f"{name:<24}{value}{f'   {goal}' if goal else ''}"


def _goal(value: float, goal: float, unit: str, *, sign: str = "≤") -> str:
    """Return whether ``value`` is at most ``goal``; of what should be large, hand the goal in first."""
    verdict = "met" if value <= goal else "MISSED"
    shown = value if sign == "≥" else goal
    return f"(goal {sign} {shown:g} {unit}".rstrip() + f": {verdict})"
