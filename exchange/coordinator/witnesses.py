"""Asking the nodes for their cosignatures, round after round, and showing what a quorum has cosigned.

A round asks every connected witness about the newest published checkpoint, each with the proof from
what it cosigned last. When a quorum has answered, the checkpoint is kept and shown to all. A
missing quorum stops nothing else: the operator is told once, and the next round asks again.

A witness that shows a checkpoint which this log has signed and does not continue stops the log's
sequencer: this coordinator has lost what it signed, and must not sign another version of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

import structlog

from exchange.clock import Clock
from exchange.coordinator.gathering import Gathering
from exchange.coordinator.heads import HaltReason, Head
from exchange.coordinator.sessions import Sessions
from exchange.stores.ledger_contract import LedgerStore, ReadTile, Witnessing
from keys.quorum import Quorum
from protocol.errors import FormatError, TrustError
from protocol.ledger.checkpoint import parse_checkpoint
from protocol.ledger.tiles import TileHashes
from protocol.ledger.witness import AddCheckpoint, WitnessStatus, format_add_checkpoint, parse_size
from protocol.session.messages import MAX_COSIGNED_BYTES, Cosigned, Witness, Witnessed
from protocol.tree import consistency_proof_by, root_by

PATIENCE_SECONDS = 10.0
"""How long a round waits for witnesses without which there is no quorum, before it gives way to the next."""

SETTLE_SECONDS = 0.25
"""How long a full quorum waits for those who are a little later."""

REFRESH_SECONDS = 60.0
"""After so long a checkpoint that did not change is asked about again: it says that the log stood still."""

SECOND_LOOK_SECONDS = 5.0
"""After so long, once, likewise: whoever waits for a receipt sees by it that its recipient is at work."""

MOST_UNANSWERED = 4
"""How many questions a witness may leave unanswered before it is asked less often: once in a refresh."""

MILESTONE_MS = 60_000

log = structlog.get_logger()


class Halt(Protocol):
    """Stops the log's sequencer; see :meth:`exchange.coordinator.sequencer.Sequencer.halt`."""

    def __call__(self, reason: HaltReason, *, state: str | None = None, size: int | None = None) -> None:
        """Sign nothing further."""
        ...


class _Question(NamedTuple):
    """What a witness was asked: for which checkpoint, from which size on, and when by the loop's time."""

    gathering: Gathering
    old: int
    at: float


