"""Where the interface listens: a Unix socket that only its owner can use, and, if asked, loopback.

The socket is made private *before* it listens, so there is no moment at which others may connect.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from pathlib import Path

from aiohttp import web

from protocol.errors import DataDirBusy, SetupError

BACKLOG = 1024
"""Callers that may wait to be accepted; asyncio takes a Unix socket without room for connected."""

_STOP_S = 2.0
_LOOPBACK = "127.0.0.1"


class LocalInterface:
    """A running local interface.

    Args:
        app: What answers, from :func:`exchange.api.app.make_app`.
        path: The Unix socket to make, mode 0600. A socket left over by a dead node is replaced.
        port: A TCP port on 127.0.0.1 besides, 0 for any free one, None for none.
    """

    def __init__(self, app: web.Application, path: Path, *, port: int | None = None) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_S)
        self._path = path
        self._port = port

    async def start(self) -> None:
        """Listen.

        Raises:
            DataDirBusy: a living node listens on this socket.
            SetupError: the socket or port cannot be made.
        """
        await self._runner.setup()
        try:
            await web.SockSite(self._runner, _private_socket(self._path), backlog=BACKLOG).start()
            if self._port is not None:
                await web.TCPSite(self._runner, _LOOPBACK, self._port).start()
        except OSError as error:
            await self.stop()
            raise SetupError(
                f"the local interface cannot listen: {os.strerror(error.errno or 0)}",
                hint="Choose another socket path or port in the settings.",
            ) from error

    async def stop(self) -> None:
        """Stop listening, end the event streams, and remove the socket."""
        await self._runner.cleanup()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    @property
    def port(self) -> int | None:
        """The TCP port in use, or None."""
        for address in self._runner.addresses:
            if isinstance(address, tuple):
                return int(address[1])
        return None


def _private_socket(path: Path) -> socket.socket:
    _make_room(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
    except OSError as error:
        listener.close()
        # Linux keeps 108 bytes for the path and calls a longer one "too long" without a number.
        why = "its path is too long" if error.errno is None else os.strerror(error.errno)
        raise SetupError(
            f"the socket {path} cannot be made: {why}",
            hint="Choose a shorter path in a folder that belongs to this user.",
        ) from error
    return listener


def _make_room(path: Path) -> None:
    """Remove the socket of a dead node; refuse to touch anything else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SetupError(f"{path} exists and is not a socket", hint="Move it away, or choose another path.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        code = probe.connect_ex(str(path))
    if code != errno.ECONNREFUSED:
        raise DataDirBusy(f"another node already listens on {path}")
    path.unlink()
