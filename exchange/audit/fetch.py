"""Reading a coordinator's ledger over HTTPS: one connection, the pinned certificate, bounded answers."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Collection
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from exchange.clock import pause
from exchange.version import VERSION
from protocol.errors import BadRequest, FormatError, NotAuthorized, PeerNotPinned, TooLarge, Unreachable

PREFIX = "/v1/ledger/"
TIMEOUT_S = 30.0
TRIES = 6
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


@dataclass(frozen=True, slots=True)
class Access:
    """Where a ledger is read, and as whom.

    Attributes:
        url: ``https://HOST:PORT``.
        pinned: The coordinator's certificates in DER, as the directory lists them.
        context: TLS with exactly those; it carries a member's own certificate, if one reads.
        token: An auditor's token, or None.
    """

    url: str
    pinned: Collection[bytes]
    context: ssl.SSLContext
    token: str | None


class LedgerClient:
    """Fetches the ledger's files by their names in a bundle. Use it in one thread; close it.

    Args:
        access: Where, and as whom.
        wait: Blocks for so many seconds between two tries.

    Raises:
        BadRequest: the address is none.
    """

    def __init__(self, access: Access, wait: Callable[[float], None] = pause) -> None:
        parts = urlsplit(access.url)
        if parts.scheme != "https" or not parts.hostname or parts.path.strip("/") or parts.query:
            raise BadRequest(
                f"{access.url!r:.100} is no address of a ledger",
                hint="Write it as https://HOST:PORT, as the coordinator's operator gave it.",
            )
        self._host, self._port = parts.hostname, parts.port or 443
        self._access = access
        self._wait = wait
        self._connection: http.client.HTTPSConnection | None = None

    def get(self, name: str, limit: int) -> bytes | None:
        """Return one file; None if there is none of this name for this reader.

        Args:
            name: Its name in a bundle.
            limit: The largest acceptable size in bytes.

        Raises:
            NotAuthorized: the coordinator knows neither token nor certificate.
            PeerNotPinned: somebody else answers at this address.
            TooLarge: the answer is over the limit.
            FormatError: it is no answer of a ledger.
            Unreachable: it does not answer.
        """
        for number in range(TRIES):
            try:
                status, data = self._ask(name, limit)
            except ssl.SSLError as error:
                # With TLS 1.3 a refused certificate shows at the first answer.
                self.close()
                raise self._unknown() from error
            except (ConnectionError, http.client.HTTPException, TimeoutError) as error:
                # A connection that was idle may be closed by now; a file may be asked for again.
                self.close()
                if number + 1 == TRIES:
                    raise self._unreachable(str(error)) from error
                self._wait(min(2.0**number / 4, 5.0) * (number > 0))
                continue
            if status in _BUSY:
                self._wait(1.0)
                continue
            return self._checked(name, status, data)
        raise self._unreachable("it is too busy")

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, name: str, limit: int) -> tuple[int, bytes]:
        connection = self._connection or self._connect()
        headers = {"User-Agent": f"almenara/{VERSION}"}
        if self._access.token is not None:
            headers["Authorization"] = f"Bearer {self._access.token}"
        connection.request("GET", PREFIX + name, headers=headers)
        answer = connection.getresponse()
        data = answer.read(limit + 1)
        if len(data) > limit:
            self.close()
            raise TooLarge(f"the coordinator's {name} is over {limit} bytes")
        return answer.status, data

    def _connect(self) -> http.client.HTTPSConnection:
        connection = http.client.HTTPSConnection(
            self._host, self._port, timeout=TIMEOUT_S, context=self._access.context
        )
        try:
            connection.connect()
        except ssl.SSLError as error:
            raise PeerNotPinned(
                f"the server at {self._access.url} is not the coordinator of the community file",
                hint="Check --url and --community; a newer community file may list a new certificate.",
            ) from error
        except OSError as error:
            raise self._unreachable(error.strerror or str(error)) from error
        tls = connection.sock
        shown = tls.getpeercert(binary_form=True) if isinstance(tls, ssl.SSLSocket) else None
        if shown not in self._access.pinned:
            connection.close()
            raise PeerNotPinned(f"the server at {self._access.url} showed another certificate")
        self._connection = connection
        return connection

    def _checked(self, name: str, status: int, data: bytes) -> bytes | None:
        if status == HTTPStatus.OK:
            return data
        if status == HTTPStatus.NOT_FOUND:
            return None
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise self._unknown()
        raise FormatError(f"the coordinator answered {status} to the question for {name}")

    def _unknown(self) -> NotAuthorized:
        return NotAuthorized(
            "the coordinator knows neither this token nor this certificate",
            hint="Name an auditor's token with --token-file, or a node's data directory with --member.",
        )

    def _unreachable(self, why: str) -> Unreachable:
        return Unreachable(
            f"the ledger at {self._access.url} does not answer: {why}",
            hint="Check the address; the coordinator serves its ledger only if ledger_port is set.",
        )
