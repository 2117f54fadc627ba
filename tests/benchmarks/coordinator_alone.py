"""``python -m tests.benchmarks.coordinator_alone``: what the coordinator alone can carry.

One real coordinator process; several senders push envelopes that were sealed and signed beforehand,
256 in flight in all; three recipients collect each of them and hand in receipts that were signed
beforehand. A W is done when its sender has all three receipts. The floor of the same run is the bare
cost of the signatures that the coordinator had to verify and to make, counted in what it has stored.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import apsw
import asyncpg
import msgpack
import msgspec

from protocol.statement import StatementKind, parse_statement
from tests.benchmarks.crowd import Crowd, cpu_seconds, gather_crowd, memory_mb
from tests.benchmarks.facts import Facts, facts
from tests.benchmarks.lean import ACCEPTED, ATTEST, COLLECTED, DELIVER, REFUSED, Lean, enter, frame
from tests.benchmarks.micro import bare_costs
from tests.benchmarks.presealed import MARK, Envelope, Presealed
from tests.postgres import BINARIES, fresh_database, running

SENDERS = 4
RECIPIENTS = 3
PATIENCE_SECONDS = 300.0
BARE_ROUNDS = 20
GOAL = 3_000.0


class Alone(msgspec.Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        w_per_second: Whole Ws.
        cpu_s_per_1000_w: The coordinator's processor time, seconds.
        bare_s_per_1000_w: Of the signatures it verified and made, called bare in this run.
        driver_s_per_1000_w: The load's own processor time.
        p50_ms: From the request until the third receipt, at this load.
        p99_ms: Likewise.
        signatures_per_w: How many the coordinator made.
        verifications_per_w: How many it checked.
        syncs_per_notice: Calls that flush to the disk, counted by a tracer; None if there is none.
        rss_mb: The most memory that the coordinator had.
    """

    w_per_second: float
    cpu_s_per_1000_w: float
    bare_s_per_1000_w: float
    driver_s_per_1000_w: float
    p50_ms: float
    p99_ms: float
    signatures_per_w: float
    verifications_per_w: float
    syncs_per_notice: float | None
    rss_mb: float


class Sender:
    """Pushes envelopes, so many under way, and waits for the receipts of each.

    Args:
        lean: The session.
        sealed: What is known of all envelopes.
        mine: What to push, in order.
        in_flight: How many at most are under way.
        refills: Whether each that is done lets another begin; else :meth:`begin` alone does.
    """

    def __init__(
        self, lean: Lean, sealed: Presealed, mine: list[Envelope], in_flight: int, *, refills: bool = True
    ) -> None:
        self._refills = refills
        self._lean = lean
        self._sealed = sealed
        self._waiting = iter(mine)
        self._left = len(mine)
        self._window = min(in_flight, lean.window)
        self._begun: dict[int, float] = {}
        self._missing: dict[int, int] = {}
        self._unanswered = 0
        self.seconds: list[float] = []
        self.done = asyncio.Event()
        self._some = asyncio.Event()
        lean.listen(self.heard)

    async def until(self, count: int) -> None:
        """Return once so many Ws are done."""
        while len(self.seconds) < count:
            self._some.clear()
            await self._some.wait()

    def begin(self, more: int) -> None:
        """Send so many further envelopes."""
        out: list[bytes] = []
        for _, one in zip(range(more), self._waiting, strict=False):
            self._begun[one.number] = time.perf_counter()
            self._missing[one.number] = len(self._sealed.recipients)
            out.append(one.frame)
        if out:
            self._lean.write(out)

    def heard(self, messages: list[list[Any]]) -> None:
        """Take receipts; each W that is done lets another begin."""
        last, done = 0, 0
        for message in messages:
            if message[0] == DELIVER:
                last = message[1]
                number = self._sealed.about[message[3][MARK]]
                self._missing[number] -= 1
                if not self._missing[number]:
                    del self._missing[number]
                    self.seconds.append(time.perf_counter() - self._begun.pop(number))
                    done += 1
            elif message[0] == REFUSED:
                raise RuntimeError(f"an envelope was refused: {message}")
        if last:
            self._lean.write([frame(msgpack.packb([COLLECTED, last]))])
        self._left -= done
        self._some.set()
        if self._refills:
            self.begin(done)
        if not self._left:
            self.done.set()


