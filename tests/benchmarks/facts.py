"""What machine the figures come from: without it, no figure means anything to anybody else."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import apsw
import msgspec
from cryptography.hazmat.backends.openssl import backend

FLUSH_SECONDS = 1.0
FLUSH_BYTES = 4096


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """One machine at one moment; ``load`` is the load average before the first measurement."""

    cpu: str
    cores: int
    kernel: str
    python: str
    openssl: str
    sqlite: str
    load: float
    fdatasync_per_second: float


def facts(folder: Path) -> Facts:
    """Return this machine's facts, with the cost of a flush measured in ``folder``."""
    return Facts(
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        kernel=platform.release(),
        python=platform.python_version(),
        openssl=backend.openssl_version_text(),
        sqlite=apsw.sqlite_lib_version(),
        load=os.getloadavg()[0],
        fdatasync_per_second=_flushes(folder / "flushes"),
    )


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _flushes(path: Path) -> float:
    """Return how many appends of 4 KiB per second reach the disk, one after the other."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < FLUSH_SECONDS:
            os.write(descriptor, bytes(FLUSH_BYTES))
            os.fdatasync(descriptor)
            count += 1
        return count / (time.perf_counter() - started)
    finally:
        os.close(descriptor)
        path.unlink()
