"""Write the example bundle and the ways in which it can be wrong: ``python -m tests.vectors.make_bundle``.

Signatures are randomised, so the bundle is made once and kept; the page ``bundle.md`` shows its list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from protocol.ledger.bundle import LIST_NAME, statements_name
from tests.bundles import lively

HERE = Path(__file__).resolve().parent / "bundle"
GOOD, REFUSED = HERE / "good.json", HERE / "refused.json"
PACK = statements_name(0)
LEAVES = "ack/tile/entries/000.p/13"


def good() -> dict[str, Any]:
    """Return a bundle in which everything happened once."""
    writer, _ = lively()
    files = {name: data.hex() for name, data in sorted(writer.bundle().items())}
    return {"comment": "a bundle that is true", "root_hash": writer.built.id.hex(), "files": files}


def refused(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Return what to change in it, and what must be found; leaf and file where one is to be named."""
    half = len(files[PACK]) // 2
    lines = files["ack/checkpoint"].decode().splitlines(keepends=True)
    return [
        _case("one bit of a statement is another", "statement-differs", leaf=6, flip=[PACK, half]),
        _case("one bit of a leaf is another", "statement-differs", leaf=0, flip=[LEAVES, 20]),
        _case("a file is missing", "missing-file", where=PACK, remove=[PACK]),
        _case("a file is cut", "wrong-size", where=PACK, cut=[PACK, half]),
        _case("a line of the list is missing its end", "list", where=LIST_NAME, cut=[LIST_NAME, -1]),
        _case("a witness's signature is another", "bad-checkpoint", where="ack/checkpoint",
              flip=["ack/checkpoint", len("".join(lines[:8])) - 40]),
        _case("a document is another", "malformed", flip=["dir/documents/002", 3]),
    ]  # fmt: skip


def _case(comment: str, code: str, **more: Any) -> dict[str, Any]:
    return {"comment": comment, "code": code, **more}


def main() -> None:
    """Write both files."""
    HERE.mkdir(exist_ok=True)
    bundle = good()
    GOOD.write_text(json.dumps(bundle, indent=1) + "\n")
    files = {name: bytes.fromhex(data) for name, data in bundle["files"].items()}
    REFUSED.write_text(json.dumps(refused(files), indent=1) + "\n")


if __name__ == "__main__":
    main()
