"""The settings file of a data directory: written by the set-up, edited by people afterwards."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from exchange.setup.files import read_file, write_file

MAX_SETTINGS_BYTES = 64 * 1024


def settings_text(about: str, values: Mapping[str, str | int]) -> bytes:
    """Return a new settings file.

    Args:
        about: One line saying whose it is.
        values: The settings.
    """
    lines = [f"# {about} All settings: almenara config show --origin", *_lines(values)]
    return ("\n".join(lines) + "\n").encode()


def change_setting(path: Path, name: str, value: str) -> None:
    """Set one setting in a file and leave every other line as it is; durable when this returns.

    Raises:
        SetupError: the file cannot be read or written.
    """
    text = read_file(path, MAX_SETTINGS_BYTES, "settings file").decode("utf-8", "replace")
    old = re.compile(rf"\s*{re.escape(name)}\s*=")
    kept = [line for line in text.splitlines() if not old.match(line)]
    write_file(path, ("\n".join([*kept, *_lines({name: value})]) + "\n").encode())


def _lines(values: Mapping[str, str | int]) -> list[str]:
    # A JSON string of these values is a TOML basic string too.
    return [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]
