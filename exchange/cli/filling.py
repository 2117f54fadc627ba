"""Commands that messages tell people to type, with what is known here filled in.

Whoever writes a message knows which command helps, and not where things lie on this machine: it writes
``--data DIR --identity FILE --token-file TOKEN --in DIR``. What was given to the command that prints the
message stands there instead, so that the line can be typed as it is; what is not known stays in capitals.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PLACES = {
    "data": "--data DIR",
    "identity": "--identity FILE",
    "token_file": "--token-file TOKEN",
    "folder": "--in DIR",
}
"""How a message writes what an option of that name says."""


def known(given: Mapping[str, object]) -> dict[str, str]:
    """Return what can be filled in, by the words that messages use for it.

    Args:
        given: A command's options by name, such as ``data``, as they were given.
    """
    found = {name: str(given[name]) for name in PLACES if given.get(name) is not None}
    if "data" in given and "data" not in found and os.environ.get("ALMENARA_DATA"):
        found["data"] = os.environ["ALMENARA_DATA"]
    if "data" in found and "token_file" not in found:
        token = os.environ.get("ALMENARA_TOKEN_FILE") or _waiting_token(Path(found["data"]))
        found |= {"token_file": token} if token else {}
    return {
        words: f"{words.rsplit(' ', 1)[0]} {shlex.quote(found[name])}"
        for name, words in PLACES.items()
        if name in found
    }


def filled(text: str, names: Mapping[str, str]) -> str:
    """Return a message with what is known in its places."""
    for words, whole in names.items():
        text = text.replace(words, whole)
    return text


@contextmanager
def filling(given: Mapping[str, object]) -> Iterator[Mapping[str, str]]:
    """Give what messages are filled in with; the next step of an error that comes out is filled in too.

    Args:
        given: As for :func:`known`.
    """
    from protocol.errors import AlmenaraError

    names = known(given)
    try:
        yield names
    except AlmenaraError as error:
        error.hint = filled(error.hint, names)
        raise


def _waiting_token(data: Path) -> str | None:
    """Return the file of an officer's token that was not handed over yet, if there is one."""
    waiting = sorted((data / "tokens").glob("officer-*.token"))
    return str(waiting[0]) if waiting else None
