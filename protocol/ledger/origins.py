"""The two logs of a coordinator, and the origins under which their checkpoints are signed."""

from __future__ import annotations

from enum import StrEnum


class Log(StrEnum):
    """Which log: of statements, or of the community's documents."""

    ACK = "ack"
    DIRECTORY = "dir"


def origin(log_name: str, log: Log) -> str:
    """Return the origin line of a log's checkpoints (C2SP tlog-checkpoint).

    Args:
        log_name: The name that the coordinator's log keys carry.
        log: Which of its two logs.
    """
    return f"{log_name}/{log.value}"
