"""What people compare before anybody is admitted: fingerprints, and a request seen again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from exchange.cli.command import Command
from exchange.cli.local import FILE, FOLDER, Local, data_option, local, settings_of

if TYPE_CHECKING:
    from exchange.setup.requests import Asked

F = TypeVar("F", bound=Callable[..., Any])


def comparing_options(function: F) -> F:
    """Add ``--compare`` and ``--qr``."""
    compare = click.option(
        "--compare", "heard", metavar="TEXT", help="What you heard or scanned, digits or words, in quotes."
    )
    return compare(click.option("--qr", is_flag=True, help="Draw it as a QR code too.")(function))


@click.command(
    "request",
    cls=Command,
    examples=(
        "almenara node request --data XAA",
        "almenara node request --data XAA -o /media/stick/request-xaa.alm --qr",
    ),
)
@data_option
@click.option("-o", "--out", type=FILE, metavar="FILE", help="Copy the request there, to be sent.")
@click.option("--qr", is_flag=True, help="Draw the fingerprint as a QR code too.")
@local
def request(console: Local, data: str | None, out: Path | None, qr: bool) -> None:
    """Show this node's request again: what it asks for, its fingerprint, and where the file is."""
    from exchange import fingerprints
    from exchange.settings import NodeSettings
    from exchange.setup.files import REQUEST_FILE, write_file
    from exchange.setup.joining import own_request
    from exchange.setup.requests import asked
    from protocol import codec

    folder = settings_of(NodeSettings, data=data).data
    own = own_request(folder)
    found = asked(own)
    path = folder / REQUEST_FILE
    if out is not None:
        write_file(out, codec.encode(own))
        path = out
    console.show(
        _request_fields(found) | {"request": str(path)} | fingerprints.fields(found.key_id),
        *_request_lines(found),
        "Its fingerprint, to be read out to two members over two channels, one of them in person:",
        *fingerprints.lines(found.key_id),
        f"The request is the file {path}; nothing in it is secret.",
        "Next: send it to governance by mail or on a stick. When community.alm comes back:"
        f" almenara node join --data {folder} community.alm",
    )
    if qr:
        console.draw(fingerprints.qr(found.key_id))


@click.command(
    "fingerprint",
    cls=Command,
    examples=(
        "almenara node fingerprint --data XAA --qr",
        'almenara node fingerprint --request request.alm --compare "acrobat zorro ..."',
        'almenara node fingerprint --data XAA --root --compare "0123abcd ..."',
    ),
)
@data_option
@click.option("--request", "file", type=FILE, metavar="FILE", help="Of this request, not of a node here.")
@click.option("--root", is_flag=True, help="Of the community's root that is pinned here.")
@comparing_options
@local
def fingerprint(
    console: Local, data: str | None, file: Path | None, root: bool, heard: str | None, qr: bool
) -> None:
    """Show a fingerprint to be read aloud, or compare it with what you heard."""
    from exchange.pinned_root import read_pinned_root
    from exchange.settings import NodeSettings
    from exchange.setup.joining import own_request
    from exchange.setup.requests import asked, read_request

    if root:
        if file is not None:
            raise click.UsageError("--root is about a data directory, --request about a file: choose one")
        folder = settings_of(NodeSettings, data=data).data
        show_fingerprint(console, read_pinned_root(folder), "the root hash pinned here", heard, qr=qr)
        return
    request = (
        read_request(file) if file is not None else own_request(settings_of(NodeSettings, data=data).data)
    )
    found = asked(request)
    show_fingerprint(console, found.key_id, f"the key of {found.code}, {found.name}", heard, qr=qr)


@click.command(
    "fingerprint",
    cls=Command,
    examples=(
        "almenara governance fingerprint --in governance --qr",
        "almenara governance fingerprint --request XAA/request.alm",
        'almenara governance fingerprint --request XAA/request.alm --compare "acrobat zorro ..."',
    ),
)
@click.option("--in", "folder", type=FOLDER, metavar="DIR", help="Of the root of the community in here.")
@click.option("--request", "file", type=FILE, metavar="FILE", help="Of the key in this request.")
@comparing_options
@local
def governance_fingerprint(
    console: Local, folder: Path | None, file: Path | None, heard: str | None, qr: bool
) -> None:
    """Show the fingerprint of the root or of a request's key, or compare it with what you heard."""
    from exchange.pinned_root import ROOT_HASH_FILE
    from exchange.setup import words
    from exchange.setup.files import read_file
    from exchange.setup.requests import asked, read_request

    if (folder is None) == (file is None):
        raise click.UsageError("name one: --in DIR for the root hash, or --request FILE for a request's key")
    if folder is not None:
        text = read_file(folder / ROOT_HASH_FILE, 1024, "root hash").decode("ascii", "replace")
        show_fingerprint(console, words.root_hash(text), "the root hash of this community", heard, qr=qr)
    elif file is not None:
        found = asked(read_request(file))
        show_fingerprint(console, found.key_id, f"the key of {found.code}, {found.name}", heard, qr=qr)


def show_fingerprint(console: Local, digest: bytes, whose: str, heard: str | None, *, qr: bool) -> None:
    """Show a fingerprint, or say that what was heard is the same.

    Raises:
        BadRequest: what was heard is too little to compare.
        UnknownSigner: it differs; the message names the parts.
    """
    from exchange import fingerprints

    if heard is not None:
        fingerprints.require_same(digest, heard, whose)
        console.show(
            fingerprints.fields(digest) | {"of": whose, "same": True},
            f"The same: this is {whose}.",
            "Next: compare it over a second channel too, then go on.",
        )
        return
    console.show(
        fingerprints.fields(digest) | {"of": whose},
        f"This is {whose}:",
        *fingerprints.lines(digest),
        "Read it aloud, digits or words; two lines of words are enough. The other side types what it"
        " hears behind --compare.",
    )
    if qr:
        console.draw(fingerprints.qr(digest))


def _request_fields(found: Asked) -> dict[str, object]:
    return {
        "kind": found.kind,
        "code": found.code,
        "name": found.name,
        "community": found.community.hex(),
        "contents": list(found.contents),
    }


def _request_lines(found: Asked) -> list[str]:
    from protocol.fingerprint import groups

    return [
        f"{found.code}, {found.name}, asks to be admitted as a {found.kind}.",
        f"Community (root hash): {groups(found.community)}",
        "In the request:",
        *(f"  {line}" for line in found.contents),
    ]
