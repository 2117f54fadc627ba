"""Attachments on disk: under names that a sender cannot abuse, and never over another file."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from exchange.node.views import AttachmentView
from exchange.safe import safe_line
from protocol.errors import SetupError, Tampered
from protocol.text import parse_base64

MAX_NAME_BYTES = 120
_UNFIT = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f{}$`;&!\']+')
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
_TRIES = 1000


def save(files: Sequence[AttachmentView], folder: Path) -> list[Path]:
    """Write attachments into a folder, made private if it is new; return where they are.

    Raises:
        Tampered: a file's bytes do not match its hash.
        SetupError: the folder or a file cannot be written.
    """
    checked = [(safe_name(file.name), _content(file)) for file in files]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return [_write(folder, name, content) for name, content in checked]
    except OSError as error:
        raise SetupError(
            f"attachments cannot be written to {folder}: {error.strerror}",
            hint="Choose another folder with --save-attachments.",
        ) from error


def safe_name(name: str) -> str:
    """Return a plain file name: no path, no hidden file, no device, nothing invisible, not long."""
    plain = _UNFIT.sub("_", safe_line(name.replace("\\", "/").rsplit("/", 1)[-1]))
    plain = plain.strip(" ._-~") or "attachment"
    if _DEVICES.fullmatch(plain):
        plain = f"_{plain}"
    stem, suffix = PurePosixPath(plain).stem, PurePosixPath(plain).suffix[:20]
    room = MAX_NAME_BYTES - len(suffix.encode())
    return stem.encode()[:room].decode("utf-8", "ignore") + suffix


def _content(file: AttachmentView) -> bytes:
    data = parse_base64(file.content or "", what="attachment")
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise Tampered(f"the attachment {safe_line(file.name)} does not match its hash")
    return data


def _write(folder: Path, name: str, content: bytes) -> Path:
    """Write under the name, or under the next free one; the kernel decides what is free."""
    stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix
    for number in range(1, _TRIES):
        path = folder / (name if number == 1 else f"{stem} ({number}){suffix}")
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        return path
    raise SetupError(f"{folder} is full of files called {name}", hint="Choose an empty folder.")
