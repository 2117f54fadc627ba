"""Request ids that outlive the command: made and stored before the first try.

If the command dies, or cannot learn the outcome, the same command run again finds its id by the
hash of its content and asks under the same id: the notice cannot be sent twice. Only the hash
and the id are kept, nothing of the content.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from exchange.keystore import sync_folder

FRESH_MS = 24 * 3600 * 1000
"""After a day the same content is a new notice, such as tomorrow's communication check."""


class PendingRequest:
    """The id of one submission whose outcome is not known yet.

    Args:
        folder: Where ids are kept, from :func:`pending_folder`.
        content: The whole request as bytes.
    """

    def __init__(self, folder: Path, content: bytes) -> None:
        self._path = folder / hashlib.sha256(b"almenara/pending\0" + content).hexdigest()

    def claim(self, now_ms: int) -> str:
        """Return the id to ask under: the one kept for this content, or a new one, now on disk.

        Raises:
            OSError: the folder cannot be written.
        """
        kept = self._kept(now_ms)
        if kept is not None:
            return kept
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        request_id = new_request_id()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, 0o600)
        try:
            os.write(descriptor, request_id.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(self._path.parent)
        return request_id

    def settle(self) -> None:
        """Forget the id: the outcome is known."""
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _kept(self, now_ms: int) -> str | None:
        try:
            age_ms = now_ms - int(self._path.stat().st_mtime * 1000)
            kept = self._path.read_text("ascii")
        except (OSError, UnicodeDecodeError):
            return None
        whole = len(kept) == 32 and all(digit in "0123456789abcdef" for digit in kept)
        return kept if whole and age_ms < FRESH_MS else None


def new_request_id() -> str:
    """Return 128 random bits in hexadecimal."""
    return secrets.token_hex(16)


def pending_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder by the XDG base directory specification."""
    state = environment.get("XDG_STATE_HOME", "")
    home = Path(state) if state.startswith("/") else Path("~/.local/state").expanduser()
    return home / "almenara" / "pending"
