"""The community's documents: every node mirrors all of them, and any node may hand in new ones.

A document proves itself, so it does not matter who brings it. It is tried on a copy of the trusted
directory, stored, and only then trusted: what this coordinator goes by is never ahead of its disk.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from exchange.clock import Clock
from exchange.coordinator.following import DOCUMENTS_AT_ONCE, Following
from exchange.stores.contract import CoordinatorStore, Turn
from keys.trust import TrustedDirectory
from protocol.documents import (
    Directory,
    Root,
    parse_document,
    parse_signed_document,
    signed_document_hash,
)
from protocol.errors import TrustError, VersionGap
from protocol.session.messages import MAX_DOCUMENTS_BYTES, Documents

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Published:
    """How many documents were new, and a sentence about each one of a member that does not fit."""

    added: int
    left_out: tuple[str, ...]


def fitting(
    directory: TrustedDirectory, offered: Sequence[bytes], now_ms: int
) -> tuple[list[bytes], tuple[str, ...]]:
    """Advance a directory by what is offered; return what was new, and what of members did not fit.

    Raises:
        TrustError: a root or directory may not be believed.
        FormatError, ClockSkew: a document is malformed, or from the future.
    """
    fresh: list[bytes] = []
    left_out: list[str] = []
    for data in offered:
        try:
            if directory.update(data, now_ms).changed:
                fresh.append(data)
        except TrustError as error:
            document = parse_document(parse_signed_document(data).body)
            if isinstance(document, Root | Directory):
                raise
            left_out.append(error.message)
    return fresh, tuple(left_out)


class CommunityDocuments:
    """Accepts documents in order and serves them by index.

    Args:
        store: Where they are kept.
        directory: What is trusted; everybody else looks into this same object.
        following: Takes what is stored into the directory.
        clock: Documents from the future are refused.
    """

    def __init__(
        self,
        store: CoordinatorStore,
        directory: TrustedDirectory,
        following: Following,
        clock: Clock,
    ) -> None:
        self._store = store
        self._directory = directory
        self._following = following
        self._clock = clock

    async def publish(self, data: bytes) -> int:
        """Accept one signed document and return its index; durable when this returns.

        Raises:
            FormatError, TrustError, ClockSkew: as :meth:`keys.trust.TrustedDirectory.update`.
            StoreFailed, OutcomeUnknown: try again.
        """
        document = signed_document_hash(data)
        while True:
            held = self._following.held
            known = await self._store.document_index(document)
            if known is not None:
                # It may have been stored in doubt, or by another process: what is stored is gone by.
                await self._following.catch_up()
                return known
            async with self._store.turn() as turn:
                if turn.documents == held:
                    index = await self._append(turn, data)
                    break
            # Others came first: it is judged by them.
            await self._following.catch_up()
        log.info("document.accepted", digest=document.hex(), number=index)
        return index

    async def publish_all(self, offered: Sequence[bytes]) -> Published:
        """Accept those of several signed documents that are new; all of what is counted is durable.

        All of them are tried first, so that of a file with one bad root or directory nothing is taken. What a
        member published is left out if it does not fit any more: otherwise whoever holds a member's old
        key could publish something else first, and so keep governance's decision about that key away. Only if
        another document comes in between can it be a part; repeating is harmless.

        Raises:
            FormatError, TrustError, ClockSkew, StoreFailed, OutcomeUnknown: as :meth:`publish`.
        """
        unknown = [
            data for data in offered if await self._store.document_index(signed_document_hash(data)) is None
        ]
        trial, now_ms = copy.copy(self._directory), self._clock.now_ms()
        # A large file is verified beside the event loop: the trial belongs to that thread alone.
        fresh, left_out = await asyncio.to_thread(fitting, trial, unknown, now_ms)
        for data in fresh:
            await self.publish(data)
        return Published(len(fresh), left_out)

    async def _append(self, turn: Turn, data: bytes) -> int:
        """Try a document on a copy of the directory, store it, and only then trust it."""
        trial = copy.copy(self._directory)
        if not trial.update(data, self._clock.now_ms()).changed:
            raise VersionGap("a trusted document is missing from the store")
        (index,) = await turn.append_documents([data], self._clock.now_ms())
        self._following.take(index, data)
        return index

    async def catch_up(self) -> int:
        """Trust what other processes have stored, and return how many documents there are.

        Raises:
            StoreFailed, OutcomeUnknown, FormatError, TrustError: as :meth:`Following.catch_up`.
        """
        count = await self.count()
        if count > self._following.held:
            await self._following.catch_up()
        return count

    async def count(self) -> int:
        """Return how many documents there are."""
        return await self._store.document_count()

    async def mirror(self, index: int) -> Documents:
        """Return as many documents from ``index`` on as one message may carry.

        Raises:
            StoreFailed: the store cannot be read.
        """
        documents = await self._store.documents(index, limit=DOCUMENTS_AT_ONCE, max_bytes=MAX_DOCUMENTS_BYTES)
        return Documents(first=index, documents=documents, head=await self._store.document_count())
