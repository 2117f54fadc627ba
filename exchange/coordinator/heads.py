"""What is shown of the two logs: the newest checkpoint that is published, and the newest witnessed one."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from protocol.ledger.checkpoint import SignedCheckpoint
from protocol.ledger.origins import Log


class HaltReason(StrEnum):
    """Why no further checkpoint of a log is signed."""

    CHANGED = "changed"
    """Database or anchor are not what this process left there."""
    FORKED = "forked"
    """What another process published does not continue what this one has anchored."""
    FAULT = "fault"
    """This program failed in a way that nobody foresaw."""
    WITNESS_AHEAD = "witness-ahead"
    """A witness cosigned more than this log has: what was signed since is lost here."""
    WITNESS_DISAGREES = "witness-disagrees"
    """A witness finds that the log does not continue what it cosigned."""


SHARED_REASONS = frozenset((HaltReason.WITNESS_AHEAD, HaltReason.WITNESS_DISAGREES, HaltReason.FORKED))
"""Those that stop every process of a coordinator: they are about the log, and not about one machine."""


def reason_of(said: str) -> HaltReason:
    """Return the reason that another process gave, which may run other software."""
    try:
        return HaltReason(said)
    except ValueError:
        return HaltReason.CHANGED


@dataclass(slots=True)
class Head:
    """One log as everybody is shown it.

    Attributes:
        log: Which log.
        published: The newest checkpoint that is durable, anchored and laid out in tiles; None if
            nothing was ever signed. Set by the sequencer alone.
        witnessed: The newest one that a quorum has cosigned, or None. Set by the rounds alone.
        halted: Why nothing further is signed, or None.
    """

    log: Log
    published: SignedCheckpoint | None = None
    witnessed: SignedCheckpoint | None = None
    halted: HaltReason | None = None

    @property
    def size(self) -> int:
        """How many leaves are published."""
        return 0 if self.published is None else self.published.checkpoint.size

    @property
    def shown(self) -> SignedCheckpoint | None:
        """The checkpoint that readers are given: the witnessed one, or before there is any, the published."""
        return self.published if self.witnessed is None else self.witnessed


@dataclass(frozen=True, slots=True)
class Heads:
    """Both logs."""

    ack: Head = field(default_factory=lambda: Head(Log.ACK))
    directory: Head = field(default_factory=lambda: Head(Log.DIRECTORY))

    def __getitem__(self, log: Log) -> Head:
        return self.ack if log is Log.ACK else self.directory
