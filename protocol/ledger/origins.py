"""The two logs of a coordinator, and the name that each one signs under."""

from __future__ import annotations

from enum import StrEnum


class Log(StrEnum):
    """Which log: of statements, or of the trust documents by which those are judged."""

    ACK = "ack"
    DIRECTORY = "dir"


def origin(log_name: str, log: Log) -> str:
    """Return a log's origin: the coordinator's log name, a slash, and ``ack`` or ``dir``."""
    return f"{log_name}/{log.value}"