class Recipient:
    """Collects, and hands in the receipt of each envelope."""

    def __init__(self, lean: Lean, sealed: Presealed, code: str) -> None:
        self._lean = lean
        self._sealed = sealed
        self._receipts = sealed.receipt[code]
        self._ref = 0
        self._free = lean.window
        self._queued: list[int] = []
        lean.listen(self.heard)

    def heard(self, messages: list[list[Any]]) -> None:
        """Take envelopes and answers."""
        last = 0
        for message in messages:
            if message[0] == DELIVER:
                last = message[1]
                self._queued.append(self._sealed.number[message[3][MARK]])
            elif message[0] == ACCEPTED:
                self._free += 1
            elif message[0] == REFUSED:
                raise RuntimeError(f"a receipt was refused: {message}")
        now, self._queued = self._queued[: self._free], self._queued[self._free :]
        self._free -= len(now)
        out = []
        for number in now:
            self._ref += 1
            out.append(frame(msgpack.packb([ATTEST, self._ref, self._receipts[number]])))
        if last:
            out.append(frame(msgpack.packb([COLLECTED, last])))
        if out:
            self._lean.write(out)


async def push(crowd: Crowd, sealed: Presealed, in_flight: int) -> tuple[float, list[float]]:
    """Push everything; return the seconds from first to last, and those of each W."""
    senders = tuple(sealed.by_sender)
    lines = {code: await enter(crowd, code) for code in (*senders, *sealed.recipients)}
    try:
        for code in sealed.recipients:
            Recipient(lines[code], sealed, code)
        share = max(1, in_flight // len(senders))
        pushing = [Sender(lines[code], sealed, sealed.by_sender[code], share) for code in senders]
        began = time.perf_counter()
        for sender in pushing:
            sender.begin(share)
        async with asyncio.timeout(PATIENCE_SECONDS):
            waits = {asyncio.ensure_future(sender.done.wait()) for sender in pushing}
            lost = {asyncio.ensure_future(line.lost.wait()) for line in lines.values()}
            while waits:
                ended, _ = await asyncio.wait({*waits, *lost}, return_when=asyncio.FIRST_COMPLETED)
                if ended & lost:
                    raise RuntimeError("the coordinator hung up")
                waits -= ended
            for one in lost:
                one.cancel()
        return time.perf_counter() - began, [s for sender in pushing for s in sender.seconds]
    finally:
        for line in lines.values():
            await line.close()


async def run_once(crowd: Crowd, count: int, in_flight: int, batch: int) -> Alone:
    """Measure one run on the crowd's database as it is."""
    codes = sorted(crowd.members)
    sealed = Presealed(crowd, codes[:SENDERS], codes[SENDERS : SENDERS + RECIPIENTS], count, batch)
    bare = bare_costs(BARE_ROUNDS)
    before_rows = len(await _statements(crowd))
    async with crowd.running() as process:
        before, mine = cpu_seconds(process.pid), time.process_time()
        seconds, latencies = await push(crowd, sealed, in_flight)
        spent, own = cpu_seconds(process.pid) - before, time.process_time() - mine
        rss = memory_mb(process.pid)
    after = bare_costs(BARE_ROUNDS)
    done = _signatures(await _statements(crowd, before_rows), sealed, batch)
    floor = sum(done[name] * (bare[name] + after[name]) / 2 for name in ("sign", "verify"))
    return Alone(
        w_per_second=count / seconds,
        cpu_s_per_1000_w=spent / count * 1000,
        bare_s_per_1000_w=floor / count * 1000,
        driver_s_per_1000_w=own / count * 1000,
        p50_ms=median(latencies) * 1000,
        p99_ms=sorted(latencies)[int(len(latencies) * 0.99)] * 1000,
        signatures_per_w=done["sign"] / count,
        verifications_per_w=done["verify"] / count,
        syncs_per_notice=None,
        rss_mb=rss,
    )


async def syncs(crowd: Crowd, count: int, in_flight: int, batch: int) -> float | None:
    """Return how many calls per accepted notice flush to the disk; None without a tracer.

    A run of its own, because a tracer slows down what it watches.
    """
    tracer = shutil.which("strace")
    if tracer is None:
        return None
    codes = sorted(crowd.members)
    sealed = Presealed(crowd, codes[:SENDERS], codes[SENDERS : SENDERS + RECIPIENTS], count, batch)
    seen = crowd.folder / "syncs.txt"
    flushes = "trace=fsync,fdatasync,sync_file_range,msync"
    async with crowd.running(tracer, "-f", "--seccomp-bpf", "-qq", "-e", flushes, "-o", str(seen)):
        before = len(seen.read_text().splitlines())
        await push(crowd, sealed, in_flight)
        calls = len(re.findall(r"sync\w*\(", "\n".join(seen.read_text().splitlines()[before:])))
    return calls / count


async def _statements(crowd: Crowd, first: int = 0) -> list[bytes]:
    """Return the statements that the coordinator has stored from an index on."""
    address = crowd.settings.get("ALMENARA_STORE")
    if address:
        server = await asyncpg.connect(address)
        try:
            query = "SELECT data FROM statement WHERE idx >= $1"
            return [row["data"] for row in await server.fetch(query, first)]
        finally:
            await server.close()
    store = apsw.Connection(str(crowd.data / "almenara.db"), apsw.SQLITE_OPEN_READONLY)
    try:
        return [data for (data,) in store.execute("SELECT data FROM statement WHERE idx >= ?", (first,))]
    finally:
        store.close()


def _signatures(stored: Sequence[bytes], sealed: Presealed, batch: int) -> Mapping[str, int]:
    """Return how many signatures the coordinator made and checked for what it has stored."""
    made: set[bytes] = set()
    checked: set[bytes] = set()
    for data in stored:
        signed, statement = parse_statement(data)
        own = statement.kind in (StatementKind.RELAYED, StatementKind.DIRECTORY)
        (made if own else checked).add(signed.proof.signature)
    notices = sum(-(-len(mine) // batch) for mine in sealed.by_sender.values())
    return {"sign": len(made), "verify": len(checked) + notices}


def as_text(machine: Facts, runs: list[Alone], flushes: float | None, asked: argparse.Namespace) -> str:
    """Return the report: the median of the runs, and their range."""

    def line(name: str, get: str, unit: str, digits: int = 1) -> str:
        values = [float(getattr(run, get)) for run in runs]
        low, high = min(values), max(values)
        return (
            f"{name:<34}{median(values):>10,.{digits}f} {unit:<4} ({low:,.{digits}f} to {high:,.{digits}f})"
        )

    traced = "not counted" if flushes is None else f"{flushes:.3f}"
    return "\n".join(
        (
            f"{machine.cpu}, {machine.cores} cores, load {machine.load:.1f}; "
            f"{machine.fdatasync_per_second:,.0f} fdatasync/s; {len(runs)} runs of {asked.count} W",
            f"{asked.in_flight} in flight, {SENDERS} senders, {RECIPIENTS} recipients, "
            f"{asked.batch} objects to a signature",
            line("rate (goal 2,000)" if asked.postgres else "rate (goal 3,000)", "w_per_second", "W/s", 0),
            line("processor per 1,000 W", "cpu_s_per_1000_w", "s", 3),
            line("  bare signatures of it", "bare_s_per_1000_w", "s", 3),
            line("  the load driver, not counted", "driver_s_per_1000_w", "s", 3),
            line("latency at this load, p50", "p50_ms", "ms"),
            line("latency at this load, p99", "p99_ms", "ms"),
            line("signatures made per W", "signatures_per_w", "", 3),
            line("signatures verified per W", "verifications_per_w", "", 3),
            line("coordinator's memory", "rss_mb", "MB", 0),
            f"{'sync calls per accepted notice':<34}{traced:>10}",
        )
    )


async def measure(
    folder: Path, asked: argparse.Namespace, store: str = ""
) -> tuple[Facts, list[Alone], float | None]:
    """Found the crowd in an empty folder, and measure all runs."""
    machine = facts(folder)
    crowd = await gather_crowd(folder, SENDERS + RECIPIENTS, store)
    if asked.log_level:
        crowd.settings["ALMENARA_LOG_LEVEL"] = asked.log_level
    runs = [await run_once(crowd, asked.count, asked.in_flight, asked.batch) for _ in range(asked.runs)]
    # A server flushes in processes of its own.
    flushes = None if store else await syncs(crowd, min(asked.count, 1000), 64, asked.batch)
    return machine, runs, flushes


def main() -> None:
    """Parse the command line, measure in a temporary folder, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.coordinator_alone", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--count", type=int, default=5_000, help="notices in a run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64, help="objects that share a signature of a member")
    parser.add_argument("--log-level", default="", help="the coordinator's log level")
    parser.add_argument("--postgres", type=int, choices=sorted(BINARIES), help="the version, if not SQLite")
    parser.add_argument("--folder", type=Path, help="where to measure; a fresh folder is made inside")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="almenara-alone-", dir=asked.folder) as name:
        if asked.postgres is None:
            machine, runs, flushes = asyncio.run(measure(Path(name), asked))
        else:
            with running(asked.postgres) as server:
                store = server.address(asyncio.run(fresh_database(server)))
                machine, runs, flushes = asyncio.run(measure(Path(name), asked, store))
    if asked.json:
        plain = {"machine": machine, "runs": runs, "syncs_per_notice": flushes}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(plain), indent=2).decode() + "\n")
    else:
        sys.stdout.write(as_text(machine, runs, flushes, asked) + "\n")


if __name__ == "__main__":
    main()
