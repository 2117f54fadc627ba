"""Judging what the disks say about a log at start-up: is it what a crash can have left behind?

Between a checkpoint's steps the database is ahead of the anchor by that one checkpoint, or the
tiles are behind both. Everything else is a restored backup or a damaged disk, and going on would
sign a second version of the log.
"""

from __future__ import annotations

from dataclasses import dataclass

from exchange.stores.ledger_contract import EMPTY, Extent, LedgerStore, ReadTile, SignedExtent
from keys.quorum import KeyPair, Quorum
from protocol.errors import FormatError, SetupError, TrustError
from protocol.ledger.checkpoint import parse_checkpoint
from protocol.ledger.frontier import Frontier
from protocol.ledger.origins import Log
from protocol.ledger.tiles import TileHashes
from protocol.tree import root_by

PAGE_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Ground:
    """What stands on the disks about one log.

    Attributes:
        signed: The newest checkpoint of the database.
        anchored: That of the anchor.
        published: What the tiles go up to.
    """

    signed: SignedExtent | None
    anchored: SignedExtent | None
    published: Extent

    @property
    def extent(self) -> Extent:
        """What the database has signed for."""
        return EMPTY if self.signed is None else self.signed.extent

    @property
    def anchor_extent(self) -> Extent:
        """What the anchor has."""
        return EMPTY if self.anchored is None else self.anchored.extent


def require_sound(log: Log, keys: KeyPair, ground: Ground, *, unanchored: bool = False) -> None:
    """Return only if database and anchor may have come from a crash, as far as sizes and signatures tell.

    Args:
        log: Which log.
        keys: Its own keys.
        ground: What stands on the disks.
        unanchored: Accept that the anchor is missing: somebody is about to make it anew.

    Raises:
        SetupError: they may not; the message names both sizes, the hint what to do.
    """
    for what, held in (("database", ground.signed), ("anchor", ground.anchored)):
        if held is not None:
            _require_own(log, keys, what, held)
    here, anchored = ground.extent, ground.anchor_extent
    if anchored.size > here.size or (anchored.size == here.size and anchored.root != here.root):
        raise SetupError(
            f"the anchor of the log {log} has checkpoint {anchored.size}, the database {here.size}"
            + ("" if anchored.size != here.size else " with another root")
            + ": the database is an older copy, and signing would fork the log",
            hint="Restore the newest copy of the database. If there is none, tell the members: this log has"
            " ended, and governance must admit the coordinator with new log keys under another name.",
        )
    if ground.anchored is None and ground.published.size > 0 and not unanchored:
        raise SetupError(
            f"the anchor of the log {log} is missing, and the database has checkpoint {here.size}",
            hint="Name its folder with the setting anchor. If it is lost, compare with the members, then "
            "make it "
            "anew: almenara coordinator recover --data DIR --members-have ack=SIZE --members-have dir=SIZE",
        )
    if ground.published.size > here.size:
        raise _damaged(log, "its tiles go beyond its newest checkpoint")


async def tree_of(store: LedgerStore, log: Log, ground: Ground) -> tuple[Frontier, list[bytes]]:
    """Compute the tree up to the newest signed checkpoint, comparing it at every size with what was signed.

    Returns:
        The tree, and the leaf hashes behind the published size, of which there are those of one checkpoint.

    Raises:
        SetupError: rows or tiles are not what was signed, or the anchor is not their beginning.
        StoreFailed, OutcomeUnknown: the store cannot be read for certain.
    """
    size = ground.published.size
    earlier = ground.anchor_extent.size

    def work(read: ReadTile) -> tuple[Frontier, bytes]:
        tiles = TileHashes(read, size)
        return Frontier.read(size, tiles.subtree), root_by(min(earlier, size), tiles.subtree)

    frontier, root = await store.on_tiles(log, work)
    if frontier.root != ground.published.root:
        raise _damaged(log, f"its tiles do not have the root of checkpoint {size}")
    hashes: list[bytes] = []
    while frontier.size < ground.extent.size:
        until = earlier if frontier.size < earlier else ground.extent.size
        page = await store.leaf_hashes(log, frontier.size, limit=min(PAGE_ROWS, until - frontier.size))
        if not page.hashes:
            raise _damaged(log, f"the rows of checkpoint {ground.extent.size} are not all there")
        frontier = frontier.extend(page.hashes)
        hashes += page.hashes
        if frontier.size == earlier:
            root = frontier.root
    if frontier.root != ground.extent.root:
        raise _damaged(log, f"its rows do not have the root of checkpoint {ground.extent.size}")
    if root != ground.anchor_extent.root:
        raise _damaged(log, f"the anchor's checkpoint {earlier} is of another log")
    return frontier, hashes


def _require_own(log: Log, keys: KeyPair, what: str, held: SignedExtent) -> None:
    try:
        Quorum(keys, {}, 1).require_log(parse_checkpoint(held.checkpoint))
    except (FormatError, TrustError) as error:
        raise SetupError(
            f"the checkpoint {held.extent.size} of the log {log} in the {what} is not this log's own: "
            f"{error.message}",
            hint="Check that data directory, anchor and keys/log.key belong to one coordinator.",
        ) from error


def _damaged(log: Log, what: str) -> SetupError:
    return SetupError(
        f"the database does not hold the log {log} that was signed: {what}",
        hint="Restore the newest whole copy of the database; do not go on with this one.",
    )
