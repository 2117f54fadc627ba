"""What evidence costs: audits of large bundles, one receipt, the way of a statement into the ledger.

The audit runs as ``python -m tests.benchmarks.auditor`` in a process of its own, so that its memory and
processor time are its alone.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import apsw
import msgspec

from keys.receipt import verify_receipt
from keys.signer import Verifier
from tests.benchmarks.bigledger import BigLedger
from tests.benchmarks.driver import Driver, driving
from tests.benchmarks.micro import bare_costs
from tests.benchmarks.processes import HUB, found

RUNS = 3
SAMPLE = 1000
RECEIPT_ROUNDS = 15
PER_SECOND = 50.0
"""Ws: each makes four statements, so that the ledger gets 200 a second."""
STATEMENTS_PER_W = 4
NO_CHECKPOINTS_S = 3600.0


class AuditCost(msgspec.Struct, frozen=True, kw_only=True):
    """One audit: processor seconds of the whole process, and the most memory it had, in MB (10^6 bytes)."""

    leaves: int
    signatures: int
    cpu_s: float
    rss_mb: float


class Audits(msgspec.Struct, frozen=True, kw_only=True):
    """One bundle audited twice, and the processor seconds that only reading and hashing it takes."""

    sample: AuditCost
    full: AuditCost
    hashing_s: float
    bundle_mb: float


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """Under a steady load; medians over the runs, with and without checkpoints in turns."""

    receipt_ms: float
    receipt_bare_ms: float
    receipt_statements: int
    statements_per_second: float
    merge_p50_ms: float
    merge_p99_ms: float
    delivery_p99_ms: float
    delivery_p99_without_ms: float


def measure_audits(folder: Path, leaves: int) -> Audits:
    """Make a bundle of so many leaves; audit it with a sample of signatures and with all of them."""
    bundle = folder / "bundle"
    ledger = BigLedger(folder=bundle)
    ledger.fill(leaves)
    root = ledger.built.id.hex()
    size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    hashing, _ = _run("hash", bundle, root)
    sample, full = (_audited(bundle, root, mode) for mode in (str(SAMPLE), "all"))
    return Audits(sample=sample, full=full, hashing_s=hashing, bundle_mb=size / 1e6)


async def measure_service(folder: Path, seconds: float) -> Service:
    """Load a real community at a steady rate for so many seconds a run, with and without checkpoints."""
    stage = await found(folder)
    merges: list[float] = []
    delivery: dict[bool, list[float]] = {True: [], False: []}
    count = int(PER_SECOND * seconds)
    receipts: list[bytes] = []
    for _ in range(RUNS):
        for checkpoints in (True, False):
            stage.environment = {"ALMENARA_LOG_LEVEL": "debug"}
            if not checkpoints:
                stage.environment["ALMENARA_CHECKPOINT_S"] = str(NO_CHECKPOINTS_S)
            log = stage.log_of(HUB)
            began = log.stat().st_size if log.exists() else 0
            async with stage.running(), driving(stage) as driver:
                latencies = await driver.paced(PER_SECOND, count)
                if checkpoints:
                    receipts.append(await _receipt(driver))
            delivery[checkpoints].append(_percentile(latencies, 0.99) * 1000)
            if checkpoints:
                merges += list(_merge_delays(log.read_bytes()[began:], stage.coordinator_database))
    receipt_ms, statements = _receipt_cost(receipts[-1])
    bare = bare_costs(RECEIPT_ROUNDS)
    return Service(
        receipt_ms=receipt_ms,
        receipt_bare_ms=bare["verify"] * 1000,
        receipt_statements=statements,
        statements_per_second=PER_SECOND * STATEMENTS_PER_W,
        merge_p50_ms=median(merges),
        merge_p99_ms=_percentile(merges, 0.99),
        delivery_p99_ms=median(delivery[True]),
        delivery_p99_without_ms=median(delivery[False]),
    )


def _audited(bundle: Path, root: str, mode: str) -> AuditCost:
    seconds, told = _run(mode, bundle, root)
    if told["verdict"] != "ok":
        raise RuntimeError(f"the benchmark's bundle is not what it should be: {told}")
    return AuditCost(
        leaves=told["leaves"],
        signatures=told["signatures"],
        cpu_s=seconds,
        rss_mb=told["rss_kb"] * 1024 / 1e6,
    )


def _run(mode: str, bundle: Path, root: str) -> tuple[float, dict[str, Any]]:
    """Run one audit in a process of its own; return its processor time, and what it told."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [sys.executable, "-m", "tests.benchmarks.auditor", mode, str(bundle), root]
    ended = subprocess.run(words, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, json.loads(ended.stdout)


async def _receipt(driver: Driver) -> bytes:
    """Return the receipt of a notice of which everything is witnessed."""
    while True:
        told = await driver.proof()
        if told["statements"] == STATEMENTS_PER_W and not told["pending"]:
            return str(told["receipt"]).encode()


def _receipt_cost(receipt: bytes) -> tuple[float, int]:
    """Return the median milliseconds to verify a receipt from nothing, and how many statements it has."""
    community = next(line[10:] for line in receipt.decode().splitlines() if line.startswith("community "))
    root = bytes.fromhex(community)
    times = []
    for _ in range(RECEIPT_ROUNDS):
        began = time.process_time()
        verified = verify_receipt(receipt, root, Verifier())
        times.append((time.process_time() - began) * 1000)
    return median(times), len(verified.statements)


def _merge_delays(log: bytes, database: Path) -> Iterator[float]:
    """Yield, for each statement, how long it took from recorded to published, in milliseconds."""
    published = [
        (event["size"], _millis(event["time"]))
        for event in map(json.loads, log.splitlines())
        if event["event"] == "ledger.published" and event["log"] == "ack"
    ]
    store = apsw.Connection(str(database), apsw.SQLITE_OPEN_READONLY)
    rows = dict(store.execute("SELECT idx, received_ms FROM statement"))
    store.close()
    before = published[0][0]
    # The first checkpoint after a start waits for a witness to say that no backup was restored.
    for size, at_ms in published[1:]:
        yield from (at_ms - rows[index] for index in range(before, size))
        before = size


def _millis(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() * 1000


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]
