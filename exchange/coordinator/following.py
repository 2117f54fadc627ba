"""The documents by which this coordinator goes, kept up with those that come by another process.

What is trusted here is always a beginning of the store's list: documents are taken in their order, and
only when they are durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from exchange.clock import Clock
from exchange.stores.contract import CoordinatorStore
from keys.trust import TrustedDirectory
from protocol.session.messages import MAX_DOCUMENTS_BYTES, Documents

DOCUMENTS_AT_ONCE = 64

log = structlog.get_logger()


class Following:
    """Takes what the store has and the directory has not.

    Args:
        store: Where the documents are.
        directory: What is trusted; everybody else looks into this same object.
        held: How many of the store's documents it was built of.
        clock: Documents from the future are refused.
    """

    def __init__(self, store: CoordinatorStore, directory: TrustedDirectory, held: int, clock: Clock) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._taking = asyncio.Lock()
        self.held = held
        """Of how many of the store's documents the directory is made."""
        self.changed: Callable[[Documents], None] = lambda _: None
        """Called after each change of the directory, with the message that tells it to the nodes."""

    async def catch_up(self) -> None:
        """Trust what the store has come to have.

        Raises:
            StoreFailed, OutcomeUnknown: the store cannot be read for certain.
            FormatError, TrustError: what another process stored is not to be believed.
        """
        async with self._taking:
            while documents := await self._store.documents(
                first := self.held, limit=DOCUMENTS_AT_ONCE, max_bytes=MAX_DOCUMENTS_BYTES
            ):
                if first != self.held:
                    continue  # one was stored here meanwhile, and taken
                for data in documents:
                    self._directory.update(data, self._clock.now_ms())
                    self.held += 1
                log.info("document.followed", number=first, count=len(documents))
                self.changed(Documents(first=first, documents=documents, head=self.held))

    def take(self, index: int, data: bytes) -> None:
        """Trust a document that this process has just stored, unless it was read in the meantime."""
        if index != self.held:
            return
        self._directory.update(data, self._clock.now_ms())
        self.held += 1
        self.changed(Documents(first=self.held - 1, documents=(data,), head=self.held))
