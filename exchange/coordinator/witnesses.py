"""Asking the nodes for their cosignatures, round after round, and showing what a quorum has cosigned.

A round asks every connected witness about the newest published checkpoint, each with the proof from
what it cosigned last. When a quorum has answered, the checkpoint is kept and shown to all. A
missing quorum stops nothing else: the operator is told once, and the next round asks again.

Nodes may be connected to several processes. One of them leads the rounds, by a lease: what it asks about is
the question of all. Each asks the nodes that it has, and shares their cosignatures; the leader finds the
quorum among them.

A witness that shows a checkpoint which this log has signed and does not continue stops the log's
sequencer: this coordinator has lost what it signed, and must not sign another version of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from exchange.clock import Clock
from exchange.coordinator.asked import REFRESH_SECONDS, Asked
from exchange.coordinator.gathering import Gathering, QuorumNews
from exchange.coordinator.heads import Head
from exchange.coordinator.refuting import Halt, Refuting
from exchange.coordinator.sessions import Sessions
from exchange.stores.ledger_contract import LedgerStore, ReadTile, Witnessing
from exchange.stores.sharing_contract import Lease, Mark, Pulse, Question, Sharing
from keys.quorum import Quorum
from protocol.errors import FormatError, LeaseLost, TrustError
from protocol.ledger.checkpoint import parse_checkpoint
from protocol.ledger.tiles import TileHashes
from protocol.ledger.witness import AddCheckpoint, WitnessStatus, format_add_checkpoint, parse_size
from protocol.session.messages import MAX_COSIGNED_BYTES, Cosigned, Witness, Witnessed
from protocol.tree import consistency_proof_by

PATIENCE_SECONDS = 10.0
"""How long a round waits for witnesses without which there is no quorum, before it gives way to the next."""

SETTLE_SECONDS = 0.25
"""How long a full quorum waits for those who are a little later."""

SECOND_LOOK_SECONDS = 5.0
"""After so long, once, likewise: whoever waits for a receipt sees by it that its recipient is at work."""

MILESTONE_MS = 60_000

log = structlog.get_logger()


class Witnesses:
    """The witnesses of one log. Start :meth:`run` once.

    Args:
        head: The log; its witnessed checkpoint is set here.
        store: Tiles, and where witnessed checkpoints are kept.
        sharing: What the processes of this coordinator share.
        sessions: Who is connected here.
        quorum: Returns who must have signed, by the documents trusted now.
        halt: Called with a reason if the log must not be signed any further.
        clock: A cosignature that is dated far from its time of day does not count.
    """

    def __init__(
        self,
        head: Head,
        store: LedgerStore,
        sharing: Sharing,
        sessions: Sessions,
        quorum: Callable[[], Quorum],
        halt: Halt,
        clock: Clock,
    ) -> None:
        self._head = head
        self._log = head.log
        self._store = store
        self._sharing = sharing
        self._sessions = sessions
        self._quorum = quorum
        self._clock = clock
        self._sizes: dict[str, int] = {}
        self._floors: dict[str, int] = {}
        """How much was published when each node came: it may have seen all of it at another process."""
        self._asked = Asked()
        self._refuting = Refuting(head, store, halt)
        self._round: Gathering | None = None
        """The question of now, ours or another process's."""
        self._gathering = False
        self._lease: Lease | None = None
        self._number = 0
        """The number of the newest question that was seen here."""
        self._pulled = 0
        """How many of its shared cosignatures were looked at."""
        self._shared = False
        """Whether there are more of them."""
        self._mark: Mark | None = None
        """What of another process's witnessed checkpoints was shown here."""
        self._news = asyncio.Event()
        self._answered = asyncio.Event()
        self._told = QuorumNews(head.log, PATIENCE_SECONDS)
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
        if self._lease is None:
            self._floors[state] = (await self._store.published(self._log)).size
        newest = await self._sharing.question(self._log)
        if newest is not None and newest.number != self._number:
            await self._take(newest)
        elif self._round is None or (self._lease is not None and not self._gathering):
            self._news.set()
        elif state in self._round.quorum.witnesses:
            await self._ask(self._round, state)

    def left(self, state: str) -> None:
        """Forget what a node was asked: it has gone."""
        self._asked.leave(state)
        self._floors.pop(state, None)
        self._answered.set()

    async def answered(self, state: str, message: Cosigned) -> None:
        """Take a witness's answer to the oldest question; one that was not asked for is passed over."""
        if not self._asked.waiting(state):
            log.debug("witness.unasked", log=self._log.value, state=state)
            return
        if message.status == WitnessStatus.OK:
            gathered = self._cosigned(state, message.body)
            self._answered.set()
            if gathered is not None and self._lease is None:
                await self._sharing.save_cosignature(self._log, gathered.size, state, message.body)
            return
        gathering, old, _ = self._asked.forget_oldest(state)
        match message.status:
            case WitnessStatus.CONFLICT | WitnessStatus.INCONSISTENT if await self._refuting.is_refuted(
                gathering, state, message.held
            ):
                log.error("witness.contradicts", log=self._log.value, state=state, status=message.status)
            case WitnessStatus.CONFLICT:
                await self._conflict(gathering, state, old, message.body)
            case status:
                log.warning("witness.refused", log=self._log.value, state=state, status=status)
        self._answered.set()

    async def looked(self, pulse: Pulse) -> None:
        """Take what other processes have changed: another question, further cosignatures, what is witnessed.

        Raises:
            StoreFailed, OutcomeUnknown: look again.
            FormatError, TrustError: what is stored is not of this log.
        """
        if pulse.witnessed[self._log] != self._mark:
            await self._follow_witnessed()
            self._mark = pulse.witnessed[self._log]
        if self._lease is None:
            if pulse.asked[self._log] != self._number:
                await self._follow_question()
        elif pulse.cosigned[self._log] != self._pulled:
            self._shared = True
            self._answered.set()
            if not self._gathering:
                # Somebody was late. The next round asks everybody.
                self._pulled = pulse.cosigned[self._log]
                self._news.set()

    async def lead(self, lease: Lease, seconds: float) -> None:
        """Lead the rounds of all processes for as long as this one has the lease; see :meth:`run`."""
        self._lease = lease
        self._news.set()
        try:
            await self.run(seconds)
        finally:
            self._lease = None

    async def run(self, seconds: float) -> None:
        """Ask, round after round, until cancelled; at most one round in ``seconds``.

        Raises:
            LeaseLost: another process leads the rounds.
        """
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
                if not await self._is_behind():
                    self._gathering = True
                    await self._ask_all()
                    await self._gather(began, began + seconds)
            except LeaseLost:
                raise
            except Exception as error:
                # Evidence waits for the next round; nothing else does.
                log.error("witness.round_failed", log=self._log.value, exc_info=error)
            finally:
                self._gathering = False
            await asyncio.sleep(max(0.0, began + seconds - loop.time()))

    # One round.

    async def _is_behind(self) -> bool:
        """Whether the witnesses were asked about more than is shown here yet; the next look catches up.

        No witness is ever asked about less than before: to it, the log would have been cut.
        """
        newest = await self._sharing.question(self._log)
        if newest is None:
            return False
        asked = parse_checkpoint(newest.checkpoint, limit=MAX_COSIGNED_BYTES).checkpoint
        return asked.size > self._head.size

    async def _ask_all(self) -> None:
        assert self._head.published is not None  # noqa: S101 - run() has looked
        gathering = Gathering(self._head.published, self._quorum())
        self._number = await self._sharing.ask(self._log, gathering.signed.data, self._lease)
        self._pulled, self._shared = 0, False
        self._round = gathering
        for state in gathering.quorum.witnesses:
            await self._ask(gathering, state)
        connected = await self._sharing.sessions()
        gathering.elsewhere = {
            state
            for state in gathering.quorum.witnesses
            if state in connected and not self._sessions.has(state)
        }

    async def _follow_question(self) -> None:
        """Ask the nodes that are here what another process asks."""
        question = await self._sharing.question(self._log)
        if question is not None:
            await self._take(question)

    async def _take(self, question: Question) -> None:
        if self._lease is not None:
            return  # another process leads by now, and this one will notice
        signed = parse_checkpoint(question.checkpoint, limit=MAX_COSIGNED_BYTES)
        gathering = Gathering(signed, self._quorum())
        gathering.quorum.require_log(gathering.signed)
        if (await self._store.published(self._log)).size < gathering.size:
            return  # which is not durable yet, or not to be read: the next look asks again
        if question.number <= self._number:
            return  # a newer one was taken meanwhile
        self._number = question.number
        self._round = gathering
        for state in gathering.quorum.witnesses:
            await self._ask(gathering, state)

    async def _follow_witnessed(self) -> None:
        """Show what another process found a quorum for."""
        kept = await self._store.witnessed(self._log)
        if kept is None:
            return
        witnessed = parse_checkpoint(kept.checkpoint)
        self._quorum().require_log(witnessed)
        held = self._head.witnessed
        if held is not None and (
            held.data == witnessed.data or held.checkpoint.size > witnessed.checkpoint.size
        ):
            return
        self._head.witnessed = witnessed
        self._sessions.tell_everyone(Witnessed(log=self._log, checkpoint=witnessed.data))

    async def _ask(self, gathering: Gathering, state: str) -> None:
        old = self._sizes.get(state, 0)
        if (
            max(old, self._least(state)) > gathering.size
            or self._asked.is_silent(state)
            or not self._sessions.has(state)
        ):
            return
        proof = await self._proof(old, gathering.size)
        if gathering is not self._round or self._least(state) > gathering.size:
            return  # the log has grown meanwhile: the next round asks about that
        body = format_add_checkpoint(AddCheckpoint(old, proof, gathering.signed.data))
        self._asked.ask(state, gathering, old)
        self._sessions.tell(state, Witness(log=self._log, body=body))

    def _least(self, state: str) -> int:
        """Return about how much a witness may be asked: about less, it would take the log for cut."""
        shown = 0 if self._head.witnessed is None else self._head.witnessed.checkpoint.size
        return max(self._head.size, shown, self._floors.get(state, 0))

    async def _proof(self, old: int, new: int) -> tuple[bytes, ...]:
        if old in (0, new):
            return ()

        def work(read: ReadTile) -> tuple[bytes, ...]:
            return consistency_proof_by(old, new, TileHashes(read, new).subtree)

        return await self._store.on_tiles(self._log, work)

    def _cosigned(self, state: str, body: bytes) -> Gathering | None:
        """Take a cosignature for the newest checkpoint that it fits; what was asked before, it left out."""
        waiting, now_s = self._asked.waiting(state), self._clock.now_ms() // 1000
        failed: Exception | None = None
        for gathering, _, _ in reversed(waiting):
            try:
                gathering.add(state, body, now_s)
            except (FormatError, TrustError) as error:
                failed = failed or error
                continue
            while self._asked.forget_oldest(state).gathering is not gathering:
                pass
            self._sizes[state] = gathering.size
            self.confirmed.set()
            return gathering
        self._asked.forget_oldest(state)
        log.warning("witness.bad_cosignature", log=self._log.value, state=state, exc_info=failed)
        return None

    async def _pull(self, gathering: Gathering) -> None:
        """Add the cosignatures that other processes have shared."""
        self._shared = False
        lines = await self._sharing.cosignatures(self._log, gathering.size)
        self._pulled = max(self._pulled, len(lines))
        now_s = self._clock.now_ms() // 1000
        for state, body in lines.items():
            gathering.elsewhere.discard(state)
            if state in gathering.cosigned or state not in gathering.quorum.witnesses:
                continue
            try:
                gathering.add(state, body, now_s)
            except (FormatError, TrustError) as error:
                log.warning("witness.bad_cosignature", log=self._log.value, state=state, exc_info=error)

    async def _conflict(self, gathering: Gathering, state: str, old: int, body: bytes) -> None:
        try:
            size = parse_size(body)
        except FormatError as error:
            log.warning("witness.bad_answer", log=self._log.value, state=state, exc_info=error)
            return
        if size > await self._refuting.published_size():
            # Only the log's own signature over such a size would have to be believed.
            log.warning("witness.unproven", log=self._log.value, state=state, size=size)
            return
        self.confirmed.set()
        self._sizes[state] = size
        if size != old and state not in gathering.retried:
            gathering.retried.add(state)
            await self._ask(gathering, state)

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
                while (gathering.asked or gathering.elsewhere) and not enough():
                    self._answered.clear()
                    if self._shared:
                        await self._pull(gathering)
                        continue
                    await self._answered.wait()

    async def _conclude(self, gathering: Gathering) -> None:
        full_at = gathering.full_at
        if full_at is not None:
            witnessed = gathering.witnessed()
            kept = Witnessing(gathering.size, full_at * 1000, witnessed.data)
            await self._store.save_witnessed(self._log, kept, apart_ms=MILESTONE_MS)
            self._head.witnessed = witnessed
            self._sessions.tell_everyone(Witnessed(log=self._log, checkpoint=witnessed.data))
        self._told.tell(gathering)
