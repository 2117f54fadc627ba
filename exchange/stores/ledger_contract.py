"""What the coordinator may ask of its store about the two logs, and what is durable when each call returns.

The rows of statements and documents are the leaves; nothing here adds one. A checkpoint goes
through two steps, each one transaction: :meth:`LedgerStore.swap` makes it the newest that was
signed, if it still extends the one before; :meth:`LedgerStore.lay_out` writes the tiles up to it and
makes it the newest that is published.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from exchange.stores.sharing_contract import Lease
from protocol.errors import StoreFailed
from protocol.ledger.origins import Log
from protocol.ledger.tiles import Tile
from protocol.tree import root_of

T = TypeVar("T")

ReadTile = Callable[[Tile], bytes]
"""Returns the hashes of a tile of the published tree; raises StoreFailed if they are not there."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How large a log is, and the root of its tree."""

    size: int
    root: bytes


EMPTY = Extent(0, root_of(()))


@dataclass(frozen=True, slots=True)
class SignedExtent:
    """The newest checkpoint that was signed, with its note."""

    extent: Extent
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class LeafHashes:
    """Leaf hashes of consecutive rows, and the id of the last of these rows."""

    hashes: tuple[bytes, ...]
    last: bytes


@dataclass(frozen=True, slots=True)
class Witnessing:
    """A checkpoint that a quorum has cosigned.

    Attributes:
        size: Its size.
        at_ms: When the quorum was full, by the witnesses' clocks, milliseconds UTC.
        checkpoint: The note with all signatures.
    """

    size: int
    at_ms: int
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a statement stands: its index, and when it was recorded, milliseconds UTC."""

    index: int
    at_ms: int


def halted(log: Log) -> StoreFailed:
    """Return what whoever would sign for a halted log is told."""
    return StoreFailed(
        f"the log {log} is halted: nothing further is signed for it",
        hint="See why: almenara coordinator status --data DIR. Notices go on; what to do says "
        "deploy/runbooks/several-coordinators.md.",
    )


class LedgerStore(Protocol):
    """The memory of both logs. Errors are those of :class:`~exchange.stores.contract.CoordinatorStore`.

    Durable, of what is read, are checkpoints, and everything that a durable checkpoint covers.
    """

    async def leaf_hashes(self, log: Log, first: int, *, limit: int) -> LeafHashes:
        """Return the leaf hashes of at most ``limit`` rows from index ``first`` on.

        Raises:
            FormatError: a stored row is no statement or document.
        """
        ...

    async def signed(self, log: Log) -> SignedExtent | None:
        """Return the newest checkpoint that was signed, or None."""
        ...

    async def swap(
        self, log: Log, old: Extent, new: SignedExtent, last: bytes, lease: Lease | None = None
    ) -> bool:
        """Make a checkpoint the newest that was signed, if ``old`` is still the one before it.

        Returns False, and changes nothing, if it is not. Durable when this returns, and with it
        every row it covers.

        Args:
            log: Which log.
            old: What the new checkpoint extends.
            new: The checkpoint.
            last: The id of the row of its last leaf.
            lease: Refused unless this lease still has this epoch; None if no other process can have it.

        Raises:
            LeaseLost: another process makes the checkpoints now; nothing was changed.
            StoreFailed: the log is halted, or the row of the last leaf, of id ``last``, is not there;
                nothing was changed.
        """
        ...

    async def published(self, log: Log) -> Extent:
        """Return what is published: size 0 and the empty root at first."""
        ...

    async def lay_out(self, log: Log, first: int, hashes: Sequence[bytes], new: Extent) -> None:
        """Write the tiles for leaves from index ``first`` on, and publish ``new``; durable on return.

        Doing it again does no harm: if as much or more is published already, nothing is changed.

        Args:
            log: Which log.
            first: What is published.
            hashes: The leaf hashes from there to the new size.
            new: A checkpoint that was signed.

        Raises:
            StoreFailed: what is published is neither ``first`` nor ``new`` or more; nothing was changed.
        """
        ...

    async def is_published(self, log: Log, low: int, high: int) -> bool:
        """Return whether a size from ``low`` up to, not including, ``high`` was ever published."""
        ...

    async def on_tiles(self, log: Log, work: Callable[[ReadTile], T]) -> T:
        """Run a calculation that reads tiles, away from the event loop, and return its result."""
        ...

    async def entries(self, log: Log, first: int, count: int) -> tuple[bytes, ...]:
        """Return at most ``count`` leaves, as they are hashed, from index ``first`` on."""
        ...

    async def statements_for(
        self, reader: str | None, first: int, count: int
    ) -> tuple[tuple[int, bytes], ...]:
        """Return index and signed form of statements among ``count`` leaves from ``first`` on.

        Args:
            reader: The state that asks, which gets those that concern it, or None for an auditor.
            first: The first index.
            count: How many leaves to look at.
        """
        ...

    async def headers_for(self, reader: str | None, first: int, count: int) -> tuple[tuple[int, bytes], ...]:
        """Return, for each RELAYED leaf among those, the envelope's manifest with its signature, encoded.

        Arguments as :meth:`statements_for`.
        """
        ...

    async def document(self, index: int) -> bytes | None:
        """Return one signed document, or None."""
        ...

    async def announced(self) -> bytes | None:
        """Return the newest DIRECTORY statement, signed, or None."""
        ...

    async def spots(self, statements: Collection[bytes]) -> Mapping[bytes, Spot]:
        """Return where those of the statements stand that are stored."""
        ...

    async def save_witnessed(self, log: Log, witnessed: Witnessing, *, apart_ms: int) -> None:
        """Keep a witnessed checkpoint as the newest, unless a larger one is; durable on return.

        Of one size the last one stands: it has more cosignatures. It becomes a milestone too if it was
        witnessed ``apart_ms`` or more after the last one. Cosignatures of smaller sizes are let go.
        """
        ...

    async def witnessed(self, log: Log) -> Witnessing | None:
        """Return the newest witnessed checkpoint, or None."""
        ...

    async def milestones(self, log: Log) -> tuple[int, ...]:
        """Return the sizes of the milestones, rising."""
        ...

    async def milestone(self, log: Log, size: int) -> bytes | None:
        """Return the milestone of this size, or None."""
        ...
