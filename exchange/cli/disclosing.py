"""``almenara disclose``: open one notice for an auditor, with the key that proves what was written."""

from __future__ import annotations

import os
from pathlib import Path

import click

from exchange.cli.client import notice_path
from exchange.cli.command import Command, Common, common
from exchange.node.views import DisclosureView
from protocol.errors import SetupError
from protocol.text import parse_base64


@click.command(
    cls=Command,
    examples=(
        "almenara disclose 3f2a9c1e -o notice.disclosure",
        "almenara audit verify bundle/ --root-hash root-hash --disclosure notice.disclosure  # the auditor",
    ),
)
@click.argument("id")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A new file, as secret as the notice itself.",
)
@common
def disclose(common: Common, id: str, output: Path) -> None:
    """Write a file with which an auditor can read one notice, and prove who wrote exactly what.

    It opens this notice and no other. That it was made, and by whom, stays in the node's events. Hand
    it over on a channel that the notice's TLP allows, and delete it here.
    """
    if output.exists():
        raise SetupError(f"{output} exists already", hint="Choose another name with -o.")
    view = common.node().ask("POST", notice_path(id, "/disclose"), DisclosureView)
    _write(output, parse_base64(view.disclosure, what="disclosure"))
    if common.out.as_json:
        common.out.result({"id": view.id, "file": str(output)}, lambda _: None)
    else:
        common.out.message(f"saved {output}: it opens notice {view.id[:12]} for whoever has it")


def _write(path: Path, data: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError as error:
        raise SetupError(
            f"the disclosure cannot be written to {path}: {error.strerror}",
            hint="Choose another place with -o; to make the file again is safe.",
        ) from error
