"""The pinned root hash of a data directory: what all trust starts from, taken from the ceremony."""

from __future__ import annotations

from pathlib import Path

from protocol.errors import FormatError, SetupError
from protocol.text import parse_hex

ROOT_HASH_FILE = "root-hash"


def read_pinned_root(data: Path) -> bytes:
    """Return the 32-byte hash of the community's first root document.

    Args:
        data: The data directory of a node or coordinator.

    Raises:
        SetupError: the file is missing or is not 64 hexadecimal digits.
    """
    path = data / ROOT_HASH_FILE
    try:
        return parse_hex(path.read_text("ascii").strip(), what="root hash", size=32)
    except (OSError, ValueError, FormatError) as error:
        raise SetupError(
            f"{path} does not hold the root hash of a community",
            hint="Restore it from the record of the ceremony; never take it from the network.",
        ) from error
