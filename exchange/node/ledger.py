"""The node's view of its coordinator's ledger, kept up to date over each session.

It cosigns checkpoints, learns where statements stand, compares what it is shown with what others
have seen, and watches promises. Nothing here can end a session or hold a notice up: whatever goes
wrong with the ledger is told to a person, and the next message or the next look is another try.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import structlog

from exchange.link.pump import Link
from exchange.node.comparing import Comparisons
from exchange.node.context import NodeContext
from exchange.node.evidence import export_all
from exchange.node.link_state import LinkState
from exchange.node.places import Places, Seal, seal_of, store_seal
from exchange.node.promises import Promises
from exchange.node.together import until_first
from exchange.node.watch import Watch
from exchange.node.witness import Witness, note_unsigned
from keys.held import Documents
from protocol.errors import AlmenaraError, FormatError, TrustError
from protocol.ledger.origins import Log
from protocol.session.messages import Compared, Locate, Located, Witnessed
from protocol.session.messages import Witness as WitnessRequest
from protocol.statement import MERGE_DELAY_MS

LedgerMessage: TypeAlias = WitnessRequest | Witnessed | Located | Compared

MOST_WAITING = 64
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LedgerTimes:
    """How often the ledger is looked after, and how long what is owed may take.

    Args:
        look_s: Seconds between two looks.
        late_ms: After how long a person hears of a recorded statement that the log does not show.
        merge_delay_ms: After how long that breaks the coordinator's promise.
        withheld_ms: How long a recipient may be seen at work without receiving what was relayed to it.
        unproven_ms: How long the coordinator may take to prove that two checkpoints fit.
    """

    look_s: float = 2.0
    late_ms: int = 45_000
    merge_delay_ms: int = MERGE_DELAY_MS
    withheld_ms: int = 50_000
    unproven_ms: int = 45_000


@dataclass(frozen=True, slots=True)
class _Sealed:
    """The last checkpoint that was judged, and by which documents."""

    data: bytes
    documents: Documents
    seal: Seal


class Ledger:
    """Looks after the ledger for one node.

    Args:
        context: The node.
        link_state: Knows whether this clock is wrong, and by how much the coordinator's differs.
        folder: Where files of evidence are written.
        times: How often, and how long.
    """

    def __init__(
        self,
        context: NodeContext,
        link_state: LinkState,
        folder: Path,
        times: LedgerTimes = LedgerTimes(),
    ) -> None:
        self._context = context
        self._link_state = link_state
        self._folder = folder
        self._times = times
        self._watch = Watch(context.clock, times.look_s)
        self._witness = Witness(context)
        self._places = Places(context)
        self._comparisons = Comparisons(context, times.unproven_ms)
        self._promises = Promises(
            context,
            link_state,
            late_ms=times.late_ms,
            merge_delay_ms=times.merge_delay_ms,
            withheld_ms=times.withheld_ms,
        )
        self._waiting: asyncio.Queue[LedgerMessage] = asyncio.Queue(MOST_WAITING)
        self._asked_up_to = b""
        self._sealed: _Sealed | None = None

    def offer(self, message: LedgerMessage) -> None:
        """Hand in one message; a coordinator that sends faster than this node can judge is not heard."""
        with contextlib.suppress(asyncio.QueueFull):
            self._waiting.put_nowait(message)

    def forget(self) -> None:
        """Drop what waits, because the session is gone: the next one begins with what is newest."""
        while not self._waiting.empty():
            self._waiting.get_nowait()
            self._waiting.task_done()

    async def dealt_with(self) -> None:
        """Return when every message that was handed in has been dealt with."""
        await self._waiting.join()

    async def serve(self, link: Link) -> None:
        """Look after the ledger for as long as a session lasts; returns only by cancellation."""
        self._asked_up_to = b""
        await until_first(self._take_all(link), self._look_again(link))

    async def take(self, link: Link, message: LedgerMessage) -> None:
        """Deal with one message.

        Raises:
            AlmenaraError: it cannot be believed, or the store fails; nothing of it counts.
        """
        match message:
            case WitnessRequest():
                await self._cosign(link, message)
            case Witnessed():
                await self._take_witnessed(link, message)
            case Located():
                await self._take_located(link, message)
            case Compared():
                await self._comparisons.compared(message)

    async def look(self, link: Link, since_ms: int) -> None:
        """Ask for what is not known, and tell of what is overdue.

        Args:
            link: The session's link.
            since_ms: Since when it is open and was watched, milliseconds UTC.
        """
        for question in await self._comparisons.questions(since_ms):
            link.send(question)
        # A few: whether they are in the log at all. Where they stand is asked when a quorum has cosigned.
        if unlogged := await self._places.awaited(unlogged=True):
            link.send(Locate(statements=unlogged))
        await self._promises.look(since_ms)
        await export_all(self._context, self._folder)

    async def _take_all(self, link: Link) -> None:
        while True:
            message = await self._waiting.get()
            try:
                await self._guarded(self.take(link, message))
                await self._guarded(export_all(self._context, self._folder))
            finally:
                self._waiting.task_done()

    async def _look_again(self, link: Link) -> None:
        unbroken = self._watch.begin()
        while True:
            if not unbroken:
                self._promises.count_anew()
            await self._guarded(self.look(link, self._watch.since_ms))
            await asyncio.sleep(self._times.look_s)
            unbroken = self._watch.look()

    async def _guarded(self, work: Awaitable[None]) -> None:
        """Let no trouble with the ledger reach the session, which carries notices."""
        try:
            await work
        except AlmenaraError as error:
            _log.warning("ledger.failed", code=error.code, reason=error.message)
        except Exception:
            _log.exception("ledger.fault")

    async def _seal(self, log: Log, data: bytes) -> Seal:
        """Return who signed a checkpoint; one that the log has not signed is told of."""
        context = self._context
        documents = context.directory.documents
        last = self._sealed
        if last is not None and last.documents is documents and (last.seal.log, last.data) == (log, data):
            # Page after page of places comes under one checkpoint.
            return last.seal
        try:
            seal = seal_of(context, log, data)
        except (FormatError, TrustError):
            now_ms = context.clock.now_ms()
            await context.engine.write(lambda db: note_unsigned(db, context.state, log, now_ms))
            context.events.ring()
            raise
        self._sealed = _Sealed(data, documents, seal)
        return seal

    async def _cosign(self, link: Link, message: WitnessRequest) -> None:
        # The time in a cosignature is evidence for ever: a clock that is known to be wrong states none.
        self._link_state.require_right_clock()
        judged = await self._witness.answer(message)
        if judged.verified is not None:
            self._context.heads.verified(message.log, judged.verified)
        link.send(judged.answer)

    async def _take_witnessed(self, link: Link, message: Witnessed) -> None:
        seal = await self._seal(message.log, message.checkpoint)
        if self._context.state in seal.cosigned:
            await self._witness.adopt(message.log, seal.signed)
        self._promises.cosigned(seal.cosigned)
        is_verified = await self._comparisons.consider(message.log, seal.signed)
        if is_verified and seal.witnessed_ms is not None:
            await self._witness.follow(message.log, seal.signed)
        await self._context.engine.write(lambda db: store_seal(db, seal))
        self._context.events.ring()
        if message.log is Log.ACK:
            self._asked_up_to = b""
            await self._locate(link)

    async def _take_located(self, link: Link, message: Located) -> None:
        seal = await self._seal(Log.ACK, message.checkpoint)
        await self._comparisons.consider(Log.ACK, seal.signed)
        await self._places.located(seal, message)
        if self._asked_up_to:
            await self._locate(link)

    async def _locate(self, link: Link) -> None:
        """Ask where the next statements stand; behind the last ones there is nothing to ask."""
        wanted = await self._places.awaited(self._asked_up_to)
        self._asked_up_to = wanted[-1] if wanted else b""
        if wanted:
            link.send(Locate(statements=wanted))
