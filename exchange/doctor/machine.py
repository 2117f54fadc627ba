"""Checks of what the place stands on: disk, database, libraries, and memory that could be written out."""

from __future__ import annotations

import re
import resource
import shutil
from importlib import metadata
from pathlib import Path

import apsw

from exchange.doctor import servers
from exchange.doctor.patient import Finding, Patient, note, ok, problem, warning
from exchange.stores.connection import require_safe_sqlite
from exchange.stores.migrate import history, packaged, require_same_history
from exchange.stores.snapshot import integrity

MIB = 2**20
LITTLE, VERY_LITTLE = 2048 * MIB, 256 * MIB
SWAPS = Path("/proc/swaps")
_FLOOR = re.compile(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?\s*>=\s*([0-9.]+)")


def disk_has_room(patient: Patient) -> Finding:
    """There is room for what comes in during the next days."""
    free = shutil.disk_usage(patient.data).free
    fix = "Make room: nothing is accepted, in or out, when the disk is full."
    if free < VERY_LITTLE:
        return problem(f"the disk has only {free // MIB} MiB free", fix)
    if free < LITTLE:
        return warning(f"the disk has {free // MIB} MiB free", fix)
    return ok(f"the disk has {free // MIB} MiB free")


def engine_is_safe(patient: Patient) -> Finding:
    """The database engine is none of those that can lose or corrupt what they hold."""
    if patient.condition is not None:
        return servers.judged_safe(patient.condition)
    version = apsw.sqlite_lib_version()
    require_safe_sqlite(version)
    return ok(f"SQLite {version} is safe")


def database_is_whole(patient: Patient) -> Finding:
    """The database can be read and written, or passes SQLite's own check, and its shape is known."""
    if patient.condition is not None:
        return servers.judged_whole(patient.condition)
    with patient.database() as db:
        found = integrity(db)
        if found:
            return problem(
                f"the database is damaged: {found}",
                "Stop the service, keep the directory as it is, and restore the newest backup.",
            )
        known = packaged(patient.owner.role.migrations)
        applied = history(db)
        require_same_history(applied, known)
    if len(applied) < len(known):
        return note(f"the database gets {len(known) - len(applied)} new steps when the service starts next")
    return ok("the database is whole")


def libraries_are_new_enough(patient: Patient) -> Finding:
    """Every library is at least of the version that this program asks for."""
    try:
        wanted = metadata.requires("almenara") or []
    except metadata.PackageNotFoundError:
        return note("the program is not installed as a package, so its libraries cannot be compared")
    old = []
    for line in wanted:
        match = None if "extra ==" in line else _FLOOR.match(line)
        if match is None:
            continue
        found = _version(match[1])
        if found is None or _numbers(found) < _numbers(match[2]):
            old.append(f"{match[1]} {found or 'missing'} (wanted {match[2]})")
    if old:
        return problem(f"libraries are too old: {', '.join(old)}", "Install requirements.lock again.")
    return ok("the libraries are new enough")


def memory_stays_in_memory(patient: Patient) -> Finding:
    """Keys in memory are not written to a disk by the machine itself."""
    found = []
    if resource.getrlimit(resource.RLIMIT_CORE)[0] != 0:
        found.append("core dumps are allowed")
    if SWAPS.exists() and len(SWAPS.read_text("ascii", "replace").splitlines()) > 1:
        found.append("the machine has swap")
    if found:
        return note(
            f"{' and '.join(found)}: keys in memory could reach a disk",
            "Run the service with LimitCORE=0, and encrypt the swap or turn it off.",
        )
    return ok("no core dumps, no swap")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]+", version))
