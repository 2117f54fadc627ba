"""The newest checkpoints that this node has verified, at hand for whoever signs a statement."""

from __future__ import annotations

from protocol.ledger.checkpoint import Checkpoint
from protocol.ledger.origins import Log
from protocol.statement import SeenCheckpoint


class Heads:
    """The newest verified checkpoint of each log; it only grows.

    A checkpoint is verified when the log has signed it and it is known to continue, or to be
    continued by, all those that were verified before.
    """

    def __init__(self) -> None:
        self._newest: dict[Log, Checkpoint] = {}

    def newest(self, log: Log) -> Checkpoint | None:
        """Return the newest one of a log, or None before the first."""
        return self._newest.get(log)

    def verified(self, log: Log, checkpoint: Checkpoint) -> None:
        """Remember a verified checkpoint; a smaller one changes nothing."""
        held = self._newest.get(log)
        if held is None or held.size < checkpoint.size:
            self._newest[log] = checkpoint

    @property
    def seen(self) -> SeenCheckpoint | None:
        """What this node's statements say that it has seen: every one of them carries the news on."""
        held = self._newest.get(Log.ACK)
        return None if held is None else SeenCheckpoint(origin=held.origin, size=held.size, root=held.root)
