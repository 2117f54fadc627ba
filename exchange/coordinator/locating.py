"""Where a statement stands in the log, and how a log grew: proofs for the nodes, computed from the tiles."""

from __future__ import annotations

from collections.abc import Mapping

from exchange.coordinator.heads import Heads
from exchange.stores.ledger_contract import LedgerStore, ReadTile, Spot
from protocol.ledger.checkpoint import SignedCheckpoint
from protocol.ledger.origins import Log
from protocol.ledger.tiles import TileHashes
from protocol.session.messages import Compare, Compared, Locate, Located, Place
from protocol.tree import consistency_proof_by, inclusion_path_by


class Locator:
    """Answers Locate and Compare.

    Args:
        heads: What is published and witnessed.
        store: Statements and tiles.
    """

    def __init__(self, heads: Heads, store: LedgerStore) -> None:
        self._heads = heads
        self._store = store

    async def locate(self, message: Locate) -> list[Located]:
        """Return one answer for each checkpoint that is needed, the witnessed one first.

        Raises:
            StoreFailed: the store cannot be read.
        """
        head = self._heads.ack
        # Both at once: they change while the store is read.
        witnessed, published = head.witnessed, head.published
        if published is None:
            return []
        spots = await self._store.spots(message.statements)
        covered = {name: spot for name, spot in spots.items() if spot.index < _size(witnessed)}
        others = {
            name: spot for name, spot in spots.items() if _size(witnessed) <= spot.index < _size(published)
        }
        answers = []
        if witnessed is not None and covered:
            answers.append(await self._located(witnessed, covered))
        if others or not answers:
            answers.append(await self._located(published, others))
        return answers

    async def compare(self, message: Compare) -> Compared:
        """Return the consistency proof between two sizes, or an answer with ``new`` 0.

        Raises:
            StoreFailed: the store cannot be read.
        """
        log, old, new = message.log, message.old, message.new
        published = self._heads[log].size
        if new > published:
            # A node may come from another process, and have seen there what this one will see in a moment.
            published = (await self._store.published(log)).size
        if not 1 <= old <= new <= published:
            return Compared(log=log, old=old, new=0, proof=())

        def work(read: ReadTile) -> tuple[bytes, ...]:
            return consistency_proof_by(old, new, TileHashes(read, new).subtree)

        return Compared(log=log, old=old, new=new, proof=await self._store.on_tiles(log, work))

    async def _located(self, signed: SignedCheckpoint, spots: Mapping[bytes, Spot]) -> Located:
        size = signed.checkpoint.size

        def work(read: ReadTile) -> tuple[Place, ...]:
            subtree = TileHashes(read, size).subtree
            return tuple(
                Place(
                    statement=name,
                    index=spot.index,
                    at_ms=spot.at_ms,
                    path=inclusion_path_by(spot.index, size, subtree),
                )
                for name, spot in spots.items()
            )

        places = await self._store.on_tiles(Log.ACK, work) if spots else ()
        return Located(checkpoint=signed.data, places=places)


def _size(signed: SignedCheckpoint | None) -> int:
    return 0 if signed is None else signed.checkpoint.size
