"""The root hash that an auditor or member gives a command: without it nothing can be believed."""

from __future__ import annotations

from pathlib import Path

import click

from protocol.errors import BadRequest

MAX_ROOT_HASH_FILE = 1024

root_hash_option = click.option(
    "--root-hash",
    metavar="HEX|FILE",
    envvar="ALMENARA_ROOT_HASH",
    help="The community's root hash from the ceremony, or a file that holds it.",
)


def pinned_root(text: str | None) -> bytes:
    """Return the root hash that somebody gave, as digits or as a file that holds them.

    Raises:
        BadRequest: none was given, or it is none.
    """
    from exchange.setup import words
    from exchange.setup.files import read_file

    if text is None:
        raise BadRequest(
            "no root hash is given, and without it nothing can be believed",
            hint="Take it from the record of the ceremony: --root-hash HEX, --root-hash FILE, or "
            "ALMENARA_ROOT_HASH. Never take it from the bundle.",
        )
    if len(text) < 256 and Path(text).is_file():
        text = read_file(Path(text), MAX_ROOT_HASH_FILE, "root hash").decode("ascii", "replace")
        return words.root_hash(text)
    try:
        return words.root_hash(text)
    except BadRequest as error:
        message = f"{error.message}, and there is no file of this name"
        raise BadRequest(message, hint=error.hint) from error
