"""Whole Ws over real processes: rate, latency, processor time, memory and disk.

Bare cryptography of one W, if every signature were made alone:

====================  ====  ======  ====  ======  ====  ====
who                   sign  verify  wrap  unwrap  seal  open
====================  ====  ======  ====  ======  ====  ====
sender, notice           1               3               1
coordinator, notice      1       1
sender, RELAYED                  1
recipients, notice               3               3             3
recipients, RECEIVED     3
coordinator                      3
sender, RECEIVED                 3
====================  ====  ======  ====  ======  ====  ====

Under load notices and statements share signatures, and whoever has verified one root does not verify it
again; so what was really done is counted from the signatures that the coordinator has stored. What goes
beyond the bare cryptography is counted against what was really done: sharing is no merit of the rest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import apsw
import msgspec

from protocol import codec
from protocol.signed import Proof
from protocol.statement import StatementKind, parse_statement
from tests.benchmarks import syncs
from tests.benchmarks.driver import Driver, driving
from tests.benchmarks.micro import bare_costs
from tests.benchmarks.processes import CLOCK, RECIPIENTS, Stage, found

RUNS = 3
IN_FLIGHT = 256
BARE_ROUNDS = 20
STORED_GOAL = 10_000
MAX_PROOF_BYTES = 4096
CORES = len(os.sched_getaffinity(0))

Counts = Mapping[str, float]
ALONE: Counts = {"sign": 5, "verify": 11, "wrap": 3, "unwrap": 3, "seal": 1, "open": 3}


class EndToEnd(msgspec.Struct, frozen=True, kw_only=True):
    """Medians of the runs; times per 1,000 W are seconds of processor time."""

    runs: int
    w_per_second: float
    bare_allows_per_second: float
    p50_ms: float
    p99_ms: float
    ranges: dict[str, tuple[float, float]]
    half_per_second: float
    half_p50_ms: float
    half_p99_ms: float
    syncs_per_notice: dict[str, float] | None
    cpu_s_per_1000_w: float
    cpu_s_per_1000_w_by_process: dict[str, float]
    cpu_s_per_1000_w_one_in_flight: float
    driver_cpu_s_per_1000_w: float
    bare_crypto_s_per_1000_w: float
    bare_crypto_done_s_per_1000_w: float
    beyond_bare_s_per_1000_w: float
    beyond_bare_done_s_per_1000_w: float
    signatures_done_per_w: float
    verifications_done_per_w: float
    coordinator_rss_mb: float
    stored_notices: int
    bytes_on_disk_per_w: float


@dataclass(frozen=True)
class Plan:
    """How many Ws: one at a time and in a burst in each run, and in all before memory is read; at half of
    the maximum; and under a tracer."""

    alone: int
    burst: int
    stored: int
    half: int = 300
    traced: int = 256


@dataclass(frozen=True)
class _Burst:
    seconds: float
    count: int
    cpu: Mapping[str, float]
    driver: float
    window_ms: tuple[int, int]
    bare: Mapping[str, float]


async def measure(folder: Path, plan: Plan) -> EndToEnd:
    """Set a community up in an empty folder, run the plan on it, and return what it cost."""
    stage = await found(folder)
    empty = stage.bytes_on_disk()
    latencies: list[list[float]] = []
    alone: list[float] = []
    bursts: list[_Burst] = []
    async with stage.running(), driving(stage) as driver:
        for _ in range(RUNS):
            before = stage.cpu_seconds()
            latencies.append(sorted([await driver.one() for _ in range(plan.alone)]))
            alone.append(sum(_since(stage, before).values()) / plan.alone * 1000)
            bursts.append(await _burst(stage, driver, plan.burst))
        stored = 1 + RUNS * (plan.alone + plan.burst)
        if stored < plan.stored:
            await driver.many(plan.stored - stored, IN_FLIGHT)
            stored = plan.stored
        rss = stage.coordinator_rss_mb()
        half_rate = median(burst.count / burst.seconds for burst in bursts) / 2
        half = sorted(await driver.paced(half_rate, plan.half))
        counted = await syncs.count(stage, driver, plan.traced)
        stored += plan.half + plan.traced
    done = [_done(stage.coordinator_database, burst) for burst in bursts]
    cpu = [sum(burst.cpu.values()) / burst.count * 1000 for burst in bursts]
    bare = [_seconds(ALONE, burst.bare) * 1000 for burst in bursts]
    bare_done = [_seconds(one, burst.bare) * 1000 for one, burst in zip(done, bursts, strict=True)]
    rates = [burst.count / burst.seconds for burst in bursts]
    p50s, p99s = ([_at(one, share) * 1000 for one in latencies] for share in (0.5, 0.99))
    beyond = [a - b for a, b in zip(cpu, bare_done, strict=True)]
    return EndToEnd(
        runs=RUNS,
        w_per_second=median(rates),
        bare_allows_per_second=CORES * 1000 / median(bare_done),
        p50_ms=median(p50s),
        p99_ms=median(p99s),
        ranges={
            name: (min(values), max(values))
            for name, values in (
                ("w_per_second", rates),
                ("p50_ms", p50s),
                ("p99_ms", p99s),
                ("cpu_s_per_1000_w", cpu),
                ("beyond_bare_done_s_per_1000_w", beyond),
                ("bare_crypto_done_s_per_1000_w", bare_done),
            )
        },
        half_per_second=half_rate,
        half_p50_ms=_at(half, 0.5) * 1000,
        half_p99_ms=_at(half, 0.99) * 1000,
        syncs_per_notice=None if counted is None else dict(counted),
        cpu_s_per_1000_w=median(cpu),
        cpu_s_per_1000_w_by_process={
            name: median(burst.cpu[name] / burst.count * 1000 for burst in bursts) for name in bursts[0].cpu
        },
        cpu_s_per_1000_w_one_in_flight=median(alone),
        driver_cpu_s_per_1000_w=median(burst.driver / burst.count * 1000 for burst in bursts),
        bare_crypto_s_per_1000_w=median(bare),
        bare_crypto_done_s_per_1000_w=median(bare_done),
        beyond_bare_s_per_1000_w=median(a - b for a, b in zip(cpu, bare, strict=True)),
        beyond_bare_done_s_per_1000_w=median(beyond),
        signatures_done_per_w=median(one["sign"] for one in done),
        verifications_done_per_w=median(one["verify"] for one in done),
        coordinator_rss_mb=rss,
        stored_notices=stored,
        bytes_on_disk_per_w=(stage.bytes_on_disk() - empty) / stored,
    )


async def _burst(stage: Stage, driver: Driver, count: int) -> _Burst:
    before_bare = bare_costs(BARE_ROUNDS)
    began_ms, before, mine, started = (
        CLOCK.now_ms(),
        stage.cpu_seconds(),
        time.process_time(),
        time.perf_counter(),
    )
    await driver.many(count, IN_FLIGHT)
    seconds, spent = time.perf_counter() - started, time.process_time() - mine
    cpu, window_ms = _since(stage, before), (began_ms, CLOCK.now_ms())
    after_bare = bare_costs(BARE_ROUNDS)
    bare = {name: (before_bare[name] + after_bare[name]) / 2 for name in before_bare}
    return _Burst(seconds, count, cpu, spent, window_ms, bare)


def _since(stage: Stage, before: Mapping[str, float]) -> dict[str, float]:
    return {name: now - before[name] for name, now in stage.cpu_seconds().items()}


def _done(database: Path, burst: _Burst) -> Counts:
    """Return the operations per W that a burst really took, from the distinct signatures stored."""
    signatures: dict[StatementKind, set[bytes]] = {}
    store = apsw.Connection(str(database), apsw.SQLITE_OPEN_READONLY)
    query = "SELECT data FROM statement WHERE received_ms BETWEEN ? AND ?"
    for (data,) in store.execute(query, burst.window_ms):
        signed, statement = parse_statement(data)
        signatures.setdefault(statement.kind, set()).add(signed.proof.signature)
    query = "SELECT proof FROM envelope WHERE received_ms BETWEEN ? AND ?"
    proofs = (
        codec.decode(data, Proof, limit=MAX_PROOF_BYTES, what="proof")
        for (data,) in store.execute(query, burst.window_ms)
    )
    notices = len({proof.signature for proof in proofs}) / burst.count
    store.close()
    relayed = len(signatures[StatementKind.RELAYED]) / burst.count
    received = len(signatures[StatementKind.RECEIVED]) / burst.count
    return {
        **ALONE,
        "sign": notices + relayed + received,
        # The coordinator and each recipient verify a notice, the sender and the coordinator a receipt.
        "verify": (1 + len(RECIPIENTS)) * notices + relayed + 2 * received,
    }


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[int(len(ordered) * share)]


def _seconds(counts: Counts, bare: Mapping[str, float]) -> float:
    return sum(counts[name] * bare[name] for name in counts)
