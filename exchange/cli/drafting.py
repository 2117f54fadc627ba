"""A notice from files and flags: read, bounded and typed before anything is asked of the node."""

from __future__ import annotations

import mimetypes
import sys
from collections.abc import Sequence
from pathlib import Path

from exchange.node.requests import AttachmentRequest
from protocol.errors import BadRequest, TooLarge
from protocol.notice import MAX_ATTACHED_BYTES, MAX_ATTACHMENTS, MAX_TEXT_BYTES
from protocol.text import format_base64

# The built-in table alone: what a file is called must not depend on the machine.
_TYPES = mimetypes.MimeTypes(())


def read_report(name: str) -> str:
    """Return the text of a file, or of standard input for ``-``, with plain line ends.

    Raises:
        BadRequest: it cannot be read, is not UTF-8 text, or is empty.
        TooLarge: it is over the limit for a notice's text.
    """
    data = sys.stdin.buffer.read(MAX_TEXT_BYTES + 1) if name == "-" else _read(Path(name), MAX_TEXT_BYTES)
    if len(data) > MAX_TEXT_BYTES:
        raise TooLarge(
            f"the report is over {MAX_TEXT_BYTES} bytes", hint="Shorten it, or attach the details as a file."
        )
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise BadRequest(
            f"the report {name} is not UTF-8 text", hint="Save it as UTF-8, or attach it with --attach."
        ) from error
    if not text.strip():
        raise BadRequest(f"the report {name} is empty", hint="Write at least one sentence; nothing was sent.")
    return text


def read_attachments(names: Sequence[str]) -> tuple[AttachmentRequest, ...]:
    """Return the files to attach, under their own names.

    Raises:
        BadRequest: one cannot be read, or two have one name.
        TooLarge: there are too many, or they are too large together.
    """
    if len(names) > MAX_ATTACHMENTS:
        raise TooLarge(f"{len(names)} attachments are more than {MAX_ATTACHMENTS}")
    room = MAX_ATTACHED_BYTES
    files: dict[str, AttachmentRequest] = {}
    for path in map(Path, names):
        content = _read(path, room)
        room -= len(content)
        if room < 0:
            raise TooLarge(
                f"the attachments are over {MAX_ATTACHED_BYTES} bytes together",
                hint="Compress them, or send them in several notices with --refers-to.",
            )
        if path.name in files:
            raise BadRequest(f"two attachments are called {path.name}", hint="Rename one of them.")
        kind = _TYPES.guess_type(path.name)[0] or "application/octet-stream"
        files[path.name] = AttachmentRequest(name=path.name, media_type=kind, content=format_base64(content))
    return tuple(files.values())


def _read(path: Path, room: int) -> bytes:
    """Return a file's bytes, at most one more than there is room for."""
    try:
        with path.open("rb") as file:
            return file.read(room + 1)
    except OSError as error:
        raise BadRequest(
            f"{path} cannot be read: {error.strerror}", hint="Check the path; nothing was sent."
        ) from error
