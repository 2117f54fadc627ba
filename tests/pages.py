"""Read the example bytes out of a specification page."""

from __future__ import annotations

import re
from pathlib import Path


def example_bytes(page: Path, name: str) -> bytes:
    """Return the bytes of the block that opens with ```` ```hex name ````.

    On each line, hexadecimal stands left of three or more spaces and right of nothing else.
    """
    block = re.search(rf"^```hex {name}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert block is not None, f"{page.name} has no example {name}"
    return b"".join(bytes.fromhex(re.split(r" {3,}", line.strip())[0]) for line in block[1].splitlines())