class Witnesses:
    """The witnesses of one log. Start :meth:`run` once.

    Args:
        head: The log; its witnessed checkpoint is set here.
        store: Tiles, and where witnessed checkpoints are kept.
        sessions: Who is connected.
        quorum: Returns who must have signed, by the documents trusted now.
        halt: Called with a reason if the log must not be signed any further.
        clock: A cosignature that is dated far from its time of day does not count.
    """

    def __init__(
        self,
        head: Head,
        store: LedgerStore,
        sessions: Sessions,
        quorum: Callable[[], Quorum],
        halt: Halt,
        clock: Clock,
    ) -> None:
        self._head = head
        self._log = head.log
        self._store = store
        self._sessions = sessions
        self._quorum = quorum
        self._halt = halt
        self._clock = clock
        self._sizes: dict[str, int] = {}
        self._asked: dict[str, deque[_Question]] = defaultdict(deque)
        """What each connected witness was asked and has not answered, oldest first."""
        self._round: Gathering | None = None
        self._gathering = False
        self._news = asyncio.Event()
        self._answered = asyncio.Event()
        self._had_quorum: bool | None = None
        self._quiet_until = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        self.confirmed = asyncio.Event()
        """Set once a witness has confirmed that it remembers no more than this log has."""

    def published(self) -> None:
        """Say that there is a newer checkpoint to ask about."""
        self._news.set()

    async def entered(self, state: str) -> None:
        """Show a node that has just connected what is witnessed, and ask it to cosign."""
        self.left(state)
        if self._head.witnessed is not None:
            self._sessions.tell(state, Witnessed(log=self._log, checkpoint=self._head.witnessed.data))
        if self._gathering and self._round is not None and state in self._round.quorum.witnesses:
            await self._ask(self._round, state)
        else:
            self._news.set()

    def left(self, state: str) -> None:
        """Forget what a node was asked: it has gone."""
        for question in self._asked.pop(state, ()):
            question.gathering.asked.discard(state)
        self._answered.set()

    async def answered(self, state: str, message: Cosigned) -> None:
        """Take a witness's answer to the oldest question; one that was not asked for is passed over."""
        if not self._asked[state]:
            log.debug("witness.unasked", log=self._log.value, state=state)
            return
        if message.status == WitnessStatus.OK:
            self._cosigned(state, message.body)
            self._answered.set()
            return
        gathering, old, _ = self._forget_oldest(state)
        match message.status:
            case WitnessStatus.CONFLICT | WitnessStatus.INCONSISTENT if await self._is_refuted(
                gathering, state, message.held
            ):
                log.error("witness.contradicts", log=self._log.value, state=state, status=message.status)
            case WitnessStatus.CONFLICT:
                await self._conflict(gathering, state, old, message.body)
            case status:
                log.warning("witness.refused", log=self._log.value, state=state, status=status)
        self._answered.set()

    async def run(self, seconds: float) -> None:
        """Ask, round after round, until cancelled; at most one round in ``seconds``."""
        loop = asyncio.get_running_loop()
        pause = REFRESH_SECONDS
        while True:
            try:
                async with asyncio.timeout(pause):
                    await self._news.wait()
                pause = min(SECOND_LOOK_SECONDS, REFRESH_SECONDS)
            except TimeoutError:
                pause = REFRESH_SECONDS
            self._news.clear()
            if self._head.published is None:
                continue
            began = loop.time()
            try:
                self._gathering = True
                await self._ask_all()
                await self._gather(began, began + seconds)
            except Exception as error:
                # Evidence waits for the next round; nothing else does.
                log.error("witness.round_failed", log=self._log.value, exc_info=error)
            finally:
                self._gathering = False
            await asyncio.sleep(max(0.0, began + seconds - loop.time()))

    # One round.

    async def _ask_all(self) -> None:
        assert self._head.published is not None  # noqa: S101 - run() has looked
        gathering = Gathering(self._head.published, self._quorum())
        self._round = gathering
        for state in gathering.quorum.witnesses:
            await self._ask(gathering, state)

    async def _ask(self, gathering: Gathering, state: str) -> None:
        old = self._sizes.get(state, 0)
        if old > gathering.size or self._is_silent(state) or not self._sessions.has(state):
            return
        proof = await self._proof(old, gathering.size)
        body = format_add_checkpoint(AddCheckpoint(old, proof, gathering.signed.data))
        gathering.asked.add(state)
        self._asked[state].append(_Question(gathering, old, asyncio.get_running_loop().time()))
        self._sessions.tell(state, Witness(log=self._log, body=body))

    async def _proof(self, old: int, new: int) -> tuple[bytes, ...]:
        if old in (0, new):
            return ()

        def work(read: ReadTile) -> tuple[bytes, ...]:
            return consistency_proof_by(old, new, TileHashes(read, new).subtree)

        return await self._store.on_tiles(self._log, work)

    def _is_silent(self, state: str) -> bool:
        """Return whether a witness is not to be asked now; of what it left out, the oldest is forgotten."""
        waiting = self._asked[state]
        if len(waiting) < MOST_UNANSWERED:
            return False
        if asyncio.get_running_loop().time() - waiting[-1].at < REFRESH_SECONDS:
            return True
        self._forget_oldest(state)
        return False

    def _forget_oldest(self, state: str) -> _Question:
        question = self._asked[state].popleft()
        question.gathering.asked.discard(state)
        return question

    def _cosigned(self, state: str, body: bytes) -> None:
        """Take a cosignature for the newest checkpoint that it fits; what was asked before, it left out."""
        waiting, now_s = self._asked[state], self._clock.now_ms() // 1000
        failed: Exception | None = None
        for gathering, _, _ in reversed(waiting):
            try:
                gathering.add(state, body, now_s)
            except (FormatError, TrustError) as error:
                failed = failed or error
                continue
            while self._forget_oldest(state).gathering is not gathering:
                pass
            self._sizes[state] = gathering.size
            self.confirmed.set()
            return
        self._forget_oldest(state)
        log.warning("witness.bad_cosignature", log=self._log.value, state=state, exc_info=failed)

    async def _conflict(self, gathering: Gathering, state: str, old: int, body: bytes) -> None:
        try:
            size = parse_size(body)
        except FormatError as error:
            log.warning("witness.bad_answer", log=self._log.value, state=state, exc_info=error)
            return
        if size > self._head.size:
            # Only the log's own signature over such a size would have to be believed.
            log.warning("witness.unproven", log=self._log.value, state=state, size=size)
            return
        self.confirmed.set()
        self._sizes[state] = size
        if size != old and state not in gathering.retried:
            gathering.retried.add(state)
            await self._ask(gathering, state)

    async def _is_refuted(self, gathering: Gathering, state: str, held: bytes | None) -> bool:
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
        size = signed.checkpoint.size
        if size > self._head.size:
            self._halt(HaltReason.WITNESS_AHEAD, state=state, size=size)
            return True
        if await self._root(size) != signed.checkpoint.root:
            self._halt(HaltReason.WITNESS_DISAGREES, state=state, size=size)
            return True
        return False

    async def _root(self, size: int) -> bytes:
        """Return the root of the published tree at an earlier size."""
        published = self._head.size
        return await self._store.on_tiles(
            self._log, lambda read: root_by(size, TileHashes(read, published).subtree)
        )

    async def _gather(self, began: float, following: float) -> None:
        """Wait for answers, and show the checkpoint as soon as a quorum is full.

        Args:
            began: When the round began.
            following: When the next may begin: until then, those who are later still are added.
        """
        gathering = self._round
        assert gathering is not None  # noqa: S101 - _ask_all() has made it
        await self._wait(gathering, began + PATIENCE_SECONDS, lambda: gathering.full_at is not None)
        await self._wait(gathering, asyncio.get_running_loop().time() + SETTLE_SECONDS)
        shown = len(gathering.cosigned)
        await self._conclude(gathering)
        if gathering.full_at is not None:
            await self._wait(gathering, following)
            if len(gathering.cosigned) > shown:
                await self._conclude(gathering)

    async def _wait(
        self, gathering: Gathering, until: float, enough: Callable[[], bool] = lambda: False
    ) -> None:
        """Wait until a time, or until there is enough, or until nobody is left who was asked."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while gathering.asked and not enough():
                    self._answered.clear()
                    await self._answered.wait()

    async def _conclude(self, gathering: Gathering) -> None:
        full_at = gathering.full_at
        if full_at is not None:
            witnessed = gathering.witnessed()
            kept = Witnessing(gathering.size, full_at * 1000, witnessed.data)
            await self._store.save_witnessed(self._log, kept, apart_ms=MILESTONE_MS)
            self._head.witnessed = witnessed
            self._sessions.tell_everyone(Witnessed(log=self._log, checkpoint=witnessed.data))
        self._tell_operator(gathering, has_quorum=full_at is not None)

    def _tell_operator(self, gathering: Gathering, *, has_quorum: bool) -> None:
        now = asyncio.get_running_loop().time()
        starting = self._had_quorum is None and not has_quorum and now < self._quiet_until
        if has_quorum is self._had_quorum or starting:
            return
        self._had_quorum = has_quorum
        say = log.info if has_quorum else log.warning
        say(
            "ledger.quorum" if has_quorum else "ledger.no_quorum",
            log=self._log.value,
            size=gathering.size,
            count=len(gathering.cosigned),
            needed=gathering.quorum.needed,
            members=len(gathering.quorum.witnesses),
        )
