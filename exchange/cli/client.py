"""The node's local interface, from a command's side.

The standard library's HTTP client is enough for a Unix socket, and starts ten times faster than
any other. Errors of the node come back as the same classes that it raised.
"""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from exchange.api.problems import INTERNAL, Problem, parse_problem
from exchange.node.requests import Ask
from exchange.node.views import EventView
from protocol.errors import AlmenaraError, OutcomeUnknown, RemoteProtocolError, ServiceError, Unreachable

T = TypeVar("T")
TIMEOUT_S = 30.0
_HEARTBEATS_S = 60.0


class RequestTrace(Exception):
    """The cause of an error that came from a request: which one, and the code the node gave."""

    def __init__(self, request_id: str | None, code: str | None = None) -> None:
        super().__init__(request_id)
        self.request_id = request_id
        self.code = code


class NodeClient:
    """Asks one node.

    Args:
        socket_path: Its Unix socket.
        token: The text of the token that says who asks.
    """

    def __init__(self, socket_path: Path, token: str) -> None:
        self._path = socket_path
        self._token = token

    def ask(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        query: Mapping[str, object] | None = None,
        body: Ask | None = None,
        request_id: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> T:
        """Return the node's answer.

        Args:
            method: ``GET`` or ``POST``.
            path: The address, from ``/v1``.
            kind: What the answer must be.
            query: What stands behind the question mark; values of None are left out.
            body: What is asked.
            request_id: The id under which repeating is safe.
            timeout_s: Seconds of silence after which the answer is given up.

        Raises:
            Unreachable: no node answers; nothing was done.
            OutcomeUnknown: the connection broke after a request that changes something was sent.
            AlmenaraError: what the node raised.
        """
        data = None if body is None else msgspec.json.encode(body)
        with self._request(method, _address(path, query), data, request_id, timeout_s) as response:
            answer = response.read()
        if response.status >= 400:
            raise _told(response.status, answer, method, request_id)
        try:
            return msgspec.json.decode(answer, type=kind)
        except msgspec.DecodeError as error:
            raise RemoteProtocolError(
                f"what answers at {self._path} does not speak as this program does",
                hint="The node may be of another version. Compare `almenara --version` on both.",
            ) from error

    def events(self, since: int) -> Iterator[EventView]:
        """Yield events after a number, until the node ends the stream or the connection breaks.

        Raises:
            Unreachable: no node answers, or it fell silent.
            AlmenaraError: what the node raised.
        """
        address = _address("/v1/events", {"since": since})
        with self._request("GET", address, None, None, _HEARTBEATS_S) as response:
            if response.status >= 400:
                raise _told(response.status, response.read(), "GET", None)
            while line := response.readline():
                if line.startswith(b"data: "):
                    yield msgspec.json.decode(line.removeprefix(b"data: "), type=EventView)

    @contextmanager
    def _request(
        self, method: str, address: str, data: bytes | None, request_id: str | None, timeout_s: float
    ) -> Iterator[http.client.HTTPResponse]:
        connection = _UnixConnection(self._path, timeout_s)
        try:
            self._connect(connection)
            try:
                # As bytes: a token may bear a name with accents, and headers default to Latin-1.
                headers: dict[str, Any] = {"Authorization": f"Bearer {self._token}".encode()}
                if data is not None:
                    headers["Content-Type"] = "application/json"
                if request_id is not None:
                    headers["Idempotency-Key"] = request_id
                connection.request(method, address, data, headers)
                yield connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise self._broken(method, request_id) from error
        finally:
            connection.close()

    def _connect(self, connection: _UnixConnection) -> None:
        try:
            connection.connect()
        except PermissionError as error:
            raise Unreachable(
                f"the socket {self._path} belongs to another user",
                hint="Run the command as the node's user, or ask its administrator.",
            ) from error
        except OSError as error:
            raise Unreachable(
                f"no node answers at {self._path}",
                hint="Start it with: almenara node run --data DIR; or name the right one with --data or "
                "--socket.",
            ) from error

    def _broken(self, method: str, request_id: str | None) -> AlmenaraError:
        if method == "GET":
            return Unreachable(
                f"the node at {self._path} stopped answering",
                hint="Try again; see: almenara health --data DIR --token-file TOKEN",
            )
        error = OutcomeUnknown("the node stopped answering before it said whether it took the request")
        if request_id is None:
            error.hint = "Repeat the same command: it is recorded once."
        return error


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("almenara", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self.timeout)
        try:
            connection.connect(str(self._path))
        except OSError:
            connection.close()
            raise
        self.sock = connection


def notice_path(id: str, what: str = "") -> str:
    """Return the address of one notice, or of something about it; the id may be any text."""
    return f"/v1/notices/{quote(id, safe='')}{what}"


def _address(path: str, query: Mapping[str, object] | None) -> str:
    words = {name: value for name, value in (query or {}).items() if value is not None}
    return f"{path}?{urlencode(words)}" if words else path


def _told(status: int, answer: bytes, method: str, request_id: str | None) -> AlmenaraError:
    """Return the error that the node told us of, of its own class."""
    problem = parse_problem(answer)
    if problem is None:
        return RemoteProtocolError(f"the node answered {status} without a reason")
    error = error_of(problem, changes=method == "POST")
    error.__cause__ = RequestTrace(problem.request_id if request_id is None else request_id, problem.code)
    return error


def error_of(problem: Problem, *, changes: bool) -> AlmenaraError:
    """Return the error whose code a problem carries; an unknown code is a plain service error.

    Args:
        problem: What the node said.
        changes: Whether the request would have changed something, so that an unforeseen failure
            leaves the outcome unknown.
    """
    if problem.code == INTERNAL and changes:
        return OutcomeUnknown(problem.detail)
    kind = classes_by_code().get(problem.code, ServiceError)
    return kind(problem.detail, hint=problem.next)


def classes_by_code(root: type[AlmenaraError] = AlmenaraError) -> dict[str, type[AlmenaraError]]:
    """Return the class that named each stable code in the tree of errors.

    A class that keeps the code of the one above it is the one above it to whoever is told the code.
    """
    found = {root.code: root}
    for kind in root.__subclasses__():
        found = classes_by_code(kind) | found
    return found
