"""A database that lies on servers of its own: no backup holds it, and what saves it is said word for word.

The lines name the database's address, which never has a password in it; the password comes from the file that
PGPASSFILE names, or is asked for.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from exchange.backup.contents import Role
from exchange.configuration import resolve
from exchange.settings import CoordinatorSettings
from exchange.stores.postgres_place import parse_place

WRITER = ("target_session_attrs", "read-write")
"""A standby may be behind: what saves the database asks the server that takes writes."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A PostgreSQL in which a coordinator's mailboxes and ledger are.

    Attributes:
        address: As it may be shown.
    """

    address: str

    def commands(self, beside: Path) -> tuple[str, ...]:
        """Return the lines that save it with the server's own tools, each of them alone enough.

        Args:
            beside: The backup's file; what they write gets longer names.
        """
        parts = urlsplit(self.address)
        query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != WRITER[0]]
        asked = urlencode([*query, WRITER], safe="/,")
        whole = urlunsplit((parts.scheme, parts.netloc, parts.path, asked, ""))
        # Whoever copies a whole server needs the right to replicate, which the coordinator has not.
        servers = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "/postgres", asked, ""))
        return (
            f"pg_basebackup --dbname={shlex.quote(servers)} --pgdata={shlex.quote(f'{beside}.base')}"
            " --format=tar --wal-method=stream --checkpoint=fast",
            f"pg_dump --dbname={shlex.quote(whole)} --format=custom --file={shlex.quote(f'{beside}.dump')}",
        )


def elsewhere(data: Path, role: Role) -> Elsewhere | None:
    """Return where the database of a data directory is, or None if it lies in that directory.

    Raises:
        SetupError: the settings are not fit, or the address has a password in it.
    """
    if role is Role.NODE:
        return None
    settings = resolve(CoordinatorSettings, flags={"data": str(data)}).settings
    if not settings.store:
        return None
    return Elsewhere(parse_place(settings.store, settings.store_password_file).shown)
