"""What is said of a PostgreSQL: does it keep what it commits, is it writable, and is its shape known?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.doctor.patient import Finding, note, ok, problem, warning

if TYPE_CHECKING:
    from exchange.stores.postgres_looking import Condition

MIB = 2**20
PAGE = "See deploy/postgresql.md."
FEW_CONNECTIONS = 30
"""Two processes at their busiest, and what the server keeps for itself."""


def judged_safe(found: Condition) -> Finding:
    """Return whether the server keeps what it commits; one that does not flush is refused before."""
    server = f"PostgreSQL {found.version}"
    if not found.full_pages:
        return problem(
            f"{server} cannot mend a page that a power cut tore (full_page_writes is off)",
            "Set full_page_writes = on in postgresql.conf, and reload it.",
        )
    if not found.standbys:
        return warning(
            f"{server} flushes, and no synchronous standby is named: what is accepted lies on one "
            "machine only",
            f"Set synchronous_standby_names. {PAGE}",
        )
    if found.connected == 0:
        return problem(
            f"no standby of those that commits wait for is connected ({found.standbys}): nothing is accepted",
            "Start a standby; do not cancel what waits, for such rows can be lost.",
        )
    if not found.checksums:
        return warning(
            f"{server} does not notice damaged pages (data_checksums is off)",
            "Stop the server, run pg_checksums --enable on its data, on standbys too, and start it again.",
        )
    standing = f"{server} flushes, and commits wait for a standby ({found.standbys})"
    if found.waits not in ("on", "remote_apply"):
        return note(
            f"{standing}; synchronous_commit is {found.waits}, which the program sets to on for itself",
            "Set synchronous_commit = on, for other programs' sake.",
        )
    if found.connected is None:
        return ok(f"{standing}; which of them are connected, this user may not see")
    return ok(f"{standing}, of which {found.connected} are connected")


def judged_whole(found: Condition) -> Finding:
    """Return whether it is in the shape that this program knows; it was reached and written to before."""
    size = f"it has {found.bytes // MIB} MiB"
    if found.steps:
        return note(
            f"the database gets {found.steps} new steps when the service starts next; {size}",
            "To do that apart: almenara coordinator migrate --data DIR",
        )
    if found.connections < FEW_CONNECTIONS:
        return warning(
            f"the server has {found.connections} connections for everybody; a process takes up to 14",
            f"Raise max_connections. {PAGE}",
        )
    return ok(f"the database is reachable, takes writes, and is in the newest shape; {size}")
