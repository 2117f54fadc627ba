"""How a node's key files are called: ``node.key``, then ``node-2.key`` and so on, one for each rotation."""

from __future__ import annotations

import re
from pathlib import Path


def key_files(folder: Path, what: str, ending: str = ".key") -> tuple[Path, ...]:
    """Return the files of one kind in the order in which they were made: the first is always named.

    Args:
        folder: The folder of key files.
        what: The first one's name without its ending, such as ``node``; later ones are ``node-2``...
        ending: Their ending.
    """
    later = {
        int(found[1]): path
        for path in folder.glob(f"{what}-*{ending}")
        if (found := re.fullmatch(rf"{what}-([1-9][0-9]{{0,5}}){re.escape(ending)}", path.name))
    }
    return (folder / f"{what}{ending}", *(later[number] for number in sorted(later)))


def next_key_file(folder: Path, what: str, ending: str = ".key") -> Path:
    """Return the name for one more key file: a number that none of them has had while they are here."""
    name = key_files(folder, what, ending)[-1].name.removesuffix(ending).removeprefix(what)
    return folder / f"{what}-{int(name.removeprefix('-') or 1) + 1}{ending}"
