"""Following a log that another process makes: shown here only what continues what was anchored here before.

Each process of a coordinator keeps an anchor of its own. What another one has published becomes this one's
newest checkpoint after this process has seen, in the tiles, that it continues the one that it anchored last,
and has anchored it as well. So a database that goes back, or another way, is noticed by every process that
was there, and not by the one alone that signs.
"""

from __future__ import annotations

import asyncio

import structlog

from exchange.coordinator.anchor import Anchor
from exchange.coordinator.heads import HaltReason, Head
from exchange.coordinator.recovery import Ground, require_sound
from exchange.coordinator.refuting import Halt
from exchange.stores.ledger_contract import Extent, LedgerStore, SignedExtent
from keys.quorum import KeyPair
from protocol.errors import Forked
from protocol.ledger.checkpoint import parse_checkpoint
from protocol.ledger.tiles import TileHashes
from protocol.tree import root_by

log = structlog.get_logger()


class Prefix:
    """Follows one log.

    Args:
        head: The log, and where what is published is shown.
        keys: The log's own public keys.
        store: Checkpoints and tiles.
        anchor: This process's own.
        halt: Called if the log does not continue what was anchored here.
    """

    def __init__(self, head: Head, keys: KeyPair, store: LedgerStore, anchor: Anchor, halt: Halt) -> None:
        self._head = head
        self._keys = keys
        self._store = store
        self._anchor = anchor
        self._halt = halt
        self.began_empty = False
        """Whether this process saw the log before there was anything in it: its anchor begins with that."""

    async def follow(self, *, adopt: bool = False) -> bool:
        """Show what is published now; return whether it is all there is, or a checkpoint is still on its way.

        Args:
            adopt: Whether to begin an anchor here if there is none: another process that has one is at work.

        Raises:
            SetupError: the database is an older copy than this anchor, or the anchor is missing.
            Forked: it went another way than this anchor; no process signs any further.
            StoreFailed, OutcomeUnknown: the store cannot be read.
        """
        which = self._head.log
        published = await self._store.published(which)
        signed = await self._store.signed(which)
        ground = Ground(signed, await asyncio.to_thread(self._anchor.read, which), published)
        if signed is None or self._is_shown(signed.extent):
            self.began_empty |= signed is None
            return True
        # What was signed and is not laid out yet, a process that died may have left to the next one.
        require_sound(which, self._keys, ground, unanchored=adopt or self.began_empty)
        if signed.extent != published or ground.anchor_extent.size > published.size:
            return False
        await self._require_continued(ground.anchor_extent, signed)
        if not await asyncio.to_thread(self._anchor.swap, which, ground.anchor_extent, signed):
            return False  # this process has begun to sign meanwhile
        self.began_empty = False
        self._head.published = parse_checkpoint(signed.checkpoint)
        log.debug("ledger.followed", log=which.value, size=signed.extent.size)
        return True

    def _is_shown(self, extent: Extent) -> bool:
        shown = self._head.published
        return shown is not None and (shown.checkpoint.size, shown.checkpoint.root) == (
            extent.size,
            extent.root,
        )

    async def _require_continued(self, anchored: Extent, signed: SignedExtent) -> None:
        which, size = self._head.log, signed.extent.size

        before, after = await self._store.on_tiles(
            which,
            lambda read: (
                root_by(anchored.size, TileHashes(read, size).subtree),
                root_by(size, TileHashes(read, size).subtree),
            ),
        )
        if before != anchored.root or after != signed.extent.root:
            self._halt(HaltReason.FORKED, size=size)
            raise Forked(f"the log {which} in the database does not continue the checkpoint {anchored.size}")
