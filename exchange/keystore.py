"""Secret files on disk: written whole or not at all, read only if nobody else could.

This moves text. What the text means (key, token, passphrase) is another module's business.
"""

from __future__ import annotations

import errno
import os
import secrets
import shlex
import stat
from pathlib import Path

from protocol.errors import KeyfileError, KeyfileUnsafe

LARGEST_FILE = 256 * 1024
KEY_FILE = "key file"
TOKEN_FILE = "token file"  # noqa: S105  (a noun for messages)
PASSPHRASE_FILE = "passphrase file"  # noqa: S105  (likewise)
PIN_FILE = "PIN file"
_HINTS = {
    TOKEN_FILE: "Name your token's file with --token-file FILE or ALMENARA_TOKEN_FILE; "
    "if it is lost, ask the administrator for a new one.",
    PASSPHRASE_FILE: "Check the path given with --passphrase-file FILE or ALMENARA_PASSPHRASE_FILE.",
    PIN_FILE: "Check the path given with --pin-file FILE or ALMENARA_PIN_FILE.",
}


def read_secret(path: Path, what: str = KEY_FILE) -> str:
    """Return the text of a secret file.

    Args:
        path: A regular file of this user with mode 0600 or stricter, not a symbolic link.
        what: A noun for messages, such as ``"token file"``.

    Raises:
        KeyfileUnsafe: Others could read or replace it; the hint is the command that repairs it.
        KeyfileError: It is missing, cannot be read, is too large, or is not text.
    """
    descriptor = open_secret(path, what)
    try:
        require_private(path, os.fstat(descriptor), what)
        return read_text(path, descriptor, what)
    finally:
        os.close(descriptor)


def read_credential(path: Path) -> str:
    """Return the text of a credential that the service manager keeps in memory for this process.

    Such a file may belong to root and be readable for this user through an access list, whose mask
    shows as group bits. Source: systemd.exec(5), ``$CREDENTIALS_DIRECTORY``.

    Raises:
        KeyfileUnsafe: Everybody could read it, or it belongs to a third user.
        KeyfileError: It is missing, cannot be read, is too large, or is not text.
    """
    descriptor = open_secret(path, "credential")
    try:
        status = os.fstat(descriptor)
        if status.st_mode & 0o027 or status.st_uid not in (0, os.geteuid()):
            raise KeyfileUnsafe(
                f"the credential {path} is open to others", hint="Let the service manager provide it."
            )
        return read_text(path, descriptor, "credential")
    finally:
        os.close(descriptor)


def write_secret(path: Path, text: str, *, replace: bool = False) -> None:
    """Write a secret file with mode 0600; it is durable, under its name, when this returns.

    A crash leaves the old file or the new one, never a part.

    Args:
        path: Where; its folder must exist.
        text: What.
        replace: Whether a file of that name may be overwritten. A lost key cannot be made again.

    Raises:
        KeyfileError: The name is taken, or the disk refuses.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            write_new(temporary, text)
            if replace:
                temporary.replace(path)
            else:
                os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    except FileExistsError as error:
        raise KeyfileError(
            f"there is a file {path} already", hint="Move it away first if it is really to be replaced."
        ) from error
    except OSError as error:
        raise KeyfileError(
            f"the key file {path} cannot be written: {error.strerror}",
            hint="Check that the folder exists, belongs to this user, and that the disk has space.",
        ) from error


def open_secret(path: Path, what: str = KEY_FILE) -> int:
    """Return a descriptor of a regular file, never through a symbolic link.

    Raises:
        KeyfileUnsafe: It is a symbolic link or no regular file.
        KeyfileError: It is missing or cannot be opened.
    """
    try:
        # O_NONBLOCK: a pipe under this name must not hold the service up.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise KeyfileUnsafe(
                f"the {what} {path} is a symbolic link", hint="Name the file itself, not a link to it."
            ) from error
        raise KeyfileError(
            f"the {what} {path} cannot be opened: {error.strerror}", hint=_HINTS.get(what)
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise KeyfileUnsafe(f"the {what} {path} is not a regular file", hint="Name a regular file.")
    return descriptor


def require_private(path: Path, status: os.stat_result, what: str = KEY_FILE) -> None:
    """Refuse a file that anybody but its owner, who must be this user, could read or write.

    Raises:
        KeyfileUnsafe: With the command that repairs it.
    """
    quoted = shlex.quote(str(path))
    if status.st_uid != os.geteuid():
        raise KeyfileUnsafe(
            f"the {what} {path} belongs to another user",
            hint=f"Find out why; if it is right, run: chown {os.geteuid()} {quoted}",
        )
    if status.st_mode & 0o077:
        raise KeyfileUnsafe(
            f"the {what} {path} can be read by others (mode {stat.S_IMODE(status.st_mode):04o})",
            hint=f"Run: chmod 600 {quoted} - and replace what is in it if others may have read it.",
        )


def read_text(path: Path, descriptor: int, what: str = KEY_FILE) -> str:
    """Return all text behind a descriptor, up to the limit.

    Raises:
        KeyfileError: It is too large, cannot be read, or is not UTF-8.
    """
    try:
        with os.fdopen(os.dup(descriptor), "rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise KeyfileError(f"the {what} {path} cannot be read: {error.strerror}") from error
    if len(data) > LARGEST_FILE:
        raise KeyfileError(f"the {what} {path} is larger than any key")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        # Not chained: that exception carries the bytes of the file.
        raise KeyfileError(f"the {what} {path} is not text") from None


def write_new(path: Path, text: str) -> None:
    """Create a file of mode 0600 whatever the umask, and flush its contents."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text.encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
