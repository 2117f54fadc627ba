"""One audit in a process of its own: ``python -m tests.benchmarks.auditor MODE BUNDLE ROOT-HASH``.

MODE is ``all``, the number of a sample, or ``hash``: only read and hash, which no audit can go below.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from exchange.audit.folder import Folder
from exchange.audit.verify.bundle import Options, verify_bundle
from tests.memory import peak_kib


def main(mode: str, bundle: Path, root: str) -> None:
    """Audit, or only hash, and print one JSON object."""
    told: dict[str, object] = {}
    if mode == "hash":
        for path in bundle.rglob("*"):
            if path.is_file():
                hashlib.sha256(path.read_bytes()).digest()
    else:
        options = Options(sample=None if mode == "all" else int(mode))
        verdict = verify_bundle(Folder(bundle), bytes.fromhex(root), options)
        signatures = verdict.signatures
        told = {
            "verdict": verdict.verdict.value,
            "leaves": verdict.range.leaves if verdict.range else 0,
            "signatures": signatures.statements_checked + signatures.notices_checked if signatures else 0,
        }
    told["rss_kb"] = peak_kib()
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
