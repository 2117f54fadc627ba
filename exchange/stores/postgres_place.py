"""Where a PostgreSQL database is: an address without a secret in it, and the password from a file.

An address such as ``postgresql://almenara@db1,db2:5433/almenara?sslmode=verify-full`` may name several
servers; the one that takes writes is found among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from exchange.keystore import read_secret
from protocol.errors import SetupError

SCHEMES = ("postgresql", "postgres")
DEFAULT_PORT = 5432
SECRETS = ("password", "passfile", "sslpassword")
"""What may not stand in an address: it is seen in lists of processes, and in logs."""


@dataclass(frozen=True, slots=True)
class PostgresPlace:
    """A database on one of several servers.

    Attributes:
        shown: The address as it may be shown.
        hosts: Names, addresses, or folders of sockets, each with a port.
        rest: The same address without hosts.
        password_file: A file with the password on one line, or None for the user's password file.
    """

    shown: str
    hosts: tuple[tuple[str, int], ...]
    rest: str
    password_file: Path | None

    def arguments(self, host: str, port: int) -> dict[str, Any]:
        """Return what ``asyncpg.connect`` must be given to reach one of the servers.

        Raises:
            KeyfileError: the password's file cannot be read, or others may read it.
        """
        found: dict[str, Any] = {"dsn": self.rest, "host": host, "port": port}
        if self.password_file is not None:
            found["password"] = read_secret(self.password_file, "password file").strip()
        return found


def is_postgres(address: str) -> bool:
    """Whether a store's address is that of a PostgreSQL database."""
    return address.partition("://")[0] in SCHEMES


def parse_place(address: str, password_file: Path | None) -> PostgresPlace:
    """Return what an address says.

    Args:
        address: ``postgresql://USER@HOST[:PORT][,HOST[:PORT]...]/DATABASE[?PARAMETER=VALUE...]``; the folder
            of a socket is given as the parameter ``host``.
        password_file: A file of mode 0600 with the password, or None.

    Raises:
        SetupError: it is no such address, or has a password in it.
    """
    parts = urlsplit(address)
    user, _, servers = parts.netloc.rpartition("@")
    query = parse_qsl(parts.query, keep_blank_values=True)
    if ":" in user or any(name in SECRETS for name, _ in query):
        raise SetupError(
            "the address of the database has a password in it",
            hint="Take it out, and put it into a file of mode 0600 that store_password_file names, or into"
            " the file that PGPASSFILE names.",
        )
    if parts.scheme not in SCHEMES or not parts.path.strip("/") or parts.fragment:
        raise SetupError(
            "the address of the database is not complete",
            hint="Write postgresql://USER@HOST[:PORT][,HOST[:PORT]]/DATABASE",
        )
    given = dict(query)
    listed = servers or given.pop("host", "")
    default = int(given.pop("port", DEFAULT_PORT))
    given.pop("target_session_attrs", None)
    hosts = tuple(_host(one, default) for one in listed.split(",") if one)
    if not hosts:
        raise SetupError("the address of the database names no server", hint="Write the server's name in it.")
    bare = (parts.scheme, f"{user}@" if user else "", parts.path, urlencode(given), "")
    return PostgresPlace(address, hosts, urlunsplit(bare), password_file)


def _host(text: str, default: int) -> tuple[str, int]:
    if text.startswith("/"):
        return text, default
    name, colon, port = text.rpartition(":")
    if colon and port.isdigit():
        return unquote(name).strip("[]"), int(port)
    return unquote(text).strip("[]"), default
