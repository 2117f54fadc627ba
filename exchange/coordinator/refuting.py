"""What a witness shows against a log: a checkpoint of it, by its own signature, that it does not continue."""

from __future__ import annotations

from typing import Protocol

import structlog

from exchange.coordinator.gathering import Gathering
from exchange.coordinator.heads import HaltReason, Head
from exchange.stores.ledger_contract import LedgerStore
from protocol.errors import FormatError, TrustError
from protocol.ledger.checkpoint import parse_checkpoint
from protocol.ledger.tiles import TileHashes
from protocol.session.messages import MAX_COSIGNED_BYTES
from protocol.tree import root_by

log = structlog.get_logger()


class Halt(Protocol):
    """Stops the log's sequencer; see :meth:`exchange.coordinator.sequencer.Sequencer.halt`."""

    def __call__(self, reason: HaltReason, *, state: str | None = None, size: int | None = None) -> None:
        """Sign nothing further."""
        ...


class Refuting:
    """Judges what witnesses show, for one log.

    Args:
        head: The log.
        store: Its tiles.
        halt: Called with a reason if the log must not be signed any further.
    """

    def __init__(self, head: Head, store: LedgerStore, halt: Halt) -> None:
        self._head = head
        self._log = head.log
        self._store = store
        self._halt = halt

    async def published_size(self) -> int:
        """Return how much is published by now, by any process: a witness may have been asked elsewhere."""
        return max(self._head.size, (await self._store.published(self._log)).size)

    async def is_refuted(self, gathering: Gathering, state: str, held: bytes | None) -> bool:
        """Stop the log if a witness shows a checkpoint of it that it does not continue; return whether.

        What counts is this log's own signature over that checkpoint: no member can stop the log with
        its word alone.
        """
        if held is None:
            return False
        try:
            signed = parse_checkpoint(held, limit=MAX_COSIGNED_BYTES)
            gathering.quorum.require_log(signed)
        except (FormatError, TrustError) as error:
            log.warning("witness.bad_answer", log=self._log.value, state=state, exc_info=error)
            return False
        size, published = signed.checkpoint.size, await self.published_size()
        if size > published:
            self._halt(HaltReason.WITNESS_AHEAD, state=state, size=size)
            return True
        if await self._root(size, published) != signed.checkpoint.root:
            self._halt(HaltReason.WITNESS_DISAGREES, state=state, size=size)
            return True
        return False

    async def _root(self, size: int, published: int) -> bytes:
        """Return the root of the published tree at an earlier size."""
        return await self._store.on_tiles(
            self._log, lambda read: root_by(size, TileHashes(read, published).subtree)
        )
