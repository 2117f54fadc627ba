"""One log's sequencer: the only writer of its checkpoints, in whichever process has the lease.

A checkpoint comes into being in this order, and nobody is told of it before the last step:

1. the rows behind the last one are read, and signed for (staged: nothing is kept yet);
2. in the database it takes the place of the one before, if it extends that one;
3. in the anchor likewise, which is flushed to the disk;
4. it is laid out in tiles, and is published.

A crash may come between any two steps. :meth:`Sequencer.recover` goes on from wherever it was, with
the same code, and refuses what no crash can have left behind. So does the next process that takes the
lease over. Meanwhile the others follow, see :mod:`exchange.coordinator.prefix`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from exchange.clock import Clock
from exchange.coordinator.anchor import Anchor
from exchange.coordinator.heads import HaltReason, Head
from exchange.coordinator.recovery import Ground, require_sound, tree_of
from exchange.stores.ledger_contract import Extent, LedgerStore, SignedExtent
from exchange.stores.sharing_contract import Lease
from keys.note_keys import NoteSecret
from keys.quorum import KeyPair
from protocol.errors import AlmenaraError, Forked, LeaseLost, OutcomeUnknown, StoreFailed
from protocol.ledger.checkpoint import Checkpoint, parse_checkpoint, sign_with
from protocol.ledger.frontier import Frontier

PAGE_ROWS = 1024
GROWTH = 65_536
"""At most so many leaves more in one checkpoint: what is behind it follows in the next."""

RETRY_SECONDS = 2.0

log = structlog.get_logger()


class Sequencer:
    """Makes checkpoints. Call :meth:`recover` once, then start :meth:`run` once.

    Args:
        head: The log, and where what is published is shown.
        keys: The log's own public keys, under its origin.
        secret: The same keys' secret halves.
        store: Rows, checkpoints and tiles.
        anchor: The second place where each checkpoint must stand.
        clock: Its time of day goes into the signature.
        published: Called after each publication.
        halted: Called with the reason when nothing further is to be signed.
    """

    def __init__(
        self,
        head: Head,
        keys: KeyPair,
        secret: NoteSecret,
        store: LedgerStore,
        anchor: Anchor,
        clock: Clock,
        published: Callable[[], None],
        halted: Callable[[HaltReason], None] = lambda _: None,
    ) -> None:
        self._head = head
        self._log = head.log
        self._keys = keys
        self._secret = secret
        self._store = store
        self._anchor = anchor
        self._clock = clock
        self._published = published
        self._halted = halted
        self._lease: Lease | None = None
        self._frontier: Frontier | None = None
        self._working: asyncio.Task[None] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._grown = asyncio.Event()
        self._grown.set()

    def grown(self) -> None:
        """Say that there may be new rows."""
        self._grown.set()

    def halt(self, reason: HaltReason, *, state: str | None = None, size: int | None = None) -> None:
        """Sign nothing further: it could be a second version of the log. Delivery goes on.

        Args:
            reason: Why.
            state: The witness that says so.
            size: What it cosigned.
        """
        if self._head.halted is None:
            self._head.halted = reason
            self._halted(reason)
            log.error(
                "ledger.halted",
                log=self._log.value,
                reason=reason.value,
                number=self._head.size,
                state=state,
                size=size,
            )

    async def recover(self, *, unanchored: bool = False) -> None:
        """Finish what a crash interrupted, and compare everything that must agree.

        Args:
            unanchored: Accept a missing anchor: this process saw the log before there was anything in it.

        Raises:
            SetupError: database and anchor do not fit each other, or one of them is damaged.
            StoreFailed, OutcomeUnknown: try again.
        """
        ground = Ground(
            signed=await self._store.signed(self._log),
            anchored=await asyncio.to_thread(self._anchor.read, self._log),
            published=await self._store.published(self._log),
        )
        require_sound(self._log, self._keys, ground, unanchored=unanchored)
        frontier, hashes = await tree_of(self._store, self._log, ground)
        if ground.signed is not None:
            if ground.anchor_extent.size < ground.published.size:
                log.warning("ledger.anchor_behind", log=self._log.value, size=ground.anchor_extent.size)
            await self._finish(ground.anchor_extent, ground.signed, ground.published, hashes)
        self._frontier = frontier

    async def step(self) -> bool:
        """Make one checkpoint, if the log has grown; return whether there may be still more rows.

        Raises:
            Forked: database or anchor were changed by somebody else.
            LeaseLost: another process makes the checkpoints now.
            SetupError: as :meth:`recover`.
            StoreFailed, OutcomeUnknown: nothing was told to anybody; step again.
        """
        if self._frontier is None:
            await self.recover()
        before = self._frontier
        assert before is not None  # noqa: S101 - recover() has set it
        frontier, hashes, last = await self._grow(before)
        if not hashes:
            return False
        old = Extent(before.size, before.root)
        new = self._sign(Extent(frontier.size, frontier.root))
        if self._head.halted is not None:
            return False
        # From here on only the disks know how far this came, until it is finished.
        self._frontier = None
        if not await self._store.swap(self._log, old, new, last, self._lease):
            raise Forked(
                f"the database's checkpoint of the log {self._log} is not the one that was made last"
            )
        await self._finish(old, new, old, hashes)
        self._frontier = frontier
        return len(hashes) >= GROWTH

    @property
    def leads(self) -> bool:
        """Whether this process makes the checkpoints now."""
        return self._lease is not None

    async def lead(
        self,
        lease: Lease,
        seconds: float,
        ready: Callable[[], Awaitable[None]],
        *,
        unanchored: bool = False,
    ) -> None:
        """Make checkpoints for as long as this process has the lease; end by cancellation, or when halted.

        Args:
            lease: It goes with every checkpoint, which is refused once another process has it.
            seconds: As :meth:`run`.
            ready: Awaited before the first checkpoint.
            unanchored: As :meth:`recover`.

        Raises:
            SetupError: as :meth:`recover`; another process may be able to.
            LeaseLost: another process has it.
            StoreFailed, OutcomeUnknown: as :meth:`recover`.
        """
        self._lease = lease
        try:
            await self.recover(unanchored=unanchored)
            await ready()
            self._grown.set()
            await self.run(seconds)
        finally:
            await self.finish()
            # What comes next is another's business, and must be read anew.
            self._lease = self._frontier = None

    async def run(self, seconds: float) -> None:
        """Make checkpoints until cancelled or halted, at most one in ``seconds``, when the log has grown.

        Raises:
            LeaseLost: another process makes them now.
        """
        loop = asyncio.get_running_loop()
        while self._head.halted is None:
            await self._grown.wait()
            self._grown.clear()
            began = loop.time()
            if self._head.halted is None:
                # Shielded, so that a stop does not tear a checkpoint's steps apart.
                self._working = loop.create_task(self._try())
                await asyncio.shield(self._working)
            await asyncio.sleep(max(0.0, began + seconds - loop.time()))

    async def finish(self) -> None:
        """Wait until a checkpoint under way is done; call it after :meth:`run` was cancelled."""
        if self._working is not None:
            await asyncio.wait([self._working])
        if self._retry is not None:
            self._retry.cancel()

    async def _try(self) -> None:
        try:
            if await self.step():
                self._grown.set()
        except LeaseLost:
            raise
        except (StoreFailed, OutcomeUnknown) as error:
            log.error("ledger.checkpoint_failed", log=self._log.value, code=error.code, exc_info=error)
            self._retry = asyncio.get_running_loop().call_later(RETRY_SECONDS, self._grown.set)
        except Exception as error:
            # Whatever it is, no further checkpoint is better than a wrong one, and notices go on.
            log.error("ledger.checkpoint_failed", log=self._log.value, exc_info=error)
            self.halt(HaltReason.CHANGED if isinstance(error, AlmenaraError) else HaltReason.FAULT)

    async def _grow(self, frontier: Frontier) -> tuple[Frontier, list[bytes], bytes]:
        """Read the rows behind a tree: the tree with them, their leaf hashes, the id of the last one."""
        hashes: list[bytes] = []
        last = b""
        while len(hashes) < GROWTH:
            page = await self._store.leaf_hashes(self._log, frontier.size, limit=PAGE_ROWS)
            if not page.hashes:
                break
            frontier = frontier.extend(page.hashes)
            hashes += page.hashes
            last = page.last
        return frontier, hashes, last

    def _sign(self, extent: Extent) -> SignedExtent:
        checkpoint = Checkpoint(self._keys[0].name, extent.size, extent.root)
        signatures = self._secret.sign_log(checkpoint, self._clock.now_ms() // 1000)
        return SignedExtent(extent, sign_with(checkpoint, signatures).data)

    async def _finish(
        self, anchored: Extent, signed: SignedExtent, published: Extent, hashes: list[bytes]
    ) -> None:
        """Bring a checkpoint that is the newest in the database into the anchor, into tiles, and out.

        Args:
            anchored: What the anchor has.
            signed: The checkpoint.
            published: What the tiles go up to.
            hashes: The leaf hashes from there to the checkpoint.
        """
        if anchored != signed.extent and not await asyncio.to_thread(
            self._anchor.swap, self._log, anchored, signed
        ):
            raise Forked(f"the anchor of the log {self._log} is not the one that was made last")
        # Durable in both places: from here on it may be told.
        if published != signed.extent:
            await self._store.lay_out(self._log, published.size, hashes, signed.extent)
        self._head.published = parse_checkpoint(signed.checkpoint)
        log.debug("ledger.published", log=self._log.value, size=signed.extent.size)
        self._published()
