"""How the processes of one coordinator are, for people: what each says of itself, and what they share.

A process writes what it says into ``status.json`` of its data directory as well, so that it can be seen where
no other process can look: with a store that one process has for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from exchange.coordinator.roll import Facts
from exchange.stores.sharing_contract import Lease, Pulse, Sharing
from protocol.errors import SetupError
from protocol.ledger.origins import Log

STATUS_FILE = "status.json"


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """One process.

    Attributes:
        owner: The name of this very run.
        facts: What it says of itself.
        leases: What it does for all.
        nodes: Which nodes are connected to it.
        documents_behind: How many documents it has not seen yet.
        published_behind: How many leaves of each log it does not show yet.
    """

    owner: str
    facts: Facts
    leases: tuple[str, ...]
    nodes: tuple[str, ...]
    documents_behind: int
    published_behind: Mapping[str, int]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """All processes of one coordinator.

    Attributes:
        processes: Those that are there, by name.
        leases: Who does what for all, with the lease's epoch.
        sessions: Which node is connected to which process.
        gone: Owners of leases or sessions that are not there any more: they end by themselves.
        statements: How many statements there are.
        documents: How many documents there are.
        published: The published size of each log.
        witnessed: Likewise, witnessed.
        halted: Why nothing further is signed, by log.
    """

    processes: tuple[Process, ...]
    leases: Mapping[str, tuple[str, int]]
    sessions: Mapping[str, str]
    gone: tuple[str, ...]
    statements: int
    documents: int
    published: Mapping[str, int]
    witnessed: Mapping[str, int]
    halted: Mapping[str, str]


async def look(sharing: Sharing) -> Status:
    """Return how all processes are.

    Raises:
        StoreFailed: the store cannot be read.
    """
    said = {
        owner: msgspec.json.decode(facts, type=Facts) for owner, facts in (await sharing.processes()).items()
    }
    return status_of(said, await sharing.leases(), await sharing.sessions(), await sharing.pulse(()))


def status_of(
    said: Mapping[str, Facts], leases: tuple[Lease, ...], sessions: Mapping[str, str], pulse: Pulse
) -> Status:
    """Put together what the processes say, and what they share."""
    processes = tuple(
        Process(
            owner=owner,
            facts=facts,
            leases=tuple(lease.name for lease in leases if lease.owner == owner),
            nodes=tuple(sorted(state for state, at in sessions.items() if at == owner)),
            documents_behind=max(0, pulse.documents - facts.documents),
            published_behind={
                log.value: max(0, pulse.published[log] - facts.published.get(log.value, 0)) for log in Log
            },
        )
        for owner, facts in sorted(said.items(), key=lambda item: (item[1].name, item[0]))
    )
    owners = {*(lease.owner for lease in leases), *sessions.values()}
    return Status(
        processes=processes,
        leases={lease.name: (lease.owner, lease.epoch) for lease in leases},
        sessions=dict(sorted(sessions.items())),
        gone=tuple(sorted(owners - said.keys())),
        statements=pulse.statements,
        documents=pulse.documents,
        published={log.value: pulse.published[log] for log in Log},
        witnessed={log.value: pulse.witnessed[log].size for log in Log},
        halted={log.value: reason for log, reason in pulse.halted.items()},
    )


def write_status(data: Path, status: Status) -> None:
    """Replace what stands in the data directory. Raises OSError."""
    path = data / STATUS_FILE
    part = path.with_name(f".{STATUS_FILE}")
    part.write_bytes(msgspec.json.encode(status))
    part.replace(path)


def read_status(data: Path) -> Status:
    """Return what stands in the data directory.

    Raises:
        SetupError: nothing does, or it is not of this software.
    """
    try:
        return msgspec.json.decode((data / STATUS_FILE).read_bytes(), type=Status)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise SetupError(
            f"{data / STATUS_FILE} cannot be read: the coordinator has not said yet how it is",
            hint="If it has just started, try again in a few seconds.",
        ) from error
